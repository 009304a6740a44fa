"""The generator vllm in hosts of its own environment, which `make vllm` makes. Skipped where there is none."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel

import raysweep
from raysweep.engine.base import GenerateJob
from raysweep.engine.completing import batches_of
from raysweep.errors import RaysweepError
from raysweep.generators.base import GENERATORS
from raysweep.generators.environments import environment_of, python_of
from raysweep.models.deltas import save_delta
from raysweep.models.loading import load_model, load_tokenizer
from raysweep.records import Completion, Decoding, GenerationRequest, ModelKind, ModelRef, Spec
from raysweep.trainers.full import Full
from tests.engine.ray.hosts.test_hosts import run
from tests.models import test_versions
from tests.models.configs import USUAL, make_random
from tests.models.scripted import EOS, byte_tokenizer, write_scripted
from tests.models.test_versions import EMBEDDINGS, TARGETS, make_adapter
from tests.paths import NANO
from tests.patience import PATIENCE, eventually
from tests.services import FolderServices
from tests.tiny import make_tiny, pairs
from tests.trainers.conftest import make_job

__all__ = ["make_job"]

VLLM = Spec("vllm")
PYTHON = python_of(VLLM)
pytestmark = [
    pytest.mark.usefixtures("connected"),
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(PYTHON is not None and not PYTHON.exists(), reason="needs vLLM's environment: make vllm"),
]
SIZES = {  # vLLM's attention on CPUs needs heads of 32 numbers or more
    "llama": {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2},
    "gpt_bigcode": {"n_embd": 64, "n_head": 2},
    "qwen2": {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1},
    "mistral": {**USUAL, "hidden_size": 64, "num_key_value_heads": 1, "head_dim": 32, "sliding_window": None},
}
TRAINED = ("gpt_bigcode", "llama")
GREEDY, DRAWN = Decoding(48), Decoding(24, temperature=0.8, samples=6)
DRAWN_FROM_ONE = Decoding(48, temperature=0.8, top_p=1e-6)
"""Draws from the most likely token alone."""
Keeper = Callable[..., Any]
Texts = dict[tuple[str, int], Completion]
"""Completions by task and sample."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelRef]:
    makers = {**dict.fromkeys(SIZES, make_tiny), "mistral": make_random}
    return {family: makers[family](family, tmp_path_factory.mktemp(family), **SIZES[family]) for family in SIZES}


@pytest.fixture
def tiny(bases: dict[str, ModelRef]) -> dict[str, ModelRef]:
    """For `make_job`."""
    return bases


def job(model: ModelRef, base: ModelRef, cell: str, decoding: Decoding, prompts: int, first: int = 0) -> GenerateJob:
    """A job of vLLM; `first`: the number of each prompt's first sample."""
    requests = {
        f"{n}/{sample}": GenerationRequest(f"{n}/{sample}", f"t{n}", prompt, sample, ("\ndef",))
        for n, (prompt, _) in enumerate(pairs(prompts))
        for sample in range(first, decoding.samples)
    }
    batches = [[requests[key] for key in keys] for keys in batches_of(requests)]
    there = environment_of(VLLM)
    has = {k: v for k, v in there.versions.items() if k in GENERATORS.get("vllm").packages} if there else {}
    return GenerateJob("", model, VLLM, decoding, batches, None, cell, has, base=base)


def texts(made: dict[int, list[Completion]]) -> Texts:
    return {(completion.task_id, completion.sample): completion for rows in made.values() for completion in rows}


def here(asked: GenerateJob) -> Texts:
    """The completions of the generator transformers."""
    generator = GENERATORS.create(Spec("transformers"), model=asked.model, decoding=asked.decoding)
    return texts({0: generator.generate([request for batch in asked.batches for request in batch])})


