"""Restores the arguments of MBPP+'s tasks, which JSON can't hold: tuples, sets, complex numbers.

A task's entry gives one form for each argument, or one form for all of them after ``*``. Source of the forms: what
EvalPlus's `mbpp_deserialize_inputs` makes of the same files, with which tests/problems compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_FORMS: Mapping[str, str] = {
    "* tuple": "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809",
    "* list of tuples": "63 64 70 94 120 237 272 299 400 409 417 438 473 614 780",
    "list of tuples, as it is": "75 413 444 753",
    "as it is, tuple": "106 750",
    "list of sets": "115",
    "float, complex": "124",
    "tuple, as it is": "250 405 446 617 720 763 808",
    "complex": "252",
    "* tuple of tuples": "259 401 445",
    "* tuple with tuples": "278",
    "tuple, as it is, as it is": "307",
    "* all tuples": "580 615 791",
    "dict of tuples, as it is, as it is": "722",
}


def restored(task_id: str, arguments: list[Any]) -> list[Any]:
    """Return a call's arguments in the types of the task; `task_id` ends in ``/`` and MBPP's number."""
    form = _FORM_OF.get(task_id.rpartition("/")[2])
    if form is None:
        return arguments
    if form.startswith("* "):
        return [_RESTORE[form[2:]](argument) for argument in arguments]
    names = form.split(", ")
    return [_RESTORE[name](argument) for name, argument in zip(names, arguments, strict=True)]


def _all_tuples(value: Any) -> Any:
    return tuple(_all_tuples(item) for item in value) if isinstance(value, list) else value


_FORM_OF = {number: form for form, numbers in _FORMS.items() for number in numbers.split()}
_RESTORE: Mapping[str, Callable[[Any], Any]] = {
    "as it is": lambda value: value,
    "tuple": tuple,
    "float": float,
    "complex": complex,
    "list of tuples": lambda value: [tuple(item) for item in value],
    "tuple of tuples": lambda value: tuple(tuple(item) for item in value),
    "tuple with tuples": lambda value: tuple(tuple(item) if isinstance(item, list) else item for item in value),
    "list of sets": lambda value: [set(item) if isinstance(item, list) and item else {} for item in value],
    "dict of tuples": lambda value: {key: tuple(item) for key, item in value.items()},
    "all tuples": _all_tuples,
}
