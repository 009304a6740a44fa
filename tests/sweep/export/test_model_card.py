"""Model cards: huggingface_hub reads back the numbers that were written."""

from __future__ import annotations

from huggingface_hub import ModelCard

from raysweep.config.schema import SweepConfig
from raysweep.sweep.export.formats import export_format
from raysweep.sweep.export.model_card import _is_hub_id
from raysweep.sweep.report.scoring import score


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
    assert "**Limited run:** judged on the first 6 problems" in card.text


def test_undefined_numbers_are_left_out_of_the_front_matter_and_the_text_says_why(swept, tmp_path):
    export_format(swept, "model-card", tmp_path, model="none.base")
    card = ModelCard.load(tmp_path / "none.base" / "README.md")
    assert "RD" not in {one.metric_type for one in card.data.eval_results}
    assert "- RD on humaneval C1 is undefined: the clean score is 0" in card.text
    assert not (tmp_path / "half.base").exists()


def test_only_a_hub_id_becomes_the_base_model():
    paths = {"org/name": True, "gpt2": True, "/models/org/name": False, "models/org/name": False}
    for path, is_id in paths.items():
        (model,) = SweepConfig.model_validate(
            {"name": "s", "models": [{"name": "m", "path": path}], "evaluation": {"problems": ["humaneval"]}}
        ).models
        assert _is_hub_id(model) is is_id
