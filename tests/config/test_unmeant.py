"""Settings that can't be meant: contradictions are refused, what has no effect is warned of."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysweep.config.document import ConfigError
from raysweep.config.loading import load_config, to_yaml
from raysweep.language.translation.apertium import Apertium
from tests.config.test_schema import MINIMAL, findings, write
from tests.paths import NANO

DRAWN = ("evaluation.temperature=0.5", "evaluation.samples=2")


def warnings_of(caplog: Any, *overrides: str, path: Path = NANO) -> list[str]:
    """Return the warnings of a config that is accepted."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "raysweep"):
        load_config(path, list(overrides))
    return [record.message for record in caplog.records]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["evaluation.samples=2"],
            "evaluation.samples: the 2 completions of a prompt are equal at temperature 0 (ll",
        ),
        (
            ["evaluation.samples=10", "models=[{name: r, generator: reference}, {name: f, generator: fake}]"],
            "evaluation.samples: the 10 completions of a prompt are equal at temperature 0 (r); give a",
        ),
        (["evaluation.samples=3", "evaluation.temperature=0.0"], "give a `temperature` above 0, `beams`, or `samples"),
        (
            [*DRAWN, "evaluation.pass_at=[1, 5]"],
            "evaluation.pass_at.1: pass@5 needs 5 completions of a prompt, and there",
        ),
        (
            ["execution.timeout=50000"],
            "execution: timeout 50000 s x wall_factor 20 is more than a week",
        ),
        (["evaluation.early_stopping=false"], "evaluation.early_stopping: it says when a beam search ends, and there"),
        (["models.0.accelerator=A100", "resources.gpus=0"], "models.0.accelerator: its cells ask for no GPU; give"),
        (
            ["models.0.accelerator=[H100, L4]", "models.0.resources={training: {gpus: 0}, generation: {gpus: 0}}"],
            "no GPU",
        ),
        (["models.0.accelerator=L4", "resources.gpus=0.0"], "`resources.gpus: auto`, or leave the accelerator out"),
        (["evaluation.perturbations=[C1, C2, C1]"], "evaluation.perturbations: the perturbation 'C1' is listed twice"),
        (["evaluation.perturbations=[clean, C, W, C, W]"], "evaluation.perturbations: the perturbation 'C' is listed"),
        (["evaluation.perturbations=[W1, W1, W1]"], "evaluation.perturbations: the perturbation 'W1' is listed twice"),
    ],
)
def test_contradictions_are_refused(overrides, expected):
    (found,) = findings(NANO, *overrides)
    assert expected in found


def test_what_looks_like_a_contradiction_and_is_none_is_accepted(caplog, tmp_path):
    resolved = yaml.safe_load(to_yaml(load_config(NANO, ["recipes.tiny.steps=5"])))
    assert not warnings_of(caplog, path=write(tmp_path, yaml.safe_dump(resolved)))
    for overrides in (
        DRAWN,
        ["evaluation.samples=2", "models=[{name: f, generator: fake}]"],
        ["models.0.accelerator=A100"],
        ["models.0.accelerator=A100", "resources.gpus=0", "models.0.resources={training: {gpus: 1}}"],
    ):
        load_config(NANO, list(overrides))


@pytest.mark.parametrize("condition", ["A100|H100", "in()", "in(A100,", "not A100", "-A100", "=A100", "", "A100, H100"])
def test_what_selects_no_label_is_refused(condition):
    for path in ("resources.labels", "models.0.resources.training.labels"):
        (found,) = findings(NANO, f"{path}={{zone: {condition!r}}}")
        assert f"{condition!r} selects no label; give a value such as `A100`" in found


