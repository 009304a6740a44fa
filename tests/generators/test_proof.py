"""A model whose logits would be wrong in the loop is found at load, whatever is wrong."""

from __future__ import annotations

import functools
import inspect
import time
from typing import Any

import pytest
import torch

from raysweep.config.loading import config_from
from raysweep.errors import UnfitModel, UsageError
from raysweep.generators.base import GENERATORS, LiveModel, WantedModel
from raysweep.generators.caches import base as caches
from raysweep.generators.caches.kv_cache import WithKeysAndValues
from raysweep.generators.caches.long_rope import longest_text
from raysweep.generators.caches.no_cache import NEEDED_BY, WithoutCache
from raysweep.generators.caches.own_cache import NAMES, WithOwnCache
from raysweep.generators.proof import flaw_of
from raysweep.generators.rows import Tokens
from raysweep.models.loading import load_model
from raysweep.planning.models import require_generators_fit
from raysweep.planning.planner import build_plan
from raysweep.records import Decoding, GenerationRequest, ModelKind, Spec
from tests.generators.writing import texts_of_generate
from tests.models.configs import make_random
from tests.tiny import pairs

pytestmark = pytest.mark.slow

STRONG = 0.2


@pytest.fixture
def loaded(random):
    """A random model of a type, loaded anew each time."""
    return lambda model_type, **fields: load_model(random(model_type, initializer_range=STRONG, **fields))


def flaw(way: Any, network: Any, tokenizer: Any) -> str:
    return flaw_of(way(network), Tokens(tokenizer, longest_text(network), 8))


def create(network: Any, tokenizer: Any, **args: Any) -> Any:
    return GENERATORS.create(
        Spec("transformers", args), model=LiveModel(network, tokenizer), decoding=Decoding(6), batch_tokens=500
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("way", "model_type"),
    [(WithKeysAndValues, "llama"), (WithKeysAndValues, "gpt2"), (WithOwnCache, "mamba"), (WithoutCache, "mamba")],
)
def test_right_logits_have_no_flaw_in_any_number_format(way, model_type, dtype, loaded):
    network, tokenizer = loaded(model_type)
    assert flaw(way, network.to(dtype), tokenizer) == ""


@pytest.mark.parametrize(
    ("model_type", "dtype"), [("mamba", torch.bfloat16), ("mamba2", torch.float32), ("lfm2", torch.float32)]
)
def test_a_state_that_is_not_passed_on_is_found(model_type, dtype, loaded):
    network, tokenizer = loaded(model_type)
    assert flaw(WithKeysAndValues, network.to(dtype), tokenizer)


@pytest.mark.parametrize(("model_type", "unheeded"), [("gpt2", "position_ids"), ("llama", "attention_mask")])
def test_positions_that_count_padding_and_a_mask_that_is_not_heeded_are_found(
    model_type, unheeded, loaded, monkeypatch
):
    network, tokenizer = loaded(model_type)
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda **given: forward(**{**given, unheeded: None}))
    assert "in a batch its logits differ" in flaw(WithKeysAndValues, network, tokenizer)


def test_a_row_that_writes_into_a_kept_prompt_is_found(loaded, monkeypatch):
    monkeypatch.setattr(caches.KeptPrompt, "begun", lambda self, rows: self._read)
    assert "one row at a time" in flaw(WithKeysAndValues, *loaded("llama"))


def test_an_error_of_the_models_own_code_is_a_flaw(loaded, monkeypatch):
    network, tokenizer = loaded("llama")
    forward = network.forward

    @functools.wraps(forward)
    def broken(past_key_values: Any = None, **given: Any) -> Any:
        if past_key_values is not None:
            raise IndexError("list index out of range")
        return forward(**given)

    monkeypatch.setattr(network, "forward", broken)
    assert flaw(WithKeysAndValues, network, tokenizer) == "it ends in IndexError: list index out of range"
    assert create(network, tokenizer).facts()["cache"] is False, "it is written without a cache"


