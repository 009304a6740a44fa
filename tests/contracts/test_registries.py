"""What every registered class of every kind must do."""

from __future__ import annotations

import inspect

import pytest

from raysweep.cli.views.names import REGISTRIES
from raysweep.records import Spec
from raysweep.registry import Registry

ENTRIES = [(kind, name) for kind, registry in REGISTRIES.items() for name in registry.names()]


def test_each_registered_class_knows_its_name_says_what_it_does_and_takes_typed_arguments():
    wrong = []
    for kind, name in ENTRIES:
        cls, parameters = REGISTRIES[kind].get(name), REGISTRIES[kind].parameters(name).values()
        is_typed = all(parameter.annotation is not parameter.empty for parameter in parameters)
        if cls.name != name or not inspect.getdoc(cls) or not is_typed:
            wrong.append((kind, name))
    assert wrong == []


def test_every_kind_has_entries():
    assert {kind for kind, _ in ENTRIES} == set(REGISTRIES)


def test_an_argument_of_the_wrong_name_or_type_is_refused_with_a_hint():
    from raysweep.errors import UsageError
    from raysweep.problems.base import PROBLEMS

    for args, said in [
        ({"world": 1, "coutn": 3}, "did you mean 'count'"),
        ({"world": "one"}, "argument 'world'"),
        ({}, "needs the argument 'world'"),
    ]:
        with pytest.raises(UsageError, match=said):
            PROBLEMS.create(Spec("minicode", args))


def test_two_packages_can_not_take_one_name():
    from raysweep.errors import UsageError

    registry: Registry[object] = Registry("thing", "raysweep.metrics", object)
    registry.register("x")(type("One", (), {"__module__": "one"}))
    with pytest.raises(UsageError, match="both one and two"):
        registry.register("x")(type("Two", (), {"__module__": "two"}))
