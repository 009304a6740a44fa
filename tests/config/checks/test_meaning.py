"""Settings that can't be meant: contradictions are refused, what has no effect is warned of."""

from __future__ import annotations

import importlib.util
import json
import logging

import pytest
import yaml

from raysweep.config.document import ConfigError
from raysweep.config.loading import load_config, to_yaml
from raysweep.language.translation.apertium import Apertium
from tests.config.mistakes import MINIMAL, doubts, findings, screen, write
from tests.paths import NANO

DRAWN = ("evaluation.temperature=0.5", "evaluation.samples=2")
CONTRADICTIONS = [
    "evaluation.samples=2",
    ["evaluation.samples=10", "models=[{name: r, generator: reference}, {name: f, generator: fake}]"],
    ["evaluation.samples=3", "evaluation.temperature=0.0"],
    [*DRAWN, "evaluation.pass_at=[1, 5]"],
    "execution.timeout=50000",
    "evaluation.early_stopping=false",
    ["models.0.accelerator=A100", "resources.gpus=0"],
    ["models.0.accelerator=[H100, L4]", "models.0.resources={training: {gpus: 0}, generation: {gpus: 0}}"],
    "evaluation.perturbations=[C1, C2, C1]",
    "evaluation.perturbations=[clean, C, W, C, W]",
    "resources.labels={zone: 'A100|H100'}",
    "models.0.resources.training.labels={zone: 'in(A100,'}",
]


def test_contradictions_are_refused(snapshot):
    assert screen(CONTRADICTIONS) == snapshot


def test_what_looks_like_a_contradiction_and_is_none_is_accepted(caplog, tmp_path):
    resolved = yaml.safe_load(to_yaml(load_config(NANO, ["recipes.tiny.steps=5"])))
    assert not doubts(caplog, path=write(tmp_path, yaml.safe_dump(resolved)))
    for overrides in (
        DRAWN,
        ["evaluation.samples=2", "models=[{name: f, generator: fake}]"],
        ["models.0.accelerator=A100"],
        ["models.0.accelerator=A100", "resources.gpus=0", "models.0.resources={training: {gpus: 1}}"],
    ):
        load_config(NANO, list(overrides))


@pytest.mark.parametrize("condition", ["in()", "not A100", "-A100", "=A100", "", "A100, H100"])
def test_what_selects_no_label_is_refused(condition):
    (found,) = findings(NANO, f"resources.labels={{zone: {condition!r}}}")
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


DOUBTFUL = [
    "training.sets=[C1, {name: again, perturbation: C1}]",
    "training.sets=[{name: a, perturbation: W1, ratio: 0.5}, C1, {name: b, perturbation: W1, ratio: 0.5}]",
    "models.0.recipes=[]",
    ["evaluation.perturbations=[C1, C2]", "evaluation.pairs={base: [C1], C1: [C1]}"],
    "perturbations={mine: {name: C1, strength: 2}}",
    ["recipes.tiny.steps=5", "recipes.tiny.epochs=7"],
    "recipes.b={trainer: lora, epochs: 3, steps: 9}",
    "recipes.b={objective: fait, objective_args: {alpha: 1}}",
    "recipes.b={objective: dpo, objective_args: {beta: 100}}",
    "recipes.c={trainer: creme, edit: {most_change: 30}}",
    ["strengths={C1: 2}", "evaluation.perturbations=[C2]", "training.sets=[clean, W]"],
    ["strengths={W3: 2, C2: 3}", "evaluation.perturbations=[C2]", "training.sets=[clean]"],
    "resources.labels={ray.io/accelerator-type: '!in(H100, TPU-v5)'}",
    "models.0.resources={generation: {labels: {ray.io/accelerator-type: A10O}}}",
    "models.0.accelerator=[H100, TPU-v5]",
    "prices={B300: 4}",
    "prices={A10O: 4, A100: 2}",
    "execution.timeout=5000",
    ["recipes.tiny.steps=null", "recipes.tiny.epochs=1000000"],
    "resources.labels={accelerator-type: A100}",
    "models.0.resources={training: {labels: {Ray.io/market_type: spot}}}",
    "keep_models=chosen",
    "recipes.tiny.lora={r: 4}",
    "recipes.tiny.ia3={targets: [q_proj]}",
    "seeds=[1, -1]",
    "evaluation.max_new_tokens=4096",
    "models.0.template='Q: {{ instruction }}'",
    "execution.environments={old: /opt/old/bin/python}",
]


def test_what_has_no_effect_is_warned_of(caplog, snapshot):
    assert screen(DOUBTFUL, lambda *overrides: doubts(caplog, *overrides)) == snapshot


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
        ["models.0.template='Q: {{ instruction }}'", "evaluation.prompt_format=native"],
        ["execution.timeout=300", "execution.memory_mib=64"],
        ["recipes.tiny.steps=null", "recipes.tiny.epochs=100", "recipes.tiny.lora={}", "recipes.tiny.ia3={}"],
        ["resources.labels={accelerator: A100, ray.io/availability-zone: a}", "seed=0"],
        ["recipes.c={trainer: creme, edit: {most_change: 1}}", "recipes.d={objective: dpo, objective_args: {beta: 5}}"],
    ):
        assert doubts(caplog, *overrides) == [], overrides


def test_texts_of_a_translator_with_rules_are_warned_of_once(caplog, monkeypatch):
    monkeypatch.setattr(Apertium, "lacks", lambda self: "")
    given = ["language.translator=apertium", "evaluation.perturbations=[C1, S1, S, mix_all]", "training.sets=[C1, S1]"]
    assert doubts(caplog, *given) == [
        "language.translator: S1, S, mix_all are translated by apertium, "
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
    (line,) = doubts(caplog, *given, f"training.validation={{name: jsonl, path: {tmp_path / 'part'}.jsonl}}")
    assert "2 of its 3 rows are rows of `training.source`: their loss isn't that of new rows; remove them" in line
    assert not doubts(caplog, *given, f"training.validation={{name: jsonl, path: {tmp_path / 'other'}.jsonl}}")


def test_doubts_are_no_errors_of_a_config_with_errors(tmp_path, caplog):
    with pytest.raises(ConfigError) as error, caplog.at_level(logging.WARNING, "raysweep"):
        load_config(write(tmp_path, MINIMAL), ["prices={B300: 4}", "evaluation.perturbations=[C1, C1]"])
    assert len(error.value.findings) == 1 and not caplog.records
