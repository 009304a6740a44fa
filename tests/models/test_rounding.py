from __future__ import annotations

import threading

import pytest
import torch

from raysweep.errors import UsageError
from raysweep.models.rounding import products_in


@pytest.fixture
def hopper(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))


def is_on() -> bool:
    return torch.backends.cuda.matmul.allow_tf32


def test_products_take_tf32_in_the_blocks_that_name_it_and_nowhere_else(hopper):
    """The flag is the process's: of two threads, the last one that is done resets it."""
    began, may_end, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        with products_in("tf32"):
            began.set()
            may_end.wait(60)

    thread = threading.Thread(target=other)
    with pytest.raises(ZeroDivisionError), products_in("tf32"):
        thread.start()
        began.wait(60)
        with products_in("float32"), products_in(None):
            seen.append(is_on())
        raise ZeroDivisionError
    seen.append(is_on())
    may_end.set()
    thread.join()
    assert seen == [True, True] and not is_on()
    with products_in("float32"):
        assert not is_on()


def test_a_device_without_tf32_is_refused(monkeypatch):
    with pytest.raises(UsageError, match="tf32 needs a GPU of the Ampere generation or later"), products_in("tf32"):
        pass
    assert not is_on()
