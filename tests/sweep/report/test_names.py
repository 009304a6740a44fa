"""What tables are told of a config's names: trainers of recipes and groups, and how models are shown faults."""

from __future__ import annotations

from typing import Any

from raysweep.config.loading import config_from
from raysweep.sweep.report.names import order_of

ROWS = {"name": "minirepair", "world": 3, "rows": 20}


def _model(name: str, template: str, *recipes: str, family: str = "qwen2") -> dict[str, Any]:
    made = {"family": family, "recipe": "full", "source": {**ROWS, "part": "pretraining"}, "vocab_size": 300}
    if family == "t5":
        made["special_tokens"] = ["<extra_id_0>", "<extra_id_1>"]
    return {"name": name, "template": template, "pretrain": made, "recipes": list(recipes)}


DOCUMENT = {
    "name": "mine",
    "allow_code_execution": True,
    "models": [
        _model("lines", "repair_buggy_line", "full", "lora", "ia3"),
        _model("plain", "repair_plain", "full"),
        _model("seq2seq", "repair_seq2seq_buggy_line", family="t5"),
    ],
    "recipes": {
        "full": {"lr": 1e-4},
        "lora": {"trainer": "lora", "lr": [1e-4, 1e-3], "select": {"by": "validation_loss"}},
        "ia3": {"trainer": "ia3", "lr": 1e-4},
    },
    "training": {"source": ROWS, "validation": {**ROWS, "part": "validation"}, "sets": ["clean"]},
    "evaluation": {"problems": [{"name": "minirepair", "world": 3, "count": 8}]},
}


def test_a_group_has_the_trainer_of_its_recipes_and_recipes_of_other_trainers_may_be_alike():
    recipes = order_of(config_from(DOCUMENT, "test")).recipes
    assert {name: recipe.trainer for name, recipe in recipes.items()} == {"full": "full", "lora": "lora", "ia3": "ia3"}
    assert recipes["full"].alike == recipes["ia3"].alike != recipes["lora"].alike
    assert recipes["full"].rest != recipes["ia3"].rest


def test_models_that_repair_have_the_form_of_their_prompts_and_whether_these_show_the_fault():
    faults = order_of(config_from(DOCUMENT, "test")).faults
    shown = {name: (fault.before, fault.after) for name, fault in faults.items()}
    assert shown == {"lines": (True, True), "plain": (False, False), "seq2seq": (True, True)}
    assert faults["lines"].form == faults["plain"].form != faults["seq2seq"].form
    order = order_of(config_from(DOCUMENT, "test"))
    assert order.weights["lines"] == order.weights["plain"] != order.weights["seq2seq"]
    others = {**DOCUMENT, "models": [{"name": "other", "generator": "fake"}], "training": None, "recipes": {}}
    others["evaluation"] = {"problems": [{"name": "minicode", "world": 3}]}
    assert not order_of(config_from(others, "test")).faults
