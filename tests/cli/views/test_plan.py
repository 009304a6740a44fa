"""What `raysweep plan` tells."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from raysweep.accelerators import ACCELERATORS
from raysweep.cli.views.plan import print_plan
from raysweep.config.document import Document
from raysweep.config.loading import config_from, load_config, validate
from raysweep.config.models import LoraConfig, RecipeConfig
from raysweep.errors import MissingInput, UsageError
from raysweep.planning.planner import build_plan
from raysweep.problems.humaneval import HumanEval
from raysweep.storage.artefacts import ENDED
from raysweep.storage.store import Store
from raysweep.sweep.overview.plan import plan_facts
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.models.configs import make_random
from tests.models.scripted import byte_tokenizer, write_scripted
from tests.models.tiny import make_chat_model
from tests.paths import CONFIGS, NANO
from tests.problems.test_packages import problem_set
from tests.storage.stores import commit

pytestmark = pytest.mark.slow

STUDY = str(CONFIGS / "study.yaml")


def small(**more: Any) -> Any:
    models = [{"name": "reference", "generator": "reference"}]
    value = {"name": "s", "models": models, "evaluation": {"problems": ["humaneval"]}, **more}
    return build_plan(config_from(value, "test"))


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small model with a chat template."""
    folder = tmp_path_factory.mktemp("models") / "mine"
    make_chat_model("chatml", folder)
    return str(folder)


RECIPES = {
    "full": {},
    "lora": {"trainer": "lora"},
    "few": {"trainer": "lora", "lora": {"targets": ["q_proj"]}},
    "roomy": {"trainer": "lora", "resources": {"training": {"memory_gib": 3}}},
    "tuned": {"trainer": "lora", "lr": [0.001, 0.002], "epochs": [1, 2], "select": {"by": "validation_loss"}},
}
ROWS = {"name": "minicode", "rows": 32}


def own(mine: str, *models: dict[str, Any], **more: Any) -> Any:
    """Return the plan of models that are fine-tuned on rows of MiniCode."""
    named = [{"name": "mine", "path": mine, **model} for model in models or [{}]]
    used = {name for model in named for name in model.get("recipes", [])}
    training = {"source": ROWS, "validation": {**ROWS, "part": "pretraining"} if "tuned" in used else None}
    return small(
        **{"models": named, "recipes": {name: RECIPES[name] for name in RECIPES if name in used}}
        | {"training": {**training, "sets": ["C1"]}}
        | more
    )


def told(plan: Any, tmp_path: Path, capsys: Any) -> str:
    """Return what is printed of a plan, but for what this machine lacks."""
    print_plan(plan_facts(plan, Store(tmp_path / "store")), as_json=False)
    lines = capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines()
    return "\n".join(line.rstrip() for line in lines if not line.startswith("not on this machine: "))


OF_STAGES = {"training": {"cpus": 2}, "execution": {"cpus": 3}}
SCREENS: dict[str, Callable[[str], Any]] = {
    "one cell": lambda _: small(),
    "no recipes": own,
    "processes of each stage": lambda mine: own(mine, {"recipes": ["full", "lora", "few"]}, resources=OF_STAGES),
    "a template": lambda mine: own(mine, {"template": "Q: {{ instruction }}\nA: ", "recipes": ["lora"]}),
    "models that are alike": lambda mine: own(
        mine, *({"name": name, "recipes": ["full", "lora"]} for name in ("mine", "twin", "third"))
    ),
    "a choice among recipes": lambda mine: own(mine, {"recipes": ["tuned"]}),
}


@pytest.mark.parametrize("name", SCREENS)
def test_a_plan_is_told(capsys, tmp_path, mine, name, snapshot):
    assert told(SCREENS[name](mine), tmp_path, capsys) == snapshot


def test_the_number_of_weights_that_train_is_told(capsys, tmp_path, mine):
    out = told(own(mine, {"recipes": ["full", "few"]}), tmp_path, capsys)
    network = AutoModelForCausalLM.from_pretrained(mine)
    total = network.num_parameters()
    assert f"mine: recipe full (full) trains {total:,} weights, 100 % of the model's {total:,}" in out
    adapted = [module for name, module in network.named_modules() if name.endswith("q_proj")]
    weights = sum(16 * (module.in_features + module.out_features) for module in adapted)
    assert f"trains {weights:,} weights, {100 * weights / total:.3g} % of the model's {total:,}: q_proj" in out