@pytest.mark.parametrize("logger", ["wandb", "{name: aim}", "{name: comet, project: x}"])
def test_a_logger_that_is_not_installed_is_refused_before_work(monkeypatch, logger):
    found = importlib.util.find_spec
    hidden = ("wandb", "aim", "comet_ml", "tensorboardX")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else found(name))
    (line,) = findings(NANO, f"loggers=[{logger}]")
    assert line.startswith("--set loggers=") or line.startswith("loggers.0: ")
    assert "needs the package" in line and "pip install" in line
    load_config(NANO)  # the default logger is only used where there is a Ray


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["training.sets=[C1, {name: again, perturbation: C1}]"],
            "training.sets.1: 'again' has the same rows as 'C1'; remove one of them",
        ),
        (
            ["training.sets=[{name: a, perturbation: W1, ratio: 0.5}, C1, {name: b, perturbation: W1, ratio: 0.5}]"],
            "training.sets.2: 'b' has the same rows as 'a'",
        ),
        (["models.0.recipes=[]"], "training.sets: no model has `recipes`, so none is fine-tuned on them"),
        (
            ["evaluation.perturbations=[C1, C2]", "evaluation.pairs={base: [C1], C1: [C1]}"],
            "evaluation.perturbations.2: `evaluation.pairs` has no model judged on 'C2'",
        ),
        (
            ["perturbations={mine: {name: C1, strength: 2}}"],
            "perturbations.mine: no training set and no test set use",
        ),
        (
            ["recipes.tiny.steps=5", "recipes.tiny.epochs=7"],
            "recipes.tiny.epochs: `steps: 5` takes the place of epochs",
        ),
        (
            ["recipes.b={objective: fait, objective_args: {alpha: 1}}"],
            "recipes.b.objective_args: `alpha: 1` gives the end of a response no loss",
        ),
        (["recipes.b={steps: 1, epochs: 0.5}"], "recipes.b.epochs: `steps: 1` takes the place of epochs; remove one"),
        (["recipes.b={trainer: lora, epochs: 3, steps: 9}"], "recipes.b.epochs: `steps: 9` takes the place of"),
        (
            ["strengths={C1: 2}", "evaluation.perturbations=[C2]", "training.sets=[clean, W]"],
            "strengths.C1: no training set and no test set uses this perturbation",
        ),
        (
            ["strengths={W3: 2, C2: 3}", "evaluation.perturbations=[C2]", "training.sets=[clean]"],
            "strengths.W3: no training set",
        ),
        (
            ["resources.labels={ray.io/accelerator-type: '!in(H100, TPU-v5)'}"],
            "resources.labels.ray.io/accelerator-type: there is no data sheet of 'TPU-v5', so mem",
        ),
        (
            ["models.0.resources={generation: {labels: {ray.io/accelerator-type: A10O}}}"],
            "models.0.resources.generation.labels.ray.io/accelerator-type: there is no data sheet of 'A10O' (did you",
        ),
        (["prices={B300: 4}"], "prices.B300: there is no data sheet of 'B300'"),
        (["prices={A10O: 4, A100: 2}"], "prices.A10O: there is no data sheet of 'A10O' (did you mean 'A10G'?)"),
        (
            ["models.0.accelerator=[H100, TPU-v5]"],
            "models.0.accelerator: there is no data sheet of 'TPU-v5', so mem",
        ),
        (["execution.timeout=5000"], "execution.timeout: 5,000 seconds for each program are many, where 1 s is usual"),
        (
            ["recipes.tiny.steps=null", "recipes.tiny.epochs=1000000"],
            "tiny.epochs: 1,000,000 passes over a training set",
        ),
        (
            ["resources.labels={accelerator-type: A100}"],
            "accelerator-type: Ray's own label is `ray.io/accelerator-type`",
        ),
        (
            ["models.0.resources={training: {labels: {Ray.io/market_type: spot}}}"],
            "models.0.resources.training.labels.Ray.io/market_type: Ray's own label is `ray.io/market-type`; a node",
        ),
        (["keep_models=chosen"], "keep_models: no recipe has `select`, so none is chosen and all models are kept"),
        (
            ["recipes.tiny.lora={r: 4}"],
            "recipes.tiny.lora: it counts with the trainer 'lora', and this is 'full'; write",
        ),
        (["recipes.tiny.ia3={targets: [q_proj]}"], "recipes.tiny.ia3: it counts with the trainer 'ia3', and this is"),
        (["seeds=[1, -1]"], "seeds.1: -1 is a seed like any other, not a random one"),
        (
            ["recipes.c={trainer: creme, edit: {most_change: 30}}"],
            "recipes.c.edit: `most_change: 30` allows a change 30 times as large as the matrix; write 0.3 if",
        ),
        (
            ["recipes.b={objective: dpo, objective_args: {beta: 100}}"],
            "recipes.b.objective_args: with `beta: 100` a pair teaches nothing once its response gained 0.1 nats",
        ),
        (
            ["evaluation.max_new_tokens=4096"],
            "evaluation.max_new_tokens: 4,096 tokens are more than a prompt leaves",
        ),
    ],
)
def test_what_has_no_effect_is_warned_of(caplog, overrides, expected):
    (line,) = [line for line in warnings_of(caplog, *overrides) if expected in line]
    assert line


def test_a_config_without_doubts_warns_of_nothing(caplog):
    used = "perturbations={typos: {name: mix, members: [C1, C2]}}"
    for overrides in (
        [],
        [used, "evaluation.perturbations=[typos]"],
        [used, "training.sets=[typos]"],
        ["strengths={C1: 2, W3: 0.5}", "evaluation.perturbations=[C1]", "training.sets=[clean, W]"],
        [used, "strengths={C2: 2}", "evaluation.perturbations=[typos]"],
        ["resources.labels={region: eu, ray.io/accelerator-type: 'in(A100, H100)'}"],
        ["prices={A100: 2, RTX-4090: 1}"],
        ["training.sets=[C1, {name: again, perturbation: C1, draw: 1}]"],
        ["evaluation.pairs={C1: [C1]}"],
        ["execution.timeout=300", "execution.memory_mib=64"],
        ["recipes.tiny.steps=null", "recipes.tiny.epochs=100", "recipes.tiny.lora={}", "recipes.tiny.ia3={}"],
        ["resources.labels={accelerator: A100, ray.io/availability-zone: a}", "seed=0"],
        ["recipes.c={trainer: creme, edit: {most_change: 1}}", "recipes.d={objective: dpo, objective_args: {beta: 5}}"],
    ):
        assert warnings_of(caplog, *overrides) == [], overrides


