from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import torch

from raysweep.errors import UsageError
from raysweep.models.loading import load_model, load_tokenizer
from raysweep.prompts.templates import PromptTemplate, training_prompt
from raysweep.records import TrainingRow
from raysweep.trainers.base import Recipe
from raysweep.trainers.batching import collate, collate_packed
from raysweep.trainers.checks import check_eos
from raysweep.trainers.objectives.sft import Sft
from tests.models.scripted import chat_bytes
from tests.models.tiny import CHATS, FAMILIES, chat_tokenizer
from tests.tiny import pairs

RAW = Recipe(template="raw")


def row_of(prompt: str, output: str) -> TrainingRow:
    return TrainingRow("0", "0", prompt, "", output, "", "clean", False, prompt, "")


def safecoders_weights(prompt: str, output: str, tokenizer: Any) -> tuple[list[int], list[int]]:
    """What safecoder/dataset.py computes in load_func_dataset."""
    encoded = tokenizer(prompt + output + tokenizer.eos_token)
    start = encoded.char_to_token(len(prompt) - 1) + 1
    ids = encoded["input_ids"]
    return ids, [0] * start + [1] * (len(ids) - start)


@pytest.mark.parametrize("template", ["raw", "instruct"])
def test_tokens_and_weights_are_safecoders(template, tiny):
    tokenizer, recipe = load_tokenizer(tiny["llama"]), Recipe(template=template)
    for prompt, output in pairs(6):
        row = row_of(prompt, output)
        ids, weights = safecoders_weights(training_prompt(row, PromptTemplate(template)), output, tokenizer)
        encoded = Sft().encode(row, tokenizer, recipe)
        assert encoded["input_ids"] == ids
        assert [weight > 0 for weight in encoded["weights"]] == [weight == 1 for weight in weights]
        assert sum(encoded["weights"]) == pytest.approx(1)


@pytest.mark.parametrize("template", ["instruct", "chat"])
def test_of_earlier_turns_no_token_has_a_loss(template):
    tokenizer, recipe = chat_tokenizer("chatml"), Recipe(template=template)
    row = dataclasses.replace(row_of("Add.", "a + b"), system="Be brief.", history=("Hello.", "Hi."))
    encoded = Sft().encode(row, tokenizer, recipe)
    trained = [token for token, weight in zip(encoded["input_ids"], encoded["weights"], strict=True) if weight]
    end = PromptTemplate(template, tokenizer=tokenizer).end
    assert tokenizer.decode(trained) == f"a + b{end}"
    prompt = training_prompt(row, PromptTemplate(template, tokenizer=tokenizer))
    assert tokenizer.decode(encoded["input_ids"]) == f"{prompt}a + b{end}" and f"Hi.{end}" in prompt
    check_eos([encoded], {tokenizer.convert_tokens_to_ids(end)})


TURNS = {
    "chatml": "<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>"
    "{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}{{ '\n' }}",
    "with a beginning": "<|head|>{{ m.role }}<|headed|>\n\n{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content | trim }}<|eot|>{% endgeneration %}{% else %}{{ m.content | trim }}<|eot|>{% endif %}",
    "ends with the text": "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}"
    "{% endgeneration %}{% else %}{{ '[Q] ' if m.role == 'user' else '' }}{{ m.content }}"
    "{{ ' [A]' if m.role == 'user' else eos_token }}{% endif %}",
}
"""The turns of `CHATS` with transformers' tags around what an assistant writes, by which TRL's `assistant_only_loss`
marks tokens."""
OTHERS = (
    "Say {hi}.\n",
    " Hi, caf\u00e9 \u6f22 \U0001f600.\n",
    "Again!",
    "",
    "And  once more",
    "def f():\n    return 1\n",
)


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_with_loss_on_all_each_answer_has_the_tokens_that_transformers_marks(name, system):
    tokenizer = chat_tokenizer(name)
    row = dataclasses.replace(row_of("Add.", "a + b"), system=system, history=OTHERS)
    recipe = Recipe(template="chat", loss_on="all")
    encoded = Sft(reduction="per_token").encode(row, tokenizer, recipe)

    said = [*(["system"] if system else []), *(["user", "assistant"] * 4)]
    texts = [*([system] if system else []), *OTHERS, "Add.", "a + b"]
    turns = [{"role": role, "content": text} for role, text in zip(said, texts, strict=True)]
    marked = "{% for m in messages %}" + TURNS[name] + "{% endfor %}"
    if name == "with a beginning":
        marked = "{{ bos_token }}" + marked
    plain = tokenizer.apply_chat_template(turns, tokenize=False)
    told = tokenizer.apply_chat_template(
        turns, chat_template=marked, return_dict=True, return_assistant_tokens_mask=True
    )
    assert tokenizer.apply_chat_template(turns, chat_template=marked, tokenize=False) == plain
    size = len(encoded["input_ids"])  # a template may go on behind the last end
    assert encoded["input_ids"] == told["input_ids"][:size] and not any(told["assistant_masks"][size:])
    assert encoded["weights"] == told["assistant_masks"][:size]
    only_last = Sft(reduction="per_token").encode(row, tokenizer, dataclasses.replace(recipe, loss_on="last"))
    assert only_last["input_ids"] == encoded["input_ids"] and sum(only_last["weights"]) < sum(encoded["weights"])


