"""`compat: recode` against ReCode's published data."""

import gzip
import json

import pytest

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.characters.recode import recode_prompt
from raysweep.perturbations.clean import Clean
from raysweep.records import Spec
from tests.conftest import shared_data

NAMES = {"C1": "ButterFingersPerturbation", "C2": "SwapCharactersPerturbation", "C3": "ChangeCharCase"}
NOMINAL = {"humaneval": "HumanEval", "mbpp": "mbpp_wtest"}
# Rows of the published sets (ReCode, https://github.com/amazon-science/recode) that really change.
CHANGED = {("humaneval", "C1"): 164, ("humaneval", "C2"): 157, ("humaneval", "C3"): 164}
CHANGED |= {("mbpp", "C1"): 974, ("mbpp", "C2"): 865, ("mbpp", "C3"): 974}


def rows(folder, file):
    with gzip.open(shared_data("recode", folder, f"{file}.jsonl.gz"), "rt") as lines:
        return [json.loads(line) for line in lines]


def recoded(method, row, seed):
    perturbation = PERTURBATIONS.create(Spec(method))
    return recode_prompt(perturbation, row["prompt"], row["entry_point"], row["canonical_solution"], seed)


@pytest.mark.slow
@pytest.mark.parametrize(("benchmark", "method"), CHANGED)
def test_every_row_equals_the_published_one(benchmark, method):
    nominal = rows("nominal", NOMINAL[benchmark])
    golden = rows("perturbed", f"{benchmark}_{NAMES[method]}_s0")
    ours = [recoded(method, row, seed=0) for row in nominal]
    assert [row["task_id"] for row in nominal] == [row["task_id"] for row in golden]
    assert ours == [row["prompt"] for row in golden]
    changed = sum(prompt != row["prompt"] for prompt, row in zip(ours, nominal, strict=True))
    assert changed == CHANGED[benchmark, method]


@pytest.mark.parametrize("method", NAMES)
def test_different_seeds_give_different_data(method):
    nominal = rows("nominal", "HumanEval")[:40]
    assert sum(recoded(method, row, 0) != recoded(method, row, 1) for row in nominal) > 24


def test_masking_and_unmasking_alone_changes_nothing():
    for row in rows("nominal", "HumanEval"):
        assert recode_prompt(Clean(), row["prompt"], row["entry_point"], row["canonical_solution"], 0) == row["prompt"]
    for strange in ("", "def f(x):\n", 'def f(x):\n    """', 'f """<|||> x <|||>"""', "f '''\n'''"):
        assert recode_prompt(Clean(), strange, "f", None, 0) == strange


def test_a_method_without_compat_says_which_have_it():
    with pytest.raises(UsageError, match="C has no `compat: recode`; methods with it: C1, C2, C3"):
        recoded("C", rows("nominal", "HumanEval")[0], 0)
