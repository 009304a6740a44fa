"""What `raysweep plan` tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from raysweep.cli.views.plan import plan_facts, print_plan
from raysweep.config.loading import config_from
from raysweep.config.models import LoraConfig, RecipeConfig
from raysweep.errors import UsageError
from raysweep.models.families.llama import Llama
from raysweep.planning.planner import build_plan
from raysweep.storage.store import Store
from tests.models.tiny import make_chat_model


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
    assert "mine is shown prompts in its tokenizer's chat template\n" in out and "would use" not in out
    out = told(own(tmp_path, template="Q: {{ instruction }}\nA: "), tmp_path, capsys)
    assert "mine is shown prompts in a Jinja template\n" in out


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
            f": {weights:,} weights beside the model's {total:,}, which stay as they are"
        )


def test_modules_that_a_model_lacks_are_refused(tmp_path):
    plan = own(tmp_path, recipes=["lora"])
    config = plan.config.model_copy(
        update={"recipes": {"lora": RecipeConfig(trainer="lora", lora=LoraConfig(targets=["Wqkv"]))}}
    )
    with pytest.raises(UsageError, match=r"recipes.lora doesn't fit model mine: PEFT can't adapt \['Wqkv'\]"):
        plan_facts(build_plan(config), Store(tmp_path / "store"))


def test_what_this_machine_can_not_hold_is_said_and_the_plan_still_shown(capsys, tmp_path):
    facts = plan_facts(small(resources={"cpus": 4000}), Store(tmp_path))
    print_plan(facts, as_json=False)
    out = capsys.readouterr().out
    assert "not on this machine: a cell can never be scheduled: it asks for 4000 CPU" in out and "1 cell to do" in out
    assert plan_facts(small(), Store(tmp_path)).here == ""


def test_a_plan_whose_programs_may_not_run_yet_says_so(capsys, tmp_path):
    print_plan(plan_facts(small(), Store(tmp_path)), as_json=False)
    assert "programs may not run yet: `raysweep run` needs --allow-code-execution" in capsys.readouterr().out
    print_plan(plan_facts(small(allow_code_execution=True), Store(tmp_path)), as_json=False)
    assert "--allow-code-execution" not in capsys.readouterr().out


def test_how_programs_will_be_run_is_told(capsys, tmp_path):
    facts = plan_facts(small(execution={"lane": "strict", "require": "limits", "timeout": 2.5}), Store(tmp_path))
    print_plan(facts, as_json=False)
    assert "programs: strict lane, isolation limits or better; time limits: humaneval 2.5 s" in capsys.readouterr().out
