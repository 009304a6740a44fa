"""Model cards: huggingface_hub reads back the numbers that were written."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from raysweep.analysis.comparisons.base import rates_of
from raysweep.metrics.base import CellLabels
from raysweep.metrics.scores import problem_scores, scores_of
from raysweep.sweep.export.formats import export_format
from raysweep.sweep.export.model_card import OF_SEEDS, _of_seeds, is_hub_id
from raysweep.sweep.export.scores import _over_seeds
from raysweep.sweep.report.scoring import CellNumbers, score
from tests.analysis.tables.test_pooling import verdicts


def test_the_hubs_library_reads_equal_values_back(swept, tmp_path):
    done = export_format(swept, "model-card", tmp_path)
    assert done.files == ("half.base/README.md", "none.base/README.md")
    card = ModelCard.load(tmp_path / "half.base" / "README.md")
    results = card.data.eval_results
    found = {(one.dataset_config, one.metric_type): one.metric_value for one in results}
    scores = {(s.perturbation, s.metric): s.value for s in score(swept).scores if s.model == "half"}
    assert found.items() <= scores.items() and len(found) == len(results)
    assert {("clean", "pass@1"), ("C1", "pass@1"), ("C1", "RD"), ("C1", "drop")} <= found.keys()
    assert {one.dataset_type for one in results} == {"openai/openai_humaneval"}
    assert {one.dataset_name for one in results} == {
        f"humaneval {name} (the first 6 problems)" for name in ("clean", "C1")
    }
    assert "**Limited run:** evaluated on the first 6 problems" in card.text


def test_undefined_numbers_are_left_out_of_the_front_matter_and_the_text_says_why(swept, tmp_path):
    export_format(swept, "model-card", tmp_path, model="none.base")
    card = ModelCard.load(tmp_path / "none.base" / "README.md")
    assert "RD" not in {one.metric_type for one in card.data.eval_results}
    assert "- RD on humaneval C1 is undefined: the clean score is 0" in card.text
    assert not (tmp_path / "half.base").exists()


def test_a_card_of_one_seed_has_no_columns_for_several(swept, tmp_path):
    export_format(swept, "model-card", tmp_path)
    text = (tmp_path / "half.base" / "README.md").read_text()
    assert "| test set | metric | value | 95 % interval | problems | note |\n" in text
    assert not any(column in text for column in OF_SEEDS if column != "seeds")


def numbers_of(recipe: str, trained: str, seed: int) -> CellNumbers:
    labels = CellLabels("m", recipe, trained, seed)
    results = {("mini", name): verdicts(recipe, trained, seed, name) for name in ("clean", "C1")}
    problems = list(problem_scores(labels, {name: [of] for name, of in results.items()}))
    return CellNumbers(labels, list(scores_of(labels, results, {})), problems, rates_of(problems), [], {})


def test_means_over_seeds_stand_beside_a_models_numbers_with_an_interval_over_both():
    cells = [numbers_of("full", "C1", seed) for seed in (1, 2, 3)]
    pooled = _over_seeds([numbers_of("none", "base", 1), *cells])
    assert {place[2] for place in pooled} == {"C1"}, "a base model has no seeds"
    mean = pooled["m", "full", "C1", "mini", "clean"]["pass@1"]
    own = [s for cell in cells for s in cell.scores if (s.perturbation, s.metric) == ("clean", "pass@1")]
    assert mean.value == pytest.approx(sum(s.value for s in own) / 3) and mean.seeds == 3
    assert mean.high - mean.value >= 4.3 * mean.sd / 3**0.5, "no narrower than Student's over the three seeds"
    assert _of_seeds(mean) == [f"{mean.value:.3f}", f"{mean.sd:.3f}", "3", f"{mean.low:.3f} to {mean.high:.3f}"]
    assert _over_seeds(cells[:1]) == {} and _of_seeds(None) == ["", "", "", ""]


def test_only_a_hub_id_becomes_the_base_model():
    paths: dict[str | None, bool] = {
        "org/name": True,
        "gpt2": True,
        "/models/org/name": False,
        "models/org/name": False,
        None: False,
    }
    assert {path: is_hub_id(path) for path in paths} == paths
