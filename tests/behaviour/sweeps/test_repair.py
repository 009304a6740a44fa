"""Whole sweeps of repair problems: patches, answers without one, sets without tests, and what a config may combine."""

import math
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.loading import config_from, load_config
from raysweep.errors import UsageError
from raysweep.planning.planner import build_plan
from raysweep.records import Result
from raysweep.sweep.folder import open_folder
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.models.scripted import byte_tokenizer, write_scripted
from tests.problems.repair.rows import GCD, lines, quixbugs
from tests.problems.repair.test_defects4j import written

MINI = {"name": "minirepair", "world": 3, "count": 8}


def config(models: list[dict[str, Any]], *problems: dict[str, Any], **more: Any) -> Any:
    value = {"name": "repair", "allow_code_execution": True, "models": models}
    return config_from({**value, "evaluation": {"problems": list(problems)}, **more}, "test", [])


@pytest.mark.slow
def test_patches_are_judged_and_compared_with_the_published_ones(tmp_path: Path) -> None:
    hunk = {"name": "hunk", "generator": {"name": "fake", "share": 0.5, "wrong": "    return None\n"}}
    rest = {"name": "rest", "generator": {"name": "fake", "share": 0, "wrong": "\n"}, "template": "zero_shot_plain"}
    swept = config([hunk, rest], MINI, {"name": "defects4j", **written(tmp_path)})
    result = run_sweep(swept, RunOptions(str(tmp_path / "store"), "local"))
    assert not result.errors
    folder = open_folder("repair", str(tmp_path / "store"))
    rows = {(row.model, row.problem_set): list(folder.store.rows(row.results, Result)) for row in folder.grid()}
    assert {(one.outcome == "passed", one.exact) for one in rows["hunk", "minirepair"]} == {
        (True, True),
        (False, False),
    }
    assert {(one.outcome, one.exact, one.found) for one in rows["rest", "minirepair"]} == {
        ("no_patch", False, "no patch")
    }
    assert {one.outcome for one in rows["hunk", "defects4j"]} == {"untested"}
    assert {(one.outcome, one.found) for one in rows["rest", "defects4j"]} == {("untested", "no patch")}
    scores = {(one.model, one.problem_set, one.metric): one.value for one in SavedNumbers(folder).scores()}
    share = sum(one.exact is True for one in rows["hunk", "minirepair"]) / len(rows["hunk", "minirepair"])
    assert scores["hunk", "minirepair", "plausible@1"] == scores["hunk", "minirepair", "exact match@1"] == share
    assert scores["rest", "minirepair", "plausible@1"] == scores["rest", "defects4j", "exact match@1"] == 0
    without_tests = {(model, metric) for model, name, metric in scores if name == "defects4j"}
    assert ("hunk", "plausible@1") not in without_tests and ("rest", "plausible@1") not in without_tests
    assert math.isnan(scores["rest", "defects4j", "pass@1"])
    assert "correct" not in " ".join(metric for _, _, metric in scores)
    table = (folder.path / "tables" / "repair-regimes.csv").read_text()
    assert (
        f"hunk,hunk,none,{100 * share:g}" in table
        and 'id="program-repair"' in (folder.path / "report.html").read_text()
    )


@pytest.mark.slow
def test_a_prompt_that_is_skipped_has_no_patch_and_an_empty_answer_takes_the_hunk_out(tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "model", byte_tokenizer()).location  # its answers are empty
    skips = {"name": "transformers", "longest_prompt": 2}
    models = [{"name": "answers", "path": path}, {"name": "skips", "path": path, "generator": skips}]
    shown = {"problems": [{**MINI, "count": 2}], "prompt_format": "repair_plain", "max_new_tokens": 4}
    swept = config(models, evaluation=shown)
    assert not run_sweep(swept, RunOptions(str(tmp_path / "store"), "local")).errors
    folder = open_folder("repair", str(tmp_path / "store"))
    found = {row.model: {one.found for one in folder.store.rows(row.results, Result)} for row in folder.grid()}
    assert found == {"answers": {"patch"}, "skips": {"no patch"}}
    counts = {row.model: folder.store.manifest(row.completions)["counts"]["prompts_too_long"] for row in folder.grid()}
    assert counts == {"answers": 0, "skips": 2}


