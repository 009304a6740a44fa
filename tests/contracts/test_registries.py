"""What every registered class of every kind must do."""

from __future__ import annotations

import pytest

from raysweep.cli.views.names import REGISTRIES
from raysweep.records import Spec
from raysweep.registry import Registry
from raysweep.testing import contract

ENTRIES = [(kind, name) for kind, registry in REGISTRIES.items() for name in registry.names()]


BUILT_ELSEWHERE = {"nlperturbator", "S", "S1", "mix_all", "openai", "vllm", "transformers", "spacy", "nltk"}
"""Parts that need files, models, servers or packages that not every machine has: their own tests hold them."""
ARGUMENTS = {"mix": {"members": ["C1", "W2", "S3"]}}
CASES = [
    (kind, name)
    for kind, name in ENTRIES
    if name not in BUILT_ELSEWHERE and kind not in ("exhibit-kinds", "problems", "sources", "translators")
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_each_part_keeps_the_contract_of_every_part(kind: str, name: str) -> None:
    contract(kind, name, **ARGUMENTS.get(name, {}))


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