def test_modules_that_a_model_lacks_are_refused(tmp_path, mine):
    plan = own(mine, {"recipes": ["lora"]})
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
        and "cells to do: 1" in out
    )
    assert plan_facts(small(), Store(tmp_path)).here == ""


@pytest.mark.parametrize("there", ["JDK 17", ""])
def test_compilers_are_named_or_said_to_be_missing(there, capsys, tmp_path, monkeypatch):
    def identity(language: str, flags: str) -> str:
        if not there:
            raise MissingInput("no JDK")
        return f"{there}, 1"

    problems = [{"name": "humaneval-x", "as": "gone", "language": "cpp", "path": str(tmp_path / "nowhere.gz")}]
    value = {"name": "s", "models": [{"name": "reference", "generator": "reference"}]}
    document = Document("test", {**value, "evaluation": {"problems": problems}}, {}, {})
    monkeypatch.setattr("raysweep.sweep.overview.plan.identity", identity)
    out = told(build_plan(validate(document, missing=[]), tolerant=True), tmp_path, capsys)
    (line,) = (line for line in out.splitlines() if line.startswith("gone: programs"))
    assert "isolated mode (lane strict)" in line and line.endswith(there or "no compiler for them is here")


def test_edits_are_an_upper_bound_and_each_recipe_has_its_line(capsys, tmp_path):
    overrides = ["recipes.creme={trainer: creme}", "recipes.denoised={trainer: self-denoising}", "training=null"]
    overrides += ["models.0.recipes=[creme, denoised]", "edits={perturbations: [C1], pairs: 3}"]
    plan, store = build_plan(load_config(NANO, overrides)), Store(tmp_path)
    print_plan(plan_facts(plan, store), as_json=False)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line.split()[:3] for line in lines if line.startswith("llama ")][:3] == [
        ["llama", "1", "0"],
        ["llama", "creme", "3"],
        ["llama", "denoised", "1"],
    ]
    store.require_writable()
    search = next(cell.pair_search for cell in plan.cells if cell.pair_search)
    commit(store, search.node, {ENDED: "no such pair: none"})
    summary = plan_facts(plan, store).summary
    assert (summary.edited_models, summary.edit_cells, summary.ended_edits) == (3, 3, 1)
    many = load_config(NANO, [*overrides, "edits.pairs=100", "recipes.rome={trainer: rome, edit: {edit_at: 0}}"])
    many.models[0].recipes.append("rome")
    summary = plan_facts(build_plan(many), store).summary
    assert (summary.edited_models, summary.edit_cells) == (12, 200), "six problems have six pairs of a perturbation"


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


def test_the_table_has_a_line_for_each_model_and_recipe(alone, cli, tmp_path):
    prices = ("--set", "prices.H100=4", "--set", "prices.L4=1")
    code, out, _ = cli("plan", STUDY, "--storage", str(tmp_path / "store"), *prices)
    assert code == 0 and "missing (a run would stop here):\n" in out
    assert len([line for line in out.splitlines() if line.startswith(" codegen-2b ")]) == 4
    hours = out.split("accelerator hours")[1].splitlines()
    base, largest = (line for line in hours if line.startswith(" codellama-7b-hf "))
    assert base.count(" *") < largest.count(" *") < len(ACCELERATORS), (base, largest)
    (together,) = (line for line in hours if line.startswith(" together "))
    assert together.count(" *") == largest.count(" *"), "the sum counts hours that can't be had there"
    costs = re.findall(r"if all runs on (\S+): ([\d,]+)\.\d\d( \*)?", out)
    assert [(name, small) for name, _, small in costs] == [("H100", ""), ("L4", " *")] and costs[0][1][:2] == "6,"


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
    why = "gone (it isn't here), mine (raysweep can't foretell what mamba models take)"
    assert code == 0 and f"memory, hours and the disk of weights are not known for: {why}\n" in out
    assert len([line for line in out.splitlines() if line.split()[-2:] == ["unknown"] * 2]) == 3


