"""Training rows and prompts that hold texts of control tokens are counted, and told before work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysweep.config.loading import config_from
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.planning.control_texts import control_texts, require_readable
from raysweep.planning.planner import build_plan
from tests.models.scripted import EOS, byte_tokenizer, write_scripted

SPECIAL = {"one": (EOS, "<s>", "</s>"), "two": (EOS, "<fim_prefix>")}


def config(folder: Path, outputs: list[str], prompt: str = "", recipes: bool = True) -> SweepConfig:
    """A config of two models that are trained on rows with these outputs."""
    rows = [{"instruction": f"Do {n}", "output": output} for n, output in enumerate(outputs)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    problem = {
        "task_id": "t/0",
        "prompt": f'def f():\n    """{prompt}"""\n',
        "entry_point": "f",
        "test": "def check(f):\n    assert f() == 1\n",
        "canonical_solution": "    return 1\n",
    }
    (folder / "problems.jsonl").write_text(json.dumps(problem))
    for name, special in SPECIAL.items():
        write_scripted(folder / name, byte_tokenizer(special))
    return config_from(
        {
            "name": "s",
            "models": [
                {"name": name, "path": str(folder / name), "recipes": ["r"] if recipes else []} for name in SPECIAL
            ],
            "recipes": {"r": {"trainer": "lora", "batch_size": 1}},
            "training": {"source": {"name": "jsonl", "path": str(folder / "rows.jsonl")}, "sets": ["clean"]},
            "evaluation": {"problems": [{"name": "jsonl", "as": "mine", "path": str(folder / "problems.jsonl")}]},
        },
        "here",
    )


def told(config: SweepConfig) -> list[tuple[object, ...]]:
    found = control_texts(config, build_plan(config).cells)
    return [(of.models, of.where, of.holding, of.of, of.first, of.texts) for of in found]


SOURCE = "training.source"
ROWS = [
    (["plain", "x = '<S>'", "a < s > b"], []),
    (["print('<s>0</s>')", "plain", "'</s>'"], [(("one",), SOURCE, 2, 3, "0000000", ("</s>", "<s>"))]),
    (["plain", f"stop = {EOS!r}"], [(("one", "two"), SOURCE, 1, 2, "0000001", (EOS,))]),
    (
        ["<fim_prefix>a", "<s>"],
        [
            (("one",), SOURCE, 1, 2, "0000001", ("<s>",)),
            (("two",), SOURCE, 1, 2, "0000000", ("<fim_prefix>",)),
        ],
    ),
]


@pytest.mark.parametrize(("outputs", "found"), ROWS)
def test_rows_are_counted_for_each_model_and_equal_counts_told_once(outputs, found, tmp_path):
    assert told(config(tmp_path, outputs)) == found


@pytest.mark.parametrize("prompt", ["Return <s>.", f"Split at {EOS}.", "Strip </s>"])
def test_prompts_are_counted_too(prompt, tmp_path):
    (found,) = told(config(tmp_path, ["<s>"], prompt, recipes=False))
    assert found[1:5] == ("mine", 1, 1, "t/0")


@pytest.mark.parametrize(("outputs", "prompt"), [(["[PAD]"], ""), (["a", "x[PAD]"], ""), (["a"], "Pad with [PAD].")])
def test_texts_of_control_tokens_without_embeddings_are_an_error_before_work(outputs, prompt, tmp_path):
    asked = config(tmp_path, outputs, prompt)
    settings = tmp_path / "one" / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "pad_token": "[PAD]"}))
    where = "mine" if prompt else "training.source"
    with pytest.raises(UsageError, match=rf"^{where} holds '\[PAD\]', a control token for which model one has no emb"):
        require_readable(asked, build_plan(asked).cells)