@pytest.mark.parametrize(
    "model, problems, message",
    [
        ({"template": "chat"}, MINI, "minirepair is code with a fault, which the template 'chat' can't show"),
        ({"template": "zero_shot_plain"}, {"name": "minicode", "world": 3}, "problem set minicode has none"),
    ],
)
def test_templates_for_repair_and_problem_sets_for_repair_need_each_other(
    model: dict[str, Any], problems: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        config([{"name": "one", "generator": "fake", **model}], problems)


def test_a_server_that_chats_can_not_repair_and_one_that_continues_prompts_can() -> None:
    server = {"name": "openai", "served": "one", "url": "http://127.0.0.1:9/v1"}
    with pytest.raises(UsageError, match=r"models\.0\.generator: .*answers as a chat.*give .*`api: completions`"):
        config([{"name": "one", "template": "raw", "generator": {**server, "api": "chat"}}], MINI)
    config([{"name": "one", "template": "raw", "generator": server}], MINI)


def test_a_model_that_is_trained_needs_rows_to_repair_and_a_template_of_its_kind() -> None:
    rows = {"name": "minicode", "part": "pretraining", "world": 3, "rows": 100}
    pretrain = {"family": "qwen2", "recipe": "full", "source": rows, "vocab_size": 300}
    model = {"name": "tiny", "pretrain": pretrain, "template": "repair_seq2seq_plain", "recipes": ["full"]}
    training = {"source": {**rows, "part": "finetuning"}, "sets": ["clean"]}
    with pytest.raises(UsageError) as error:
        config([model], MINI, recipes={"full": {"max_tokens": 64}}, training=training)
    text = str(error.value)
    assert "is for an encoder-decoder model, and tiny is a causal model; take one of repair_plain" in text
    assert "rows of the source minicode have none; take the source repair" in text


def from_scratch(shown: str, family: str = "qwen2", **pretrain: Any) -> list[dict[str, Any]]:
    """Return a model that is trained from scratch to repair, and not fine-tuned."""
    rows = {"name": "minirepair", "part": "pretraining", "world": 3, "rows": 100}
    made = {"family": family, "recipe": "full", "source": rows, "vocab_size": 300, **pretrain}
    return [{"name": "tiny", "pretrain": made, "template": shown}]


@pytest.mark.slow
def test_the_report_shows_the_prompts_of_a_model_from_scratch_whose_tokens_lie_in_the_store(tmp_path: Path) -> None:
    tokens = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"]
    shown = {"problems": [{**MINI, "count": 2}], "max_new_tokens": 4}
    recipes = {"full": {"max_tokens": 128, "steps": 1}}
    swept = config(from_scratch("zero_shot_infill", special_tokens=tokens), recipes=recipes, evaluation=shown)
    assert not run_sweep(swept, RunOptions(str(tmp_path / "store"), "local")).errors
    page = (open_folder("repair", str(tmp_path / "store")).path / "report.html").read_text()
    assert "&lt;fim_suffix&gt;" in page and "&lt;fim_middle&gt;" in page


def test_a_model_without_weights_has_no_tokens_to_fill_holes_with() -> None:
    with pytest.raises(UsageError, match=r"models\.0\.template: .*one has no weights here; take repair_buggy_line"):
        config([{"name": "one", "generator": "fake", "template": "repair_infill"}], MINI)


MASKS = ["<extra_id_0>", "<extra_id_1>"]
T5 = from_scratch("repair_seq2seq_plain", "t5", special_tokens=MASKS)


@pytest.mark.parametrize("model", [from_scratch("repair_plain"), T5])
def test_a_format_of_all_prompts_is_one_for_each_models_architecture(model: list[dict[str, Any]]) -> None:
    fits = "repair_plain" if model[0]["pretrain"]["family"] == "qwen2" else "zero_shot_mask_plain"
    wrong = {"repair_plain": "repair_seq2seq_plain", "zero_shot_mask_plain": "repair_buggy_line"}[fits]
    recipes = {"full": {"max_tokens": 64}}
    config(model, recipes=recipes, evaluation={"problems": [MINI], "prompt_format": fits})
    with pytest.raises(UsageError, match=rf"1 error\n.*evaluation.prompt_format: the template '{wrong}' is for an? "):
        config(model, recipes=recipes, evaluation={"problems": [MINI], "prompt_format": wrong})
    with pytest.raises(
        UsageError, match=r"1 error\n.*evaluation.prompt_format: .* the template 'magicoder' can't show"
    ):
        config(model, recipes=recipes, evaluation={"problems": [MINI], "prompt_format": "magicoder"})


@pytest.mark.parametrize("shown", ["zero_shot_infill", "repair_infill"])
def test_a_format_of_all_prompts_needs_tokens_that_each_model_has(shown: str) -> None:
    evaluation = {"problems": [MINI], "prompt_format": shown}
    with pytest.raises(
        UsageError, match=rf"1 error\n.*evaluation\.prompt_format: .*'{shown}'.* one has no weights here"
    ):
        config([{"name": "one", "generator": "fake"}], evaluation=evaluation)
    with pytest.raises(UsageError, match=rf"1 error\n.*special_tokens: the template '{shown}' needs .*give "):
        config(from_scratch("repair_plain"), recipes={"full": {"max_tokens": 64}}, evaluation=evaluation)


@pytest.mark.parametrize(
    "model, message",
    [
        (
            from_scratch("repair_infill"),
            "pretrain.special_tokens: .*give \\[<fim_prefix>, <fim_suffix>, <fim_middle>\\]",
        ),
        (
            from_scratch("repair_seq2seq_plain", "t5"),
            "special_tokens: the template 'zero_shot_mask_plain' needs .*give \\[<extra_id_0>, <extra_id_1>\\]",
        ),
        (from_scratch("repair_plain", template="zero_shot_plain"), "pretrain.template: .* answer with the rest"),
        (from_scratch("repair_plain", template="chat"), "pretrain.template: .* has no chat template"),
        (from_scratch("repair_plain", template="zero_shot_mask_plain"), "pretrain.template: .*an encoder-decoder"),
        (from_scratch("repair_plain", source={"name": "minicode", "world": 3, "rows": 9}), "source minicode have none"),
    ],
)
def test_a_model_from_scratch_is_trained_on_what_it_can_be_shown(model: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UsageError, match=f"1 error\n.*{message}"):
        config(model, MINI, recipes={"full": {"max_tokens": 64, "batch_size": 8}})


def test_a_model_from_scratch_may_learn_something_else_than_to_repair() -> None:
    tokens = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"]
    rows = {"name": "minicode", "part": "pretraining", "world": 3, "rows": 100}
    model = from_scratch("repair_infill", template="raw", source=rows, special_tokens=tokens)
    base = build_plan(config(model, MINI, recipes={"full": {"max_tokens": 64}})).cells[0].base
    assert base.recipe is not None and base.recipe.template == "raw" and base.special_tokens == tuple(tokens)


def test_files_that_do_not_exist_are_errors_with_the_configs_line(tmp_path: Path) -> None:
    path = Path(quixbugs(tmp_path, GCD)).with_name("nothing.jsonl")
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: repair\nmodels:\n  - {name: one, generator: fake}\nevaluation:\n  problems:\n"
        f"    - {{name: quixbugs, path: {path}}}\n"
    )
    with pytest.raises(UsageError, match=r"sweep\.yaml: 1 error\n  line 6, .*nothing\.jsonl doesn't exist"):
        load_config(file)