def test_texts_of_a_translator_with_rules_are_warned_of_once(caplog, monkeypatch):
    monkeypatch.setattr(Apertium, "lacks", lambda self: "")
    given = ["language.translator=apertium", "evaluation.perturbations=[C1, S1, S, mix_all]", "training.sets=[C1, S1]"]
    assert warnings_of(caplog, *given) == [
        f"{NANO}: --set language.translator=apertium, language.translator: S1, S, mix_all are translated by apertium, "
        "whose rules make other mistakes than a neural model: not for numbers to publish"
    ]


def test_validation_rows_that_are_trained_on_are_refused_or_counted(tmp_path, caplog):
    rows = [{"instruction": f"Say {word}.", "output": f"print('{word}')"} for word in ("a", "b", "c")]
    for name, some in (
        ("all", rows),
        ("one", rows[:1]),
        ("other", [{**rows[0], "output": "print(1)"}]),
        ("part", rows[1:]),
    ):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    with (tmp_path / "part.jsonl").open("a") as file:
        file.write(json.dumps({"instruction": "x", "output": "y"}) + "\n")
    source = f"training.source={{name: jsonl, path: {tmp_path / 'all.jsonl'}}}"
    given = [source, "recipes.tiny.batch_size=2"]
    for name, rows_in_it in (("all", "3 of its 3 rows"), ("one", "1 of its 1 row")):
        (found,) = findings(NANO, *given, f"training.validation={{name: jsonl, path: {tmp_path / name}.jsonl}}")
        assert f"training.validation: {rows_in_it} are rows of `training.source`; take others" in found
    (line,) = warnings_of(caplog, *given, f"training.validation={{name: jsonl, path: {tmp_path / 'part'}.jsonl}}")
    assert "2 of its 3 rows are rows of `training.source`" in line
    assert not warnings_of(caplog, *given, f"training.validation={{name: jsonl, path: {tmp_path / 'other'}.jsonl}}")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed='2'", "must be a whole number, not '2', which is text; write 2"),
        ("resources.gpus='0.5'", "must be a number, not '0.5', which is text; write 0.5"),
        ("resources.executors='4'", "must be a whole number, not '4', which is text; write 4"),
        ("checkpoint_every='100'", "must be a whole number, not '100', which is text; write 100"),
        ("recipes.tiny.epochs='3'", "must be a number, not '3', which is text; write 3"),
        ("models.0.pretrain.size.hidden_size='16'", "not '16', which is text; write 16"),
        ("ray.dashboard='true'", "must be true or false, not 'true', which is text; write true"),
    ],
)
def test_a_quoted_number_is_told_how_to_write_it(override, expected):
    (found,) = findings(NANO, override)
    assert found.endswith(expected)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("recipes.tiny.learning_rate=1.0e-4", "write `lr`; known here"),
        ("learning_rate=1.0e-4", "write `recipes.NAME.lr`; known here"),
        ("evaluation.max_length=64", "write `max_new_tokens`; known here"),
        ("recipes.tiny.max_length=64", "write `max_tokens`; known here"),
        ("max_length=64", "write `recipes.NAME.max_tokens` or `evaluation.max_new_tokens`; known here"),
        ("evaluation.do_sample=false", "write `temperature`, where 0 is greedy; known here"),
        ("recipes.tiny.load_best_model_at_end=true", "write `keep: best`; known here"),
        ("evaluation.bf16=true", "write `recipes.NAME.precision: bf16`; known here"),
        ("recipes.tiny.num_train_epochs=3", "write `epochs`"),
        ("recipes.tiny.per_device_train_batch_size=4", "write `batch_size`, the rows of a step over all workers"),
        ("recipes.tiny.lora.lora_alpha=32", "write `alpha`"),
        ("evaluation.num_return_sequences=4", "write `samples`"),
        ("models.0.torch_dtype=bfloat16", "write `dtype`"),
    ],
)
def test_other_tools_names_are_told_what_they_are_called_here(key, name):
    (found,) = findings(NANO, key)
    assert f"unknown key; {name}" in found


def test_doubts_are_no_errors_of_a_config_with_errors(tmp_path, caplog):
    with pytest.raises(ConfigError) as error, caplog.at_level(logging.WARNING, "raysweep"):
        load_config(write(tmp_path, MINIMAL), ["prices={B300: 4}", "evaluation.perturbations=[C1, C1]"])
    assert len(error.value.findings) == 1 and not caplog.records
