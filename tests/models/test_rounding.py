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


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


ON, OFF = (True, True), (False, False)


def test_products_take_tf32_in_the_blocks_that_name_it_and_nowhere_else(hopper):
    """The flags are the process's: of two threads, the last one that is done puts them back."""
    began, may_end, seen, before = threading.Event(), threading.Event(), [], flags()

    def other() -> None:
        with products_in("tf32"):
            began.set()
            may_end.wait(60)

    thread = threading.Thread(target=other)
    with pytest.raises(ZeroDivisionError), products_in("tf32"):
        thread.start()
        began.wait(60)
        with products_in("float32"):
            seen.append(flags())
        with products_in(None), products_in("bf16"):
            seen.append(flags())
        raise ZeroDivisionError
    seen.append(flags())
    may_end.set()
    thread.join()
    assert seen == [OFF, ON, ON] and flags() == before
    with products_in("float32"):
        assert flags() == OFF


def test_a_device_without_tf32_is_refused(monkeypatch):
    with pytest.raises(UsageError, match="tf32 needs a GPU of the Ampere generation or later"), products_in("tf32"):
        pass
    assert flags() != ON