@pytest.mark.parametrize(
    "template",
    [
        "instruct",
        "magicoder",
        "semcoder",
        "{% for t in history %}{{ t.question }}>{{ t.answer }}{{ eos_token }};{% endfor %}{{ instruction }}>",
    ],
)
def test_with_loss_on_all_each_answer_and_its_end_have_a_loss_in_other_forms(template):
    tokenizer, recipe = chat_tokenizer("chatml"), Recipe(template=template, loss_on="all")
    row = dataclasses.replace(row_of("Add.", "a + b"), history=("One.", "Hi.", "Two.", "Ho.", "Three.", "He."))
    end = tokenizer.eos_token
    for masked, answers in (("", "Hi. Ho. He. a + b"), ("1", "Hi. He. a + b"), ("0,2", "Ho. a + b")):
        one = dataclasses.replace(row, masked=masked)
        encoded = Sft(0.5).encode(one, tokenizer, recipe)
        most = max(encoded["weights"])
        trained = [
            token for token, w in zip(encoded["input_ids"], encoded["weights"], strict=True) if w == pytest.approx(most)
        ]
        *earlier, last = re.split(r"(?<=\.) ", answers)
        assert tokenizer.decode(trained) == "".join(f"{text}{end}" for text in (*earlier, last))
        assert most * len(trained) == pytest.approx(1 / 1.5)
        assert {round(w / most, 6) for w in encoded["weights"]} == {0.5, 1}


def test_what_a_template_writes_around_answers_has_a_loss_with_each_of_them():
    tokenizer = chat_bytes("has spaces")
    said = ("Hello.", "Hi.", "Add.", "a + b")
    turns = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]
    row = dataclasses.replace(row_of("Add.", "a + b"), history=said[:2])
    for loss_on, trained in (("all", " Hi. <|endoftext|> a + b <|endoftext|>"), ("last", " a + b <|endoftext|>")):
        encoded = Sft().encode(row, tokenizer, Recipe(template="chat", loss_on=loss_on))
        tokens = [token for token, weight in zip(encoded["input_ids"], encoded["weights"], strict=True) if weight]
        assert tokenizer.decode(tokens) == trained
        assert encoded["input_ids"] == tokenizer.apply_chat_template(turns, return_dict=False)


OTHERWISE = {
    "marks the last answer alone": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ '<think></think>' if m.role == 'assistant' and loop.last }}{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "has 'Hi.<|im_end|>\\n<|im_s' where '<think></think>Hi.<|' would be",
    ),
    "leaves out earlier reasoning": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] if not loop.last else "
        "m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "has 'Hi.<|im_end|>\\n<|im_s' where '<think>\\nWell.</think' would be",
    ),
    "counts the turns": (
        "{{ messages | length }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}",
        "has '4Be brief.<|im_end|>' where '2Be brief.<|im_end|>' would be",
    ),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_template_that_writes_earlier_answers_in_another_way_is_refused_with_loss_on_all(name):
    tokenizer = chat_tokenizer("chatml")
    tokenizer.chat_template, said = OTHERWISE[name]
    answer = "<think>\nWell.</think>Hi." if "reasoning" in name else "Hi."
    row = dataclasses.replace(row_of("Add.", "a"), system="Be brief.", history=("Hello.", answer))
    with pytest.raises(UsageError) as told:
        Sft().encode(row, tokenizer, Recipe(template="chat", loss_on="all"))
    assert said in str(told.value) and str(told.value).endswith("a row that ends with each answer")
    assert Sft().encode(row, tokenizer, Recipe(template="chat"))


