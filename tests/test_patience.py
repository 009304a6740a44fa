from __future__ import annotations

from tests.patience import eventually


def test_what_holds_once_is_not_looked_at_again() -> None:
    answers = iter([False, True])
    assert eventually(lambda: next(answers))


def test_what_never_holds_is_given_up() -> None:
    assert not eventually(lambda: False, 0)
