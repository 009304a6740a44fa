"""NLPerturbator's published prompts replace the descriptions that they were made from."""

import csv
import random
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.nlperturbator import NLPerturbator
from raysweep.planning.keys import method_spec
from raysweep.problems.humaneval import HumanEval
from raysweep.records import Segment, Spec
from raysweep.stages.test_sets import build_test_set
from tests.conftest import shared_data
from tests.perturbations.texts import perturb_text

NONE_PUBLISHED = {"extra_space_among_words"}


def published() -> Path:
    return shared_data("nlperturbator", "HumanEval-R").parent


def categories() -> list[str]:
    files = (shared_data("nlperturbator", "HumanEval-R")).glob("*.csv.gz")
    return sorted({file.name.removeprefix("humaneval_").removesuffix(".csv.gz") for file in files} - NONE_PUBLISHED)


def rows_of(category: str) -> dict[str, str]:
    import gzip
    import io

    file = published() / "HumanEval-R" / f"humaneval_{category}.csv.gz"
    with gzip.open(file) as data:
        rows = list(csv.DictReader(io.TextIOWrapper(data, encoding="utf-8", newline="")))
    return {row["task_id"]: row["prompt"] for row in rows}


def ready(folder: Path, category: str) -> Spec:
    return Spec("nlperturbator", {"path": str(folder), "category": category})


def mbpp_folder(tmp_path: Path, *pairs: tuple[str, str], category: str = "keyboard_typo") -> Path:
    """MBPP-R with these (original, perturbed) sentences."""
    (tmp_path / "MBPP-R").mkdir(parents=True, exist_ok=True)
    with (tmp_path / "MBPP-R" / f"mbpp_{category}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["task_id", "prompt", "code", "original_prompt"])
        writer.writeheader()
        for at, (before, after) in enumerate(pairs):
            code = f"def function_{at}(a):\n  return a"
            writer.writerow({"task_id": str(at), "prompt": after, "code": code, "original_prompt": before})
    return tmp_path


@pytest.mark.slow
def test_humaneval_becomes_humaneval_r_byte_for_byte():
    for category in categories():
        expected = rows_of(category)
        for row in build_test_set(HumanEval(), ready(published(), category), seed=42):
            assert row.prompt == expected[row.task_id], (category, row.task_id)
            assert row.changed == (row.prompt != row.clean_prompt)


def test_cremes_example_is_the_pair_of_humaneval_49_in_c2():
    """CREME's motivating example: a repeated character, and a typo (CodeLlama-7B, HumanEval/49)."""
    rows = build_test_set(HumanEval(), ready(published(), "c2"), seed=42)
    (row,) = [row for row in rows if row.task_id == "HumanEval/49"]
    assert "modulo" in row.clean_prompt and "numerics" in row.clean_prompt
    assert row.prompt == row.clean_prompt.replace("modulo", "mmodulo", 1).replace("numerics", "numerixs")


@pytest.mark.slow
def test_safecoders_sets_take_the_same_descriptions():
    path = str(shared_data("safecoder"))
    for name, least in (("safecoder-humaneval", 150), ("safecoder-mbpp", 400)):
        from raysweep.problems.base import PROBLEMS

        problems = PROBLEMS.create(Spec(name, {"path": path}))
        rows = build_test_set(problems, ready(published(), "keyboard_typo"), seed=42)
        assert sum(row.changed for row in rows) >= least
        assert all(row.compiles for row in rows)


def test_a_description_is_replaced_up_to_a_url_and_other_texts_stay(tmp_path):
    before = "Write a function to sort a list. https://example.org/sorting"
    after = "Wrute a function to sort a lisr. https://example.org/sorting"
    spec = ready(mbpp_folder(tmp_path, (before, after)), "keyboard_typo")
    method = PERTURBATIONS.create(spec)
    text = '"""\nWrite a function to sort a list. https://www.other.example\n"""\n'
    changed = perturb_text(method, text, random.Random(0), frozenset())
    assert changed == text.replace("Write", "Wrute").replace("list.", "lisr.")
    assert perturb_text(method, "Sort it.", random.Random(0), frozenset()) == "Sort it."
    code, rng = [Segment("def f(): pass\n", False)], random.Random(0)
    before = rng.getstate()
    assert method.perturb(code, rng, frozenset()) == code and rng.getstate() == before, "nothing is drawn"
    with pytest.raises(UsageError, match="no argument 'strength'"):
        PERTURBATIONS.create(Spec(spec.name, {**spec.args, "strength": 2.0}))


def test_of_equal_descriptions_the_one_of_the_problems_function_is_taken(tmp_path):
    folder = mbpp_folder(tmp_path, ("Sort a list.", "Sort a lsit."), ("Sort a list.", "Sotr a list."))
    method = PERTURBATIONS.create(ready(folder, "keyboard_typo"))
    for at, expected in enumerate(("Sort a lsit.", "Sotr a list.")):
        text = f"Sort a list.\n>>> function_{at}([1])\n"
        assert perturb_text(method, text, random.Random(0), frozenset()).startswith(expected)


def test_keys_hang_on_the_content_and_on_the_path_only_where_its_fingerprint_is_missing(tmp_path, monkeypatch):
    one = mbpp_folder(tmp_path / "one", ("Sort a list.", "Sort a lsit."))
    same = mbpp_folder(tmp_path / "same", ("Sort a list.", "Sort a lsit."))
    other = mbpp_folder(tmp_path / "other", ("Sort a list.", "Sort a liist."))
    methods = [ready(folder, "keyboard_typo") for folder in (one, same, other)]
    keys = [method_spec(method, PERTURBATIONS.create(method)) for method in methods]
    assert keys[0] == keys[1] != keys[2]
    monkeypatch.setattr(NLPerturbator, "fingerprint", lambda self: {})
    assert len({method_spec(method, PERTURBATIONS.create(method))["args"]["path"] for method in methods[:2]}) == 2


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ("keyboard_typos", r"no category .* \(did you mean 'keyboard_typo'\?\); it has empty, keyboard_typo"),
        ("empty", "no prompt of category 'empty' is changed"),
    ],
)
def test_a_category_that_is_not_there_or_changes_nothing_is_refused(tmp_path, category, message):
    folder = mbpp_folder(mbpp_folder(tmp_path, ("Sort it.", "Srot it.")), ("Sort it.", "Sort it."), category="empty")
    with pytest.raises(UsageError, match=message):
        PERTURBATIONS.create(ready(folder, category))


def test_a_folder_that_is_not_nlperturbators_and_a_file_that_is_broken_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"no HumanEval-R or MBPP-R in .*give `path:` NLPerturbator's .*, or that"):
        PERTURBATIONS.create(ready(tmp_path, "c1"))
    mbpp_folder(tmp_path, ("Sort it.", "Srot it."))
    (tmp_path / "MBPP-R" / "mbpp_keyboard_typo.csv").write_text("prompt\nSort it.\n")
    with pytest.raises(UsageError, match=r"mbpp_keyboard_typo.csv: is not as NLPerturbator published it"):
        PERTURBATIONS.create(ready(tmp_path, "keyboard_typo"))