@pytest.mark.parametrize("name", CHATS)
def test_a_chats_row_ends_with_the_end_of_the_turn_and_begins_once(name):
    tokenizer = chat_tokenizer(name)
    prompt, output = pairs(1)[0]
    encoded = Sft().encode(row_of(prompt, output), tokenizer, Recipe(template="chat", system="Be brief."))
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]
    asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    written = output.strip() if name == "with a beginning" else output  # whose template strips answers
    answered = [
        *tokenizer(written, add_special_tokens=False)["input_ids"],
        tokenizer.convert_tokens_to_ids(CHATS[name].end),
    ]
    assert encoded["input_ids"] == [*asked, *answered]
    assert [weight > 0 for weight in encoded["weights"]] == [False] * len(asked) + [True] * len(answered)


def test_weights_begin_after_a_token_that_spans_the_border(tiny):
    tokenizer = load_tokenizer(tiny["llama"])
    prompt, output = "def f0(xs", "):\n    return xs[:2]\n"  # without a line break between them tokens may join
    _, weights = safecoders_weights(prompt, output, tokenizer)
    encoded = Sft().encode(row_of(prompt, output), tokenizer, RAW)
    assert [weight > 0 for weight in encoded["weights"]] == [bool(w) for w in weights]


def test_an_empty_response_still_teaches_the_end(tiny):
    tokenizer = load_tokenizer(tiny["llama"])
    encoded = Sft().encode(row_of("x\n", ""), tokenizer, RAW)
    assert encoded["input_ids"][-1] == tokenizer.eos_token_id
    assert encoded["weights"][-2:] == [0, 1]


def test_long_rows_and_rows_without_a_prompt_are_dropped(tiny):
    tokenizer = load_tokenizer(tiny["llama"])
    prompt, output = pairs(1)[0]
    exact = len(safecoders_weights(prompt, output, tokenizer)[0])
    for limit, kept in ((exact, True), (exact - 1, False)):
        recipe = dataclasses.replace(RAW, max_tokens=limit)
        assert (Sft().encode(row_of(prompt, output), tokenizer, recipe) is not None) == kept
        assert kept or Sft().why_dropped(row_of(prompt, output), tokenizer, recipe) == f"over {exact - 1} tokens"
    assert Sft().encode(row_of("", output), tokenizer, RAW) is None
    assert Sft().why_dropped(row_of("", output), tokenizer, RAW) == "no prompt"


def row_losses(model: Any, tokenizer: Any, prompt: str, output: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropies of the prompt's and the response's tokens, from a single unpadded row."""
    ids, weights = safecoders_weights(prompt, output, tokenizer)
    likely = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    losses = -likely[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    response = torch.tensor(weights[1:], dtype=torch.bool)
    return losses[~response].detach(), losses[response].detach()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prompt_weight", [0, 0.3])
def test_the_loss_is_the_mean_over_each_rows_response_plus_the_weighted_prompt(family, prompt_weight, tiny):
    model, tokenizer = load_model(tiny[family])
    objective = Sft(prompt_weight)
    encoded = [objective.encode(row_of(*pair), tokenizer, RAW) for pair in pairs(5)]
    rows = [row for row in encoded if row]
    total = objective.loss(model, collate(rows, 999))

    expected = 0.0
    for pair in pairs(5):
        prompt, response = row_losses(model, tokenizer, *pair)
        expected += float((response.mean() + prompt_weight * prompt.sum() / len(response)) / (1 + prompt_weight))
    assert objective.normaliser(rows) == 5
    assert float(total.detach()) == pytest.approx(expected, rel=1e-5)
    if family != "codegen":  # which lets packed rows see each other
        assert float(objective.loss(model, collate_packed(rows)).detach()) == pytest.approx(expected, rel=1e-5)


def test_a_negative_prompt_weight_is_refused():
    with pytest.raises(UsageError, match="prompt_weight"):
        Sft(-1)