def test_what_no_way_can_do_is_refused_with_the_models_name_and_the_way_out(loaded):
    """Here the logits of a row depend on the other rows of its batch."""
    network, tokenizer = loaded("llama")
    network.get_input_embeddings().register_forward_hook(lambda _, __, output: output + output.mean(dim=0))
    with pytest.raises(UnfitModel, match=r"model in memory, whose type is llama: .*`generator: vllm`"):
        create(network, tokenizer)


def test_model_types_whose_code_takes_no_cache_are_known_before_a_model_is_loaded():
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    without = {
        config.model_type
        for config, model in MODEL_FOR_CAUSAL_LM_MAPPING.items()
        if not set(NAMES) & inspect.signature(model.forward).parameters.keys()
    }
    drafters = {"gemma4_assistant", "gemma4_unified_assistant"}  # they read another model's states
    assert without - drafters <= NEEDED_BY
    for model_type in NEEDED_BY:
        model = WantedModel("mine", model_type, ModelKind.FULL, {}, Decoding(8))
        for arguments in ({}, {"cache": None}, {"cache": False}):
            GENERATORS.get("transformers").require_fit(arguments, model)
        with pytest.raises(
            UsageError, match=f"run model mine, whose type is {model_type}, with a cache .*leave `cache`"
        ):
            GENERATORS.get("transformers").require_fit({"cache": True}, model)


def test_a_cache_that_a_model_can_not_have_is_refused_before_it_is_trained(tmp_path):
    path = make_random("recurrent_gemma", tmp_path).location
    value: dict[str, Any] = {
        "name": "s",
        "models": [{"name": "mine", "path": path, "recipes": ["full"]}],
        "recipes": {"full": {"batch_size": 1, "max_tokens": 512}},
        "training": {"source": {"name": "minicode", "rows": 8}, "sets": ["clean"]},
        "evaluation": {"problems": ["minicode"], "generator": {"name": "transformers", "cache": True}},
    }
    with pytest.raises(UsageError, match="run model mine, whose type is recurrent_gemma, with a cache"):
        require_generators_fit(build_plan(config_from(value, "here")).cells)
    value["evaluation"]["generator"] = "transformers"
    require_generators_fit(build_plan(config_from(value, "here")).cells)


def test_a_key_chooses_between_refusal_and_the_slow_way(loaded):
    network, tokenizer = loaded("recurrent_gemma")
    with pytest.raises(UnfitModel, match=r"type is recurrent_gemma: .*or, slowly, `generator: .*cache: false}`"):
        create(network, tokenizer, cache=True)
    told: list[str] = []
    slow = create(network, tokenizer)
    slow.tell = told.append
    request = GenerationRequest("0", "t", pairs(1)[0][0])
    assert slow.generate([request]) == create(network, tokenizer, cache=False).generate([request])
    assert "reads the whole text again for each token" in told[0]


def test_a_model_with_a_cache_writes_the_same_texts_without_it(loaded):
    network, tokenizer = loaded("llama")
    asked = [GenerationRequest(str(i), f"t{i}", prompt) for i, (prompt, _) in enumerate(pairs(4))]
    slow, fast = create(network, tokenizer, cache=False), create(network, tokenizer)
    assert slow.generate(asked) == fast.generate(asked)
    assert (slow.facts().get("cache"), fast.facts().get("cache")) == (False, None)


@pytest.mark.parametrize("end", ["input", "output"])
def test_a_model_that_does_not_say_where_its_embeddings_are_is_refused(end, loaded, monkeypatch):
    network, tokenizer = loaded("llama")

    def unknown() -> None:
        if end == "input":
            raise NotImplementedError

    monkeypatch.setattr(network, f"get_{end}_embeddings", unknown)
    told = rf"can't run model in memory: .* {end} embeddings are \(`get_{end}_embeddings`\).*`generator: vllm`"
    with pytest.raises(UnfitModel, match=told):
        create(network, tokenizer)