@pytest.mark.parametrize("family", TRAINED)
def test_greedy_texts_are_those_of_transformers(family, bases, make_job, keeper, tmp_path):
    # trained for a while, so that many texts end by themselves
    training = make_job(family, steps=60, batch_size=16, lr=3e-3)
    Full().train(training, FolderServices())
    model = dataclasses.replace(bases[family], location=str(training.out))
    asked = job(model, model, f"{family}.base", GREEDY, prompts=200)
    ours, theirs = here(asked), texts(run(asked, keeper(**{asked.label: family}), tmp_path)[0])
    assert "eos" in {completion.stop for completion in ours.values()}
    lines = differences(asked, ours, theirs)
    assert len(lines) <= len(ours) / 100, "\n".join(lines)


def test_texts_end_at_each_end_that_a_models_files_name(bases, keeper, tmp_path):
    model = ModelRef(str(shutil.copytree(bases["llama"].location, tmp_path / "model")))
    asked = job(model, model, "llama.base", GREEDY, prompts=20)
    tokenizer = load_tokenizer(model)
    written = [tokenizer(completion.text)["input_ids"] for completion in here(asked).values()]
    (end, _), *_ = Counter(token for ids in written for token in set(ids[2:])).most_common(1)
    ends = {"eos_token_id": [tokenizer.eos_token_id, end]}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(ends))
    ours, theirs = here(asked), texts(run(asked, keeper(**{asked.label: "llama"}), tmp_path)[0])
    assert "eos" in {completion.stop for completion in ours.values()}
    assert not differences(asked, ours, theirs)


def test_control_tokens_with_a_meaning_are_kept_and_no_stop_string_spans_one(keeper, tmp_path):
    tokenizer = byte_tokenizer((EOS, "[THINK]", "[/THINK]"), ["so\n", "def x"])
    chain = ["[THINK]", "so\n", "[/THINK]", "def x", EOS]
    model = write_scripted(tmp_path / "model", tokenizer, chain, rows=320)  # heads of 80 numbers, which vLLM has
    asked = job(model, model, "scripted.base", GREEDY, prompts=2)
    ours, theirs = here(asked), texts(run(asked, keeper(**{asked.label: "llama"}), tmp_path)[0])
    assert {completion.text for completion in ours.values()} == {"[THINK]so\n[/THINK]def x"}
    assert not differences(asked, ours, theirs)


def differences(asked: GenerateJob, ours: Texts, theirs: Texts) -> list[str]:
    """Return for each text that differs where it does first, and how far apart the logits of the two tokens are."""
    assert ours.keys() == theirs.keys()
    prompts = {(r.task_id, r.sample): r.prompt for batch in asked.batches for r in batch}
    assert isinstance(asked.model, ModelRef)
    network, tokenizer = load_model(asked.model)
    lines = []
    for key in [key for key in ours if ours[key] != theirs[key]]:
        both = [tokenizer(prompts[key] + one[key].text)["input_ids"] for one in (ours, theirs)]
        pairs_of = enumerate(zip(*both, strict=False))
        at = next((n for n, (one, other) in pairs_of if one != other), min(map(len, both)) - 1)
        with torch.inference_mode():
            logits = network(torch.tensor([both[0][:at]])).logits[0, -1]
        first = at - len(tokenizer(prompts[key])["input_ids"])
        gap = float(logits[both[0][at]] - logits[both[1][at]])
        lines.append(f"{key}: token {first}, logits {gap:.2g} apart, {ours[key].stop} and {theirs[key].stop}")
    return lines


