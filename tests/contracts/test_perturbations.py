"""Every registered perturbation, held to the contract of perturbations, and what else raysweep's own promise."""

import random
import re
from typing import Any

import pytest

from raysweep.errors import MissingInput
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.mixes import members_of
from raysweep.records import Spec
from raysweep.testing.perturbations import PerturbationContract, perturb_text

pytestmark = pytest.mark.slow

EXAMPLE_ARGS: dict[str, dict[str, Any]] = {"mix": {"members": ["C1", "W2", "S3"]}}  # for those that need some, by name
ODD = {
    "empty": "",
    "one character": "a",
    "a tab": "\t",
    "Windows line ends": "Return\r\n\tthe 'list' of \"numbers\"\r\n",
    "nested quotes and unicode": "Say \"it's 'one'\" — naïve £5 漢字 🙂.",
    "tabs": PerturbationContract.prose.replace(" ", "\t"),
}
OTHERS = {"nlperturbator"}  # takes no strength and needs published files; its own tests hold it
NAMES = [*sorted(set(PERTURBATIONS.names()) - OTHERS), "textattack:WordSwapQWERTY", "textattack:WordDeletion"]
TRANSLATING = ("S", "S1", "mix_all")
SLOW = (*TRANSLATING, "textattack:WordSwapQWERTY", "textattack:WordDeletion")  # these import much


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else (), id=name) for name in NAMES]
)
class TestPerturbations(PerturbationContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str) -> None:
        self.name = name
        if name in TRANSLATING:
            try:
                self.make()
            except MissingInput as error:
                pytest.skip(str(error))

    def make(self, **more: Any) -> Perturbation:
        return PERTURBATIONS.create(Spec(self.name, {**EXAMPLE_ARGS.get(self.name, {}), **more}))

    def test_the_studys_methods_have_plain_words(self):
        assert self.make().words or not re.fullmatch("[CWS][0-9]?|mix.*", self.name)

    def test_odd_texts_keep_their_blanks(self):
        for text in ODD.values():
            for seed in range(5):
                after = perturb_text(self.make(), text, random.Random(seed))
                assert after.count("\r\n") == text.count("\r\n") and after.count("\t") == text.count("\t")
                assert [line.isspace() for line in after.splitlines()] == [line.isspace() for line in text.splitlines()]

    def test_its_members_are_registered_methods_that_have_no_members(self):
        for member in members_of(self.make()):
            assert member.name in NAMES
            assert members_of(member) == [member]