def test_patches_by_defects4js_developers_are_refused_as_training_rows_unless_they_are_dropped(tmp_path: Path) -> None:
    rows = {"name": "minirepair", "world": 3, "rows": 30, "part": "pretraining"}
    pretrain = {"family": "qwen2", "recipe": "full", "source": rows, "vocab_size": 300}
    model = {"name": "tiny", "pretrain": pretrain, "template": "repair_plain", "recipes": ["full"]}
    fault = {"before": "f() {\n", "buggy": "    a();\n", "after": "}", "fixed": "    b();\n"}
    source = {"name": "repair", "path": lines(tmp_path / "rows.jsonl", fault, {**fault, "task_id": "Chart-4"})}
    sets = {"source": source, "sets": ["clean"]}
    defects4j = {"name": "defects4j", **written(tmp_path)}
    recipes = {"full": {"max_tokens": 64, "batch_size": 2}}
    with pytest.raises(UsageError) as error:
        config([model], defects4j, recipes=recipes, training=sets)
    assert (
        "training.source: 1 row is a patch by developers of projects that models are evaluated on, first '0000001' "
        "(Defects4J/Chart-4); remove them, or give `decontaminate: drop`, which leaves them out"
    ) in str(error.value)
    assert config([model], defects4j, recipes=recipes, training={**sets, "decontaminate": "drop"})
    assert config([model], MINI, recipes=recipes, training=sets)
    pretrained = {**model, "pretrain": {**pretrain, "source": source}}
    for training in ({**sets, "decontaminate": "drop"}, None):
        taught = {**pretrained, "recipes": ["full"] if training else []}
        with pytest.raises(UsageError, match=r"models\.0\.pretrain\.source: 1 row is a patch .*; remove them$"):
            config([taught], defects4j, recipes=recipes, training=training)