@pytest.mark.parametrize("decoding", [GREEDY, DRAWN_FROM_ONE], ids=["greedy", "drawn"])
@pytest.mark.parametrize("family", SIZES)
def test_one_engine_serves_all_versions_of_a_base_at_once(
    family: str,
    decoding: Decoding,
    bases: dict[str, ModelRef],
    keeper: Keeper,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    base, kept = bases[family], keeper(**{f"{family}.{n}": family for n in range(8)})
    targets = {"qwen2": TARGETS["llama"], "mistral": TARGETS["llama"], "gpt_bigcode": ["c_fc", "c_proj"]}
    monkeypatch.setattr(test_versions, "TARGETS", {**TARGETS, **targets})
    monkeypatch.setattr(test_versions, "EMBEDDINGS", {**EMBEDDINGS, "qwen2": "embed_tokens", "mistral": "embed_tokens"})
    models = [base, *(make_adapter(base, family, "lora", tmp_path / f"{n}", n) for n in range(2))]
    monkeypatch.setattr(test_versions, "TARGETS", {**TARGETS, **targets, "gpt_bigcode": ["c_attn"]})
    models += [make_adapter(base, family, way, tmp_path / way) for way in ("lm_head", "saved", "ia3")]
    models += [full_model(base, tmp_path / "full"), edited(base, tmp_path / "edited")]
    asked = {f"{family}.{n}": job(model, base, f"{family}.{n}", decoding, prompts=16) for n, model in enumerate(models)}
    made, errors = {}, []

    def generate(cell: str) -> None:
        try:
            made[cell] = run(asked[cell], kept, tmp_path)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=generate, args=(cell,)) for cell in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for cell, one in asked.items():
        assert not differences(one, here(one), texts(made[cell][0])), cell
    again = texts(run(asked[f"{family}.0"], kept, tmp_path)[0])
    assert again == texts(made[f"{family}.0"][0])
    assert sum(loads for _, loads in made.values()) == 2  # by the engine, and beside it to merge adapters
    assert len({str(sorted(texts(rows).items())) for rows, _ in made.values()}) >= 3  # some change logits only


def full_model(base: ModelRef, folder: Path) -> ModelRef:
    network, tokenizer = load_model(base)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return dataclasses.replace(base, location=str(folder))


def edited(base: ModelRef, folder: Path) -> ModelRef:
    network, _ = load_model(base)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        network.get_output_embeddings().weight.mul_(-1)
    folder.mkdir()
    save_delta(network, before, folder)
    return ModelRef(str(folder), ModelKind.DELTA, base)


def test_samples_depend_on_their_seeds_alone(bases: dict[str, ModelRef], keeper: Keeper, tmp_path: Path) -> None:
    llama, kept = bases["llama"], keeper(**{"llama.base": "llama"})
    whole = texts(run(job(llama, llama, "llama.base", DRAWN, prompts=8), kept, tmp_path)[0])
    rest = texts(run(job(llama, llama, "llama.base", DRAWN, prompts=8, first=2), kept, tmp_path)[0])
    assert rest == {key: text for key, text in whole.items() if key[1] >= 2}
    assert len({text.text for text in whole.values()}) > 40


def test_prompts_of_more_tokens_than_a_step_takes_are_drawn_for(bases, keeper, tmp_path):
    llama = bases["llama"]
    asked = job(llama, llama, "llama.base", DRAWN, prompts=40)
    longer = [[dataclasses.replace(r, prompt="x = 1\n" * 30 + r.prompt) for r in batch] for batch in asked.batches]
    made = texts(run(dataclasses.replace(asked, batches=longer), keeper(**{"llama.base": "llama"}), tmp_path)[0])
    assert len(made) == 240 and all(text.tokens for text in made.values())


def test_adapters_of_an_architecture_that_takes_none_in_vllm_are_merged(keeper: Keeper, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(make_tiny("gpt_bigcode", tmp_path / "tokenizer"))
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=64, n_layer=2, n_head=2, n_positions=384)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    gpt2 = ModelRef(str(tmp_path / "gpt2"))
    lora = LoraConfig(r=2, target_modules=["c_fc"], init_lora_weights=False, fan_in_fan_out=True)
    get_peft_model(load_model(gpt2)[0], lora).save_pretrained(tmp_path / "adapter")
    adapter = ModelRef(str(tmp_path / "adapter"), ModelKind.ADAPTER, gpt2)
    kept = keeper(**{"gpt2.base": "gpt2", "gpt2.adapter": "gpt2"})
    for model, cell in ((gpt2, "gpt2.base"), (adapter, "gpt2.adapter")):
        asked = job(model, gpt2, cell, GREEDY, prompts=20)
        assert not differences(asked, here(asked), texts(run(asked, kept, tmp_path)[0]))


