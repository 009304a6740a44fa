"""What `raysweep plan` tells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from raysweep.accelerators import ACCELERATORS
from raysweep.cli.views.plan import print_plan
from raysweep.config.document import Document
from raysweep.config.fields import SourceConfig
from raysweep.config.loading import config_from, load_config, validate
from raysweep.config.models import LoraConfig, RecipeConfig
from raysweep.errors import MissingInput, UsageError
from raysweep.models.families.llama import Llama
from raysweep.planning.missing import ENDED
from raysweep.planning.planner import build_plan
from raysweep.problems.humaneval import HumanEval
from raysweep.storage.store import Store
from raysweep.sweep.overview.plan import plan_facts
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.models.configs import make_random
from tests.models.scripted import byte_tokenizer, write_scripted
from tests.models.tiny import make_chat_model
from tests.paths import CONFIGS, NANO

STUDY = str(CONFIGS / "study.yaml")


def small(**more: Any) -> Any:
    models = [{"name": "reference", "generator": "reference"}]
    value = {"name": "s", "models": models, "evaluation": {"problems": ["humaneval"]}, **more}
    return build_plan(config_from(value, "test"))


def test_a_plan_of_one_cell_is_told_in_the_singular(capsys, tmp_path):
    print_plan(plan_facts(small(), Store(tmp_path)), as_json=False)
    assert "1 cell, 1 evaluation pair (rule: all); 1 cell to do" in capsys.readouterr().out


def own(tmp_path: Path, **model: Any) -> Any:
    model = {"name": "mine", "path": str(tmp_path / "mine"), **model}
    if not Path(model["path"]).exists():
        make_chat_model("chatml", Path(model["path"]))
    training = {"source": {"name": "minicode", "rows": 32}, "sets": ["C1"]}
    recipes = {"full": {}, "lora": {"trainer": "lora"}, "few": {"trainer": "lora", "lora": {"targets": ["q_proj"]}}}
    recipes["roomy"] = {"trainer": "lora", "resources": {"training": {"memory_gib": 3}}}
    config = {"models": [model], "recipes": recipes, "training": training}
    return small(**config)


def told(plan: Any, tmp_path: Path, capsys: Any) -> str:
    print_plan(plan_facts(plan, Store(tmp_path / "store")), as_json=False)
    return capsys.readouterr().out


def test_a_chat_template_that_nothing_uses_is_said_and_what_each_model_is_shown(capsys, tmp_path):
    out = told(own(tmp_path), tmp_path, capsys)
    assert "mine is shown prompts as they are\n" in out
    assert "mine: its tokenizer brings a chat template, which `template: chat` would use" in out
    out = told(own(tmp_path, recipes=["full"]), tmp_path, capsys)
    assert "mine is shown prompts as they are; fine-tuned: prompts in the study's instruction template\n" in out
    out = told(own(tmp_path, recipes=["full"], template="chat"), tmp_path, capsys)
    whole = "no stop string of a problem ends an answer: programs are taken out of whole answers, by `extract: auto`"
    assert f"mine is shown prompts in its tokenizer's chat template; {whole}\n" in out and "would use" not in out
    out = told(own(tmp_path, template="Q: {{ instruction }}\nA: "), tmp_path, capsys)
    assert f"mine is shown prompts in a Jinja template; {whole}\n" in out


def test_the_modules_and_the_number_of_weights_that_train_are_told(capsys, tmp_path):
    out = told(own(tmp_path, recipes=["full", "lora", "few"]), tmp_path, capsys)
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "mine")
    total = network.num_parameters()
    assert f"mine, recipe full, trains all {total:,} weights" in out
    for recipe, modules in (("lora", Llama.lora_targets), ("few", ("q_proj",))):
        adapted = [module for name, module in network.named_modules() if name.endswith(tuple(modules))]
        weights = sum(16 * (module.in_features + module.out_features) for module in adapted)
        (line,) = (line for line in out.splitlines() if f"recipe {recipe}," in line)
        assert all(module in line for module in modules) and line.endswith(
            f": {weights:,} weights ({100 * weights / total:.2g} %) beside the model's {total:,}, which stay as they "
            "are"
        )


def test_the_steps_of_a_training_and_the_rows_that_none_takes_are_told(capsys, tmp_path):
    out = told(own(tmp_path, recipes=["full", "lora"]), tmp_path, capsys)
    assert "recipe full: 4 steps of 16 on 32 rows\n" in out and "left over" not in out
    plan = own(tmp_path, recipes=["full"])
    source = SourceConfig(name="minicode", rows=24)
    training = plan.config.training.model_copy(update={"source": source})
    out = told(build_plan(plan.config.model_copy(update={"training": training})), tmp_path, capsys)
    assert "recipe full: 2 steps of 16 on 24 rows; 8 of them are left over in each epoch, as fewer than `bat" in out


def test_a_group_of_recipes_is_one_line_with_the_choice_among_its_models(capsys, tmp_path):
    recipe = {"trainer": "lora", "lr": [0.001, 0.002], "epochs": [1, 2], "select": {"by": "validation_loss"}}
    model = {"name": "mine", "path": str(tmp_path / "mine"), "recipes": ["tuned"]}
    make_chat_model("chatml", tmp_path / "mine")
    rows = {"name": "minicode", "rows": 32}
    training = {"source": rows, "validation": {**rows, "part": "pretraining"}, "sets": ["C1"]}
    plan = small(models=[model], recipes={"tuned": recipe}, training=training)
    facts = plan_facts(plan, Store(tmp_path / "store"))
    assert [cell.model for cell in facts.cells] == ["base", *4 * ["to train"], "to choose"]
    print_plan(facts, as_json=False)
    out = capsys.readouterr().out
    assert "1 model to be evaluated, chosen among 4 candidates by validation loss (`select`)" in out
    assert re.search(r"mine +tuned +5 +0 of 4 +0 of 1 ", out)
    assert "mine, recipe tuned, trains LoRA on " in out and "tuned.lr" not in out
    assert "recipe tuned: 2 steps of 16 on 32 rows\nrecipe tuned: 4 steps of 16 on 32 rows\n" in out


def test_modules_that_a_model_lacks_are_refused(tmp_path):
    plan = own(tmp_path, recipes=["lora"])
    config = plan.config.model_copy(
        update={"recipes": {"lora": RecipeConfig(trainer="lora", lora=LoraConfig(targets=["Wqkv"]))}}
    )
    with pytest.raises(UsageError, match=r"recipes.lora doesn't fit model mine: this llama model has no module 'Wqkv'"):
        plan_facts(build_plan(config), Store(tmp_path / "store"))


def test_what_this_machine_can_not_hold_is_said_and_the_plan_still_shown(capsys, tmp_path):
    facts = plan_facts(small(resources={"cpus": 4000}), Store(tmp_path))
    print_plan(facts, as_json=False)
    out = capsys.readouterr().out
    assert (
        "can never be scheduled: training asks for 4000 CPU" in out
        and "not on this machine: " in out
        and "1 cell to do" in out
    )
    assert plan_facts(small(), Store(tmp_path)).here == ""


def test_what_processes_ask_for_is_told_by_stage(capsys, tmp_path):
    resources = {"training": {"cpus": 2}, "execution": {"cpus": 3}}
    lines = told(own(tmp_path, recipes=["full", "lora"], resources=resources), tmp_path, capsys).splitlines()
    assert "a training worker asks for 2 CPU, 1.0 GiB of memory" in lines, "as much for both recipes"
    assert "an execution actor asks for 3 CPU" in lines
    lines = told(own(tmp_path, recipes=["full", "roomy"], resources=resources), tmp_path, capsys).splitlines()
    training = [line for line in lines if line.startswith("a training worker asks for 2 CPU, ")]
    assert [line.rpartition(": ")[2] for line in training] == ["mine.full", "mine.roomy"]


def test_a_plan_whose_programs_may_not_run_yet_says_so(capsys, tmp_path):
    print_plan(plan_facts(small(), Store(tmp_path)), as_json=False)
    assert "programs may not run yet: `raysweep run` needs --allow-code-execution" in capsys.readouterr().out
    print_plan(plan_facts(small(allow_code_execution=True), Store(tmp_path)), as_json=False)
    assert "--allow-code-execution" not in capsys.readouterr().out


def test_how_programs_will_be_run_is_told(capsys, tmp_path):
    facts = plan_facts(small(execution={"lane": "strict", "require": "limits", "timeout": 2.5}), Store(tmp_path))
    print_plan(facts, as_json=False)
    how = "each has a process of its own (lane strict), at isolation level limits or better"
    assert f"programs: {how}; time limits: humaneval 2.5 s" in capsys.readouterr().out


def test_compilers_are_named_or_said_to_be_missing(capsys, tmp_path, monkeypatch):
    row = {"task_id": "a", "language": "java", "prompt": "class Solution {\n    int f() {\n", "test": "class Main { }"}
    (tmp_path / "java.jsonl").write_text(json.dumps({**row, "canonical_solution": "return 1; } }"}))
    problems = [{"name": "jsonl", "as": "mine", "path": str(tmp_path / "java.jsonl")}]
    problems.append({"name": "humaneval-x", "as": "gone", "language": "cpp", "path": str(tmp_path / "nowhere.gz")})
    value = {"name": "s", "models": [{"name": "reference", "generator": "reference"}]}
    document = Document("test", {**value, "evaluation": {"problems": problems}}, {}, {})
    plan = build_plan(validate(document, missing=[]), tolerant=True)

    def missing(language: str, flags: str) -> str:
        raise MissingInput("no JDK")

    for identity, said in ((lambda *_: "JDK 17, 1", "JDK 17"), (missing, "no compiler for them is here")):
        monkeypatch.setattr("raysweep.sweep.overview.plan.identity", identity)
        print_plan(plan_facts(plan, Store(tmp_path)), as_json=False)
        lines = capsys.readouterr().out.splitlines()
        for name in ("mine", "gone"):
            assert f"programs on {name}: each has a process of its own; {said}" in lines
        assert any(line.startswith("programs: each has a process of its own (lane strict)") for line in lines)


def test_edits_are_an_upper_bound_and_each_recipe_has_its_line(capsys, tmp_path):
    overrides = ["recipes.creme={trainer: creme}", "recipes.denoised={trainer: self-denoising}", "training=null"]
    overrides += ["models.0.recipes=[creme, denoised]", "edits={perturbations: [C1], pairs: 3}"]
    plan, store = build_plan(load_config(NANO, overrides)), Store(tmp_path)
    print_plan(plan_facts(plan, store), as_json=False)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "3 edits at most, since a base may have fewer eligible pairs than asked for" in lines
    many = load_config(NANO, [*overrides, "edits.pairs=100", "recipes.rome={trainer: rome, edit: {edit_at: 0}}"])
    many.models[0].recipes.append("rome")
    print_plan(plan_facts(build_plan(many), store), as_json=False)
    of_two_methods = "12 edits at most in 200 cells: the other 188 end without a model, since `edits` asks for more"
    assert of_two_methods in capsys.readouterr().out, "a problem set of six problems has six pairs of a perturbation"
    assert [line.split()[:3] for line in lines if line.startswith("llama ")][:3] == [
        ["llama", "1", "0"],
        ["llama", "creme", "3"],
        ["llama", "denoised", "1"],
    ]
    store.require_writable()
    search = next(cell.pair_search for cell in plan.cells if cell.pair_search)
    with store.writing(search.node) as draft:
        draft.counts = {ENDED: "no such pair: none"}
    print_plan(plan_facts(plan, store), as_json=False)
    ended = "asked for; 1 of them made no model: no such pair, or not reproduced"
    assert ended in capsys.readouterr().out


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without network, weights and translator."""
    monkeypatch.setattr("raysweep.models.hub.hub_is_reachable", lambda: False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("raysweep.language.translation.base._PREFERRED", ())
    monkeypatch.chdir(tmp_path)


def test_the_studys_plan_needs_nothing_and_lists_once_what_is_missing(alone, cli, tmp_path):
    code, out, _ = cli("plan", STUDY, "--json", "--storage", str(tmp_path / "store"))
    facts = json.loads(out)
    assert code == 0
    assert facts["summary"] == {
        "base_models": 6,
        "training_sets": 33,
        "fine_tuned_models": 198,
        "test_sets": 28,
        "pairs": 4308,
        "edited_models": 0,
        "ended_edits": 0,
        "rewriters": [],
        "choices": 0,
        "candidates": 0,
        "edit_cells": 0,
    }
    missing = facts["missing_inputs"]
    assert len(missing) == len(set(missing)) == 9
    for said in ("evol.jsonl doesn't exist", "no HumanEval_", "no mbpp_", "needs a translator", "CodeLlama-7b-hf"):
        assert sum(said in line for line in missing) == 1, said
    tuned = [cell for cell in facts["cells"] if cell["model"] == "to train"]
    assert len(tuned) == 198 and len(facts["cells"]) == 204
    for cell in tuned:
        assert cell["peak_memory_bytes"] > cell["generation_memory_bytes"] > 0 and cell["disk_bytes"] > 0
        assert set(cell["hours"]) == set(ACCELERATORS) and cell["basis"] == "estimated"
    assert facts["download_bytes"]["codellama-7b-hf"] == 2 * 6_738_546_688
    assert not (tmp_path / "store").exists()


def test_a_run_is_refused_where_a_plan_goes_on(alone, cli):
    code, out, err = cli("run", STUDY)
    assert (code, out) == (2, "") and "evol.jsonl doesn't exist" in err and "models.4.path" in err


def test_the_table_has_a_line_for_each_model_and_recipe(alone, cli, tmp_path):
    prices = ("--set", "prices.H100=4", "--set", "prices.L4=1")
    code, out, _ = cli("plan", STUDY, "--storage", str(tmp_path / "store"), *prices)
    assert code == 0 and "missing (a run would stop here):" in out
    assert "6 base models, 33 training sets, 198 fine-tuned models, 28 test sets" in out
    assert "204 cells, 4,308 evaluation pairs (rule: paper); 204 cells to do" in out
    assert len([line for line in out.splitlines() if line.startswith(" codegen-2b ")]) == 4
    assert "hours are estimates, from FLOPs at 20% (16 bits) or 50% (float32) of a card's peak" in out
    assert "* one accelerator can't hold a cell, even with one row a pass: too little memory, or no bf16" in out
    hours = out.split("accelerator hours")[1].splitlines()
    base, largest = (line for line in hours if line.startswith(" codellama-7b-hf "))
    assert base.count(" *") < largest.count(" *") < len(ACCELERATORS), (base, largest)
    (together,) = (line for line in hours if line.startswith(" together "))
    assert together.count(" *") == largest.count(" *"), "the sum counts hours that can't be had there"
    assert re.search(r"cost by `prices`, if all runs on one type: H100 6,\d{3}\.\d\d, L4 \d+,\d{3}\.\d\d \*; an", out)
    assert "disk of weights are not known" not in out


def test_what_nothing_is_known_of_is_unknown_with_the_reason(alone, cli, tmp_path):
    make_random("mamba", tmp_path / "mamba")
    config = {
        "name": "s",
        "models": [{"name": "gone", "path": "./gone"}, {"name": "mine", "path": "mamba", "recipes": ["full"]}],
        "recipes": {"full": {}},
        "training": {"source": {"name": "minicode", "rows": 32}, "sets": ["C1"]},
        "evaluation": {"problems": ["minicode"]},
    }
    (tmp_path / "s.yaml").write_text(json.dumps(config))
    code, out, _ = cli("plan", "s.yaml")
    assert code == 0 and "hours are estimates" not in out
    why = "gone (it isn't here), mine (raysweep can't foretell what mamba models take)"
    assert f"memory, hours and the disk of weights are not known for: {why}\n" in out
    assert len([line for line in out.splitlines() if line.split()[-2:] == ["unknown"] * 2]) == 3
    assert "for what is known of models and completions\n" in out


def test_hours_of_gpus_that_nothing_asks_for_have_the_reason(capsys, tmp_path):
    out = told(own(tmp_path, recipes=["full"]), tmp_path, capsys)
    assert (
        "hours are estimates" in out and "no GPU is asked for (`resources.gpus`); hours on CPUs are known once" in out
    )


def test_a_typo_stays_an_error_whatever_is_missing(alone, cli):
    code, out, err = cli("plan", STUDY, "--set", "recipes.full.precison=bf16")
    assert (code, out) == (2, "") and "did you mean 'precision'?" in err


def test_longer_rows_than_positions_are_an_error_that_names_both_numbers(alone, cli):
    code, _, err = cli("plan", STUDY, "--set", "recipes.lora.max_tokens=4096")
    assert code == 2
    assert "the recipe takes rows of up to 4096 tokens, and codegen-2b has 2048 positions" in err


def test_a_training_that_can_not_fit_is_one_error(alone, cli):
    label = "resources.labels={ray.io/accelerator-type: V100}"
    code, out, err = cli("plan", STUDY, "--set", label)
    assert (code, out) == (2, "") and len(err.strip().splitlines()) == 1
    assert "cell codellama-7b-hf.lora-7b.clean.s42 (and 32 trainings more) can't be trained" in err
    assert "the accelerator V100 has room for 31.5 GiB, and" in err
    assert "the nearest settings of `recipes.lora-7b` that fit: " in err


def test_equal_lines_of_several_models_and_recipes_are_one(capsys, tmp_path):
    plan = own(tmp_path, recipes=["full", "lora"])
    config = plan.config.model_copy(
        update={
            "models": [plan.config.models[0].model_copy(update={"name": name}) for name in ("mine", "twin", "third")]
        }
    )
    out = told(build_plan(config), tmp_path, capsys)
    assert out.count("a chat template, which `template: chat` would use") == 1
    assert "mine, twin, third: their tokenizers bring a chat template" in out
    for recipe in ("full", "lora"):
        (line,) = [line for line in out.splitlines() if f"recipe {recipe}" in line and "train" in line]
        assert line.startswith(f"mine, recipe {recipe}; twin, recipe {recipe}; third, recipe {recipe}, train ")


def test_what_models_are_is_a_line_and_control_tokens_in_prompts_are_counted(capsys, tmp_path):
    write_scripted(tmp_path / "mine", byte_tokenizer(("<|endoftext|>", "<|im_end|>", "List")))
    line = "ends at <|endoftext|> or <|im_end|>, 512 positions"
    out = told(own(tmp_path), tmp_path, capsys)
    holding = sum("List" in problem.prompt for problem in HumanEval().problems())
    assert out.startswith(
        f"{holding} of 164 prompts of humaneval hold 'List', such as prompt HumanEval/0: mine reads control"
    )
    assert f"mine: {line}\n" in out
    models = [{"name": name, "path": str(tmp_path / "mine")} for name in ("one", "two")]
    assert f"one, two: {line}\n" in told(small(models=models), tmp_path, capsys)


def test_settings_of_generation_config_that_are_not_used_are_said_once_for_all_models_that_have_them(
    capsys, tmp_path, caplog
):
    penalised = {"eos_token_id": 256, "repetition_penalty": 1.1, "top_k": 20, "do_sample": True}
    models = [
        {"name": name, "path": write_scripted(tmp_path / name, byte_tokenizer(), generation=generation).location}
        for name, generation in {
            "a": penalised,
            "b": penalised,
            "c": {"num_beams": 4},
            "d": {"top_k": 9, "do_sample": True},
        }.items()
    ]
    short = {"problems": ["minicode"], "limit": 1, "max_new_tokens": 4}
    models.append({"name": "reference", "generator": "reference"})
    plan = small(models=models, evaluation=short, allow_code_execution=True)
    lines = [line for line in told(plan, tmp_path, capsys).splitlines() if "generation_config" in line]
    same = "raysweep doesn't: it decodes every model as `evaluation` says (temperature 0: always the likeliest token)"
    assert lines == [
        f"a, b: generation_config sets repetition_penalty 1.1; transformers' `generate` would use it, {same}",
        f"c: generation_config sets num_beams 4; transformers' `generate` would use it, {same}",
    ]
    run_sweep(plan.config, RunOptions(engine="local", storage=str(tmp_path / "store")))
    assert [text for text in caplog.messages if "generation_config" in text] == lines
    drawn = small(models=models, evaluation={**short, "temperature": 0.5})
    assert "d: generation_config sets top_k 9; " in told(drawn, tmp_path, capsys)


def test_hours_that_are_too_few_to_tell_apart_are_one_line(capsys, tmp_path):
    out = told(own(tmp_path, recipes=["lora"]), tmp_path, capsys)
    assert "accelerator hours, cells to do: less than 0.01 together on any accelerator\n" in out
    assert "hours are estimates" in out


def test_models_of_an_unknown_size_are_named_where_nothing_is_known_of_them(alone, cli, capsys, tmp_path):
    code, out, _ = cli("plan", str(CONFIGS / "lora-7b.yaml"), "--storage", str(tmp_path / "store"))
    assert code == 0
    assert "memory, hours and the disk of weights are not known for: qwen-7b (it isn't here)\n" in out
    assert "hours are estimates" not in out and "accelerator hours" not in out
    assert "are not known" not in told(small(), tmp_path, capsys)
