"""Configs: what is refused, and how the errors read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from raysweep.config_file import ConfigError, config_from, load_config, to_yaml
from raysweep.errors import UsageError

CONFIGS = sorted((Path(__file__).resolve().parents[1] / "configs").rglob("*.yaml"))
NANO = Path(__file__).with_name("nano.yaml")


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


MINIMAL = """\
name: small
models:
  - name: ref
    generator: reference
evaluation:
  problems: [humaneval]
"""


@pytest.mark.parametrize("path", [*CONFIGS, NANO], ids=lambda path: path.name)
def test_a_shipped_config_is_valid_and_opens_with_its_command(path, tmp_path, monkeypatch):
    (tmp_path / "rows.jsonl").write_text('{"instruction": "Add.", "output": "a + b"}\n')
    overrides = []
    if path.name == "own-model.yaml":  # names what the user brings
        overrides = ["models.0.path=" + str(tiny_folder(tmp_path)), f"training.source.path={tmp_path / 'rows.jsonl'}"]
    assert path.read_text().splitlines()[0].startswith(f"# raysweep run {path.parent.name}/{path.name}")
    assert load_config(path, overrides).name == path.stem


def tiny_folder(folder: Path) -> Path:
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama"}')
    (model / "model.safetensors").write_bytes(b"0")
    return model


def test_the_resolved_config_reads_back_equal(tmp_path):
    config = load_config(NANO)
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(config))
    assert load_config(again) == config


def test_all_errors_come_at_once_with_line_key_value_and_nearest_name(tmp_path):
    text = MINIMAL + "sead: 3\nevaluation2: {}\nresources: {cpus: many}\nstrengths: {C11: 1}\n"
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    message = str(caught.value)
    assert "line 7, sead: unknown key (did you mean 'seed'?)" in message
    assert "line 8, evaluation2: unknown key (did you mean 'evaluation'?)" in message
    assert "line 9, resources.cpus: " in message and "'many'" in message
    assert "line 10, strengths.C11: unknown perturbation 'C11' (did you mean 'C1'?)" in message
    assert len(caught.value.findings) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL.replace("humaneval", "humanevil"), "line 6, evaluation.problems.0: unknown problem set 'humanevil'"),
        (MINIMAL.replace("reference", "refrence"), "unknown generator 'refrence' (did you mean 'reference'?)"),
        (MINIMAL.replace("name: ref", "name: ref/1"), "line 3, models.0.name"),
        (MINIMAL + "seed: 1\nseed: 2\n", "line 8: key 'seed' stands already on line 7"),
        ("name: [", "not valid YAML"),
        ("- a", "a config is a mapping"),
        (MINIMAL.replace("generator: reference", "path: a\n    generator: reference"), "exactly one of"),
        (MINIMAL + "allow_code_execution: 'yes please'\n", "line 7, allow_code_execution"),
        (MINIMAL.replace("    generator", "    recipes: [full]\n    generator"), "no recipe called 'full'"),
        (
            MINIMAL.replace("[humaneval]", "[{name: jsonl, path: nowhere.jsonl}]"),
            "line 6, evaluation.problems.0: nowhere.jsonl doesn't exist",
        ),
        (MINIMAL.replace("[humaneval]", "[{name: humaneval, splitt: test}]"), "has no argument 'splitt'"),
    ],
)
def test_a_bad_config_is_refused_in_one_place(tmp_path, text, expected):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert expected in str(caught.value)


def test_a_literal_backslash_n_in_a_stop_string_is_shown_with_its_fix(tmp_path):
    text = MINIMAL.replace("    generator: reference", "    generator: reference\n    stop: ['\\ndef']")
    with pytest.raises(ConfigError, match=r'write it in double quotes: "\\ndef"'):
        load_config(write(tmp_path, text))
    fine = load_config(write(tmp_path, text.replace("'\\ndef'", '"\\ndef"')))
    assert fine.models[0].stop == ["\ndef"]


def test_set_overrides_a_key_below_lists_and_new_sections(tmp_path):
    path = write(tmp_path, MINIMAL)
    config = load_config(path, ["models.0.name=other", "resources.cpus=2", "evaluation.perturbations=[C1, C2]"])
    assert (config.models[0].name, config.resources.cpus) == ("other", 2)
    assert config.evaluation.perturbations == ["clean", "C1", "C2"]


@pytest.mark.parametrize("override", ["seed", "models.7.name=x", "seed.deeper=1", "resources.cpu=2", "seed=[1"])
def test_a_bad_set_names_itself(tmp_path, override):
    with pytest.raises(ConfigError, match="--set"):
        load_config(write(tmp_path, MINIMAL), [override])


def test_a_training_file_is_checked_before_work_with_its_line(tmp_path):
    rows = tmp_path / "rows.jsonl"
    text = NANO.read_text().replace(
        "source: {name: minicode, part: finetuning, rows: 64}", f"source: {{name: jsonl, path: {rows}}}"
    )
    for content, expected in [
        ('{"instruction": "a", "output": "b"}\n{"instruction": "a", \n', f"{rows}:2"),
        ('{"prompt": "a", "output": "b"}\n', "`instruction`"),
        ("", "no rows"),
    ]:
        rows.write_text(content)
        with pytest.raises(ConfigError, match=r"training.source: ") as caught:
            load_config(write(tmp_path, text))
        assert expected in str(caught.value)


def test_a_path_that_is_no_model_is_refused(tmp_path):
    text = MINIMAL.replace("generator: reference", f"path: {tmp_path}")
    with pytest.raises(ConfigError, match=r"line 4, models.0.path: no model at"):
        load_config(write(tmp_path, text))


def test_a_mapping_is_checked_like_a_file():
    config = config_from(yaml.safe_load(MINIMAL), "here")
    assert config.evaluation.perturbations == ["clean"]
    with pytest.raises(UsageError, match="here: 1 error"):
        config_from({**yaml.safe_load(MINIMAL), "nam": 1}, "here")


def test_trusting_remote_code_must_be_asked_for(tmp_path):
    assert load_config(write(tmp_path, MINIMAL)).models[0].trust_remote_code is False


def test_strengths_reach_single_methods_and_aggregates_and_nothing_else(tmp_path):
    config = load_config(write(tmp_path, MINIMAL + "strengths: {C1: 1.5, C3: 0.4}\n"))
    assert config.perturbation("C1").args == {"strength": 1.5}
    assert config.perturbation("C2").args == {}
    assert config.perturbation("C").args == {"strengths": {"C1": 1.5, "C3": 0.4}}
    assert config.perturbation("clean").args == {}