def test_a_training_that_can_not_fit_is_one_error(alone, cli):
    label = "resources.labels={ray.io/accelerator-type: V100}"
    code, out, err = cli("plan", STUDY, "--set", label)
    assert (code, out) == (2, "") and len(err.strip().splitlines()) == 1
    assert "cell codellama-7b-hf.lora-7b.clean.s42 (and 32 trainings more) can't be trained" in err
    assert "the accelerator V100 has room for 31.5 GiB, and" in err
    assert "the nearest settings of `recipes.lora-7b` that fit: " in err


def test_what_models_are_is_a_line_and_control_tokens_in_prompts_are_counted(capsys, tmp_path):
    write_scripted(tmp_path / "mine", byte_tokenizer(("<|endoftext|>", "<|im_end|>", "List")))
    out = told(own(str(tmp_path / "mine")), tmp_path, capsys)
    holding = sum("List" in problem.prompt for problem in HumanEval().problems())
    assert out.startswith(f"humaneval: {holding} of 164 prompts with 'List', such as prompt HumanEval/0; ")
    assert "mine: ends at <|endoftext|> or <|im_end|>, 512 positions\n" in out


def test_settings_of_generation_config_that_are_not_used_are_said_once_for_all_models_that_have_them(
    capsys, tmp_path, caplog
):
    penalised = {"eos_token_id": 256, "repetition_penalty": 1.1, "top_k": 20, "do_sample": True}
    models = [
        {"name": name, "path": write_scripted(tmp_path / name, byte_tokenizer(), generation=generation).location}
        for name, generation in {"a": penalised, "b": penalised, "c": {"top_k": 9, "do_sample": True}}.items()
    ]
    short = {"problems": ["minicode"], "limit": 1, "max_new_tokens": 4}
    plan = small(models=models, evaluation=short, allow_code_execution=True)
    (line,) = (line for line in told(plan, tmp_path, capsys).splitlines() if "generation_config" in line)
    assert line.startswith("a, b: generation_config sets repetition_penalty 1.1; ")
    run_sweep(plan.config, RunOptions(engine="local", storage=str(tmp_path / "store")))
    assert [text for text in caplog.messages if "generation_config" in text] == [line]
    drawn = small(models=models, evaluation={**short, "temperature": 0.5})
    assert "c: generation_config sets top_k 9; " in told(drawn, tmp_path, capsys)


def test_a_line_says_what_the_memory_of_a_training_is_taken_by_and_which_pass_fits(alone, cli, tmp_path):
    """Of 32B parameters in 4, 8 and 16 bits on one card of 80 GB."""
    (tmp_path / "rows.jsonl").write_text('{"instruction": "Add.", "output": "a + b"}\n' * 16)
    models = [
        {
            "name": held,
            "path": "Qwen/Qwen2.5-Coder-32B",
            "dtype": "bfloat16",
            "quantize": quantize,
            "recipes": ["qlora"],
        }
        for held, quantize in {"four": "nf4", "eight": "int8", "whole": None}.items()
    ]
    rows = f"training.source.path={tmp_path}/rows.jsonl"
    given = [rows, "recipes.qlora.kernels=plain", f"models={json.dumps(models)}"]
    sets = [part for text in given for part in ("--set", text)]
    code, out, _ = cli("plan", str(CONFIGS / "qlora-32b.yaml"), "--storage", str(tmp_path / "store"), *sets)
    found = re.findall(r"memory on the accelerator A100 or H100: weights (\S+ GiB).* pass that fits: (\d+) row", out)
    assert (code, found) == (0, [("18.4 GiB", "9"), ("32.5 GiB", "6"), ("61.5 GiB", "1")])


def test_a_line_says_what_problems_lack_in_their_environment(tmp_path, capsys):
    path = str(problem_set(tmp_path, "import json", "import absent_a").path)
    evaluation = {"problems": [{"name": "jsonl", "as": "mine", "path": path, "environment": "here"}]}
    plan = small(evaluation=evaluation, execution={"environments": {"here": sys.executable}})
    (facts,) = plan_facts(plan, Store(tmp_path / "store")).environments
    assert facts.lacking == {"T/1": ("absent_a",)} and (facts.problem_set, facts.problems) == ("mine", 2)
    assert f"; {facts.words}\n" in told(plan, tmp_path, capsys)
