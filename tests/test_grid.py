"""The grid: cells, pairs, and the study's counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.config_file import load_config
from raysweep.errors import UnknownName
from raysweep.grid import RULES, TrainedOn, build_grid

QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.yaml"
SINGLES = ["C1", "C2", "C3", "W1", "W2", "W3", "S1", "S2", "S3"]
TESTS = ["clean", *SINGLES, "C", "W", "S", "mix_all"]


def study() -> list[TrainedOn]:
    """The base model and the study's 33 training sets."""
    trained = [TrainedOn("base", "base"), TrainedOn("clean", "clean")]
    trained += [TrainedOn(name, name) for name in TESTS[1:]]
    trained += [TrainedOn(f"mix_all@{q}#{draw}", "mix_all", q / 100) for q in (10, 30, 50, 70, 90) for draw in range(3)]
    return trained + [TrainedOn(f"size{f}", "mix_all", 0.6) for f in (0.25, 0.5, 2, 3)]


@pytest.mark.parametrize(("rule", "pairs"), [("paper", 718), ("figures", 244), ("all", 952)])
def test_a_rule_gives_the_studys_pairs_per_base_model(rule, pairs):
    benchmarks = 2
    assert sum(benchmarks * len(RULES[rule](trained, TESTS)) for trained in study()) == pairs


def test_the_quickstart_has_twelve_cells_judged_on_five_test_sets():
    grid = build_grid(load_config(QUICKSTART))
    assert [cell.id for cell in grid.cells[:2]] == ["llama.base", "gpt_bigcode.base"]
    assert len(grid.cells) == 12 and len(grid.pairs) == 60
    assert grid.cells[2].id == "llama.full.clean.s42"
    assert len({cell.id for cell in grid.cells}) == 12


def test_each_seed_is_a_cell_of_its_own_and_the_base_is_judged_once():
    grid = build_grid(load_config(QUICKSTART, ["seeds=[1, 2]"]))
    assert len(grid.cells) == 2 + 20


def test_pairs_written_in_the_config_are_taken_and_clean_always_is():
    grid = build_grid(load_config(QUICKSTART, ["evaluation.pairs={C1: [C1], base: []}"]))
    pairs = {(pair.cell.training_set, pair.perturbation) for pair in grid.pairs}
    assert {p for t, p in pairs if t == "C1"} == {"clean", "C1"}
    assert {p for t, p in pairs if t == "base"} == {"clean"}
    assert {p for t, p in pairs if t == "C2"} == {"clean", "C1", "C2", "C3", "C"}


def test_a_pair_of_an_unknown_set_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="did you mean 'clean'"):
        build_grid(load_config(QUICKSTART, ["evaluation.pairs={claen: [C1]}"]))