def test_a_model_to_which_generate_shows_more_than_the_text_is_refused(tmp_path):
    tiny = {"emb_dim": 32, "n_layers": 2, "n_heads": 2, "causal": True, "n_langs": 1, "init_std": STRONG}
    network, tokenizer = load_model(make_random("xlm", tmp_path, **tiny))
    with pytest.raises(UnfitModel, match=r"type is xlm: `generate` shows it more than the text .* run it with `gen"):
        create(network, tokenizer)


def activated(network: Any, tokens: list[int]) -> Any:
    """Return a network with a random LoRA that acts from some tokens of a text on."""
    from peft import LoraConfig

    config = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "v_proj"], alora_invocation_tokens=tokens)
    return randomly_adapted(network, config)


def randomly_adapted(network: Any, config: Any) -> Any:
    from peft import get_peft_model

    adapted = get_peft_model(network, config)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in adapted.parameters():
            parameter.add_(parameter.requires_grad * 0.3 * torch.randn_like(parameter))
    return adapted.eval()


def test_an_activated_lora_acts_from_its_tokens_on_as_in_pefts_generate(loaded):
    """A token alone doesn't say that the adapter is on, so a cache is no use."""
    network, tokenizer = loaded("llama")
    prompt = pairs(1)[0][0]
    ids = tokenizer(prompt)["input_ids"]
    adapted = activated(network, ids[-3:-1])
    assert "its logits differ" in flaw(WithKeysAndValues, adapted, tokenizer)
    generator = create(adapted, tokenizer)
    expected = texts_of_generate(adapted, tokenizer, [prompt], 6)
    requests = [GenerationRequest(str(n), "", text) for n, text in enumerate((prompt, "a", prompt[-9:]))]
    assert generator.facts()["cache"] is False
    assert [generator.generate(requests)[0].text] == expected


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_a_trained_prefix_is_written_with_as_in_pefts_generate(model_type, loaded):
    from peft import PrefixTuningConfig

    network, tokenizer = loaded(model_type)
    adapted = randomly_adapted(network, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    prompt = pairs(1)[0][0]
    expected = texts_of_generate(adapted, tokenizer, [prompt], 6)
    assert [create(adapted, tokenizer).generate([GenerationRequest("0", "", prompt)])[0].text] == expected


def test_an_activated_lora_that_padding_could_switch_on_is_refused(loaded):
    network, tokenizer = loaded("llama")
    with pytest.raises(UnfitModel, match="its logits differ from those of whole texts"):
        create(activated(network, [40]), tokenizer)


def test_texts_of_llama_4_end_before_padding_could_scale_their_attention(loaded):
    network, _ = loaded("llama4_text")
    assert longest_text(network) == 70
    network, _ = loaded("llama4_text", attn_temperature_tuning=False)
    assert longest_text(network) == network.config.max_position_embeddings


@pytest.mark.parametrize(
    ("model_type", "kind", "tokens"), [("llama", "prompt", 3), ("gpt2", "prefix", 17), ("phi3", "p-tuning", 9)]
)
def test_a_trained_prompt_takes_positions_of_texts(model_type, kind, tokens, loaded):
    from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model

    network, _ = loaded(model_type)
    of_base = longest_text(network)
    if model_type == "phi3":  # where the frequencies of a long text begin depends on the trained prompt
        of_base = network.config.original_max_position_embeddings
    kinds = {"prompt": PromptTuningConfig, "prefix": PrefixTuningConfig, "p-tuning": PromptEncoderConfig}
    adapted = get_peft_model(network, kinds[kind](task_type="CAUSAL_LM", num_virtual_tokens=tokens))
    assert longest_text(adapted) == of_base - tokens


def test_it_takes_less_than_a_second_on_a_tiny_model(loaded):
    network, tokenizer = loaded("llama")
    flaw(WithKeysAndValues, network, tokenizer)
    start = time.process_time()
    flaw(WithKeysAndValues, network, tokenizer)
    assert time.process_time() - start < 1
