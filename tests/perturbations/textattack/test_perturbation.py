"""textattack's transformations as perturbations."""

import random

import pytest

from raysweep.cli.app import main
from raysweep.config.schema import EvaluationConfig
from raysweep.errors import UnknownName, UsageError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.textattack import perturbation as ours
from raysweep.perturbations.textattack.loading import require_textattack
from raysweep.records import Segment, Spec

QWERTY = "textattack:WordSwapQWERTY"
TEXT = "Return the largest of all the numbers that are given in a list, and sort what is left of them.\n" * 5
NOTHING: frozenset[str] = frozenset()

try:
    require_textattack()
except UsageError as error:
    pytest.skip(str(error), allow_module_level=True)


def perturbed(name, text=TEXT, seed=1, protected=NOTHING, **args):
    method = PERTURBATIONS.create(Spec(name, args))
    return method.perturb([Segment(text, True)], random.Random(seed), protected)[0].text


def changed_words(before, after):
    return sum(a != b for a, b in zip(before.split(), after.split(), strict=True))


@pytest.mark.parametrize("name", ["WordSwapQWERTY", "WordSwapNeighboringCharacterSwap"])
def test_a_tenth_of_the_words_changes_at_strength_1_and_global_generators_are_left_as_they_were(name):
    import numpy as np

    random.seed(5), np.random.seed(5)
    wanted = random.random(), np.random.rand()
    random.seed(5), np.random.seed(5)
    after = perturbed(f"textattack:{name}")
    assert (random.random(), np.random.rand()) == wanted
    assert 8 <= changed_words(TEXT, after) <= 10
    assert after == perturbed(f"textattack:{name}") != perturbed(QWERTY, seed=2)


def test_strength_is_a_share_of_the_default_rate():
    assert 18 <= changed_words(TEXT, perturbed(QWERTY, strength=2)) <= 20
    assert changed_words(TEXT, perturbed(QWERTY, strength=20)) > 85


def test_what_textattack_would_misread_or_move_stays():
    assert perturbed(QWERTY, "Return <SPLIT> the numbers.", strength=20) == "Return <SPLIT> the numbers.", (
        "its own mark"
    )
    after = perturbed("textattack:WordInnerSwapRandom", "Sort the numbers in a list", protected=frozenset({"numbers"}))
    assert after.split(" ")[2] == "numbers"


def test_configs_take_names_and_an_unknown_one_gets_the_nearest():
    assert EvaluationConfig(problems=["humaneval"], perturbations=["clean", QWERTY]).perturbations[1] == QWERTY
    with pytest.raises(UnknownName, match="did you mean 'WordSwapQWERTY'"):
        PERTURBATIONS.get("textattack:WordSwapQUERTY")


def test_one_that_wants_what_is_not_there_says_so_before_work_starts(monkeypatch):
    from textattack import transformations

    def wants_a_file() -> None:
        raise FileNotFoundError("no such model")

    monkeypatch.setattr(transformations, "WordDeletion", wants_a_file)
    ours._transformation.cache_clear()
    with pytest.raises(UsageError, match=r"can't be used here \(FileNotFoundError: no such model"):
        PERTURBATIONS.create(Spec("textattack:WordDeletion"))


def test_without_textattack_the_way_out_is_named(monkeypatch):
    def missing():
        raise UsageError("textattack isn't installed; install raysweep with its extra `attack`")

    monkeypatch.setattr(ours, "require_textattack", missing)
    ours.transformation_as_perturbation.cache_clear()
    with pytest.raises(UsageError, match=r"textattack:WordSwapQWERTY: textattack isn't installed; install raysweep"):
        PERTURBATIONS.get(QWERTY)


@pytest.mark.slow
def test_the_command_line_takes_names(capsys):
    with pytest.raises(SystemExit) as end:
        main(["perturb", "minicode", "--method", QWERTY, "--limit", "5", "--show", "2"])
    assert not end.value.code
    assert "5 rows, 5 changed" in capsys.readouterr().out