def test_an_adapter_that_it_cannot_serve_ends_the_cell(bases, keeper, tmp_path):
    base = bases["llama"]
    prompt = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(load_model(base)[0], prompt).save_pretrained(tmp_path / "adapter")
    adapter = ModelRef(str(tmp_path / "adapter"), ModelKind.ADAPTER, base)
    with pytest.raises(RaysweepError, match="of type PROMPT_TUNING, which can't be merged"):
        run(job(adapter, base, "llama.adapter", GREEDY, prompts=2), keeper(**{"llama.adapter": "llama"}), tmp_path)


def test_prompts_longer_than_the_positions_are_counted(bases, keeper, tmp_path):
    llama = bases["llama"]
    asked = job(llama, llama, "llama.base", GREEDY, prompts=2)
    long = dataclasses.replace(asked.batches[0][0], task_id="long", prompt="x = 1\n" * 400)
    asked = dataclasses.replace(asked, batches=[[*asked.batches[0], long]])
    made = texts(run(asked, keeper(**{"llama.base": "llama"}), tmp_path)[0])
    assert (made["long", 0].text, made["long", 0].stop, made["long", 0].tokens) == ("", "length", 0)
    assert made == here(asked)


@pytest.fixture
def server(bases: dict[str, ModelRef]) -> Iterator[str]:
    """The address of vLLM's own server with the tiny llama."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", bases["llama"].location]
    command += ["--served-model-name", "tiny", "--port", str(port), "--dtype", "float32", "--enforce-eager"]
    command += ["--kv-cache-memory-bytes", str(2**28), "--max-model-len", "256"]
    environment = {**os.environ, "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def answers() -> bool:
        assert started.poll() is None, started.stdout.read() if started.stdout else ""
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=PATIENCE).close()
            return True
        return False

    try:
        assert eventually(answers)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        started.terminate()
        started.wait(PATIENCE)


def test_its_server_is_asked_through_openais_interface(server: str, bases: dict[str, ModelRef]) -> None:
    pytest.importorskip("openai")
    served = Spec("openai", {"served": "tiny", "url": server, "api": "completions"})
    asked = job(bases["llama"], bases["llama"], "llama.base", GREEDY, prompts=12)
    generator = GENERATORS.create(served, model=None, decoding=asked.decoding)
    made = texts({0: generator.generate([request for batch in asked.batches for request in batch])})
    ours = here(asked)
    assert {key: (one.text, one.stop) for key, one in made.items()} == {
        key: (one.text, one.stop) for key, one in ours.items()
    }
    assert all(one.prompt_tokens > 0 and one.tokens == ours[key].tokens for key, one in made.items())


def test_a_sweep_with_it_gives_what_transformers_gives(tmp_path: Path) -> None:
    size = "{hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 2}"
    adapter = "{trainer: lora, epochs: 1, batch_size: 16, lr: 1.0e-2, lora: {r: 4}}"
    of_head = "{trainer: lora, epochs: 1, batch_size: 16, lr: 1.0e-2, lora: {preset: study}}"
    changes = [f"models.0.pretrain.size={size}", f"recipes.adapter={adapter}", f"recipes.of_head={of_head}"]
    changes.append("models.0.recipes=[tiny, adapter, of_head]")
    found = []
    for generator in ("vllm", "transformers"):
        store, command = tmp_path / generator, [sys.executable, "-m", "raysweep", "run", str(NANO)]
        for change in (f"evaluation.generator={generator}", *changes):
            command += ["--set", change]
        subprocess.run([*command, "--storage", str(store)], check=True, timeout=PATIENCE)
        found.append(raysweep.load_results("nano", storage=str(store)))
        manifests = [json.loads(file.read_text()) for file in store.glob("artefacts/completions/*/*/manifest.json")]
        assert len(manifests) == 8
        assert all(("batch_invariant" in manifest["counts"]) is (generator == "vllm") for manifest in manifests)
        merged = [manifest["counts"]["merged"] for manifest in manifests]
        assert sum(merged) == (2 if generator == "vllm" else 4)  # `adapter` stays beside the base in vLLM
    assert found[0].equals(found[1])
