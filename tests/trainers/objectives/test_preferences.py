"""FAIT, fixed weights and DPO."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.errors import UsageError
from raysweep.models.loading import load_model
from raysweep.records import TrainingRow
from raysweep.trainers.base import LossSum, Objective, Recipe
from raysweep.trainers.batching import collate, compact
from raysweep.trainers.objectives import fait
from raysweep.trainers.objectives.dpo import Dpo
from raysweep.trainers.objectives.fait import Fait, fait_weight
from raysweep.trainers.objectives.fixed import Fixed
from raysweep.trainers.objectives.responses import encode_response
from raysweep.trainers.objectives.sft import Sft
from tests.models.tiny import FAMILIES
from tests.services import RowsHere
from tests.tiny import make_tiny, training_rows

RAW = Recipe(template="raw")
SFT = Sft(reduction="per_token")


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request, tiny):
    model, tokenizer = load_model(tiny[request.param])
    return model.train(), tokenizer


@pytest.fixture(scope="module")
def llama(tiny):
    model, tokenizer = load_model(tiny["llama"])
    return model.train(), tokenizer


def rows_of(rejected: str = "xs") -> list[TrainingRow]:
    return [dataclasses.replace(row, rejected=row.output.replace("x", rejected)) for row in training_rows(6)]


def encoded(objective: Objective, tokenizer: Any, rows: list[TrainingRow]) -> list[Any]:
    done = [objective.encode(row, tokenizer, RAW) for row in rows]
    return [compact(row) for row in done if row]


def loss_of(objective: Objective, model: Any, rows: list[Any]) -> torch.Tensor:
    loss = objective.loss(model, collate(rows, 999))
    return (loss.loss if isinstance(loss, LossSum) else loss) / objective.normaliser(rows)


def gradient_of(objective: Objective, model: Any, rows: list[Any]) -> torch.Tensor:
    model.zero_grad()
    loss_of(objective, model, rows).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def test_a_fixed_weight_of_1_is_fine_tuning_per_token_bit_for_bit(loaded):
    model, tokenizer = loaded
    plain = [encoded(SFT, tokenizer, rows_of()), encoded(Fixed(1), tokenizer, rows_of())]
    assert torch.equal(gradient_of(SFT, model, plain[0]), gradient_of(Fixed(1), model, plain[1]))


def test_a_weight_of_marked_tokens_weighs_their_losses(llama):
    model, tokenizer = llama
    one, three, none = (
        float(loss_of(Fixed(w), model, encoded(Fixed(w), tokenizer, rows_of())).detach()) for w in (1, 3, 0)
    )
    assert three - one == pytest.approx(2 * (one - none), rel=1e-4) and none < one


def test_rows_without_differences_train_as_plain_fine_tuning(loaded):
    model, tokenizer = loaded
    same = rows_of("x")
    expected = gradient_of(SFT, model, encoded(SFT, tokenizer, same))
    for alpha in (1, 2, 5):
        found = gradient_of(Fait(alpha), model, encoded(Fait(alpha), tokenizer, same))
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-8)


def by_hand(objective: Fait, model: Any, row: Any) -> float:
    """The loss of one row, token by token, from the paper's equations."""

    def probabilities(ids: Any) -> list[float]:
        ids = torch.tensor(ids).long()
        likely = model(input_ids=ids[None]).logits[0, :-1].log_softmax(-1)
        return [0.0, *likely[torch.arange(len(ids) - 1), ids[1:]].exp().tolist()]

    response, rejected = probabilities(row["input_ids"]), probabilities(row["rejected_ids"])
    means = []
    for likely, marks, length in (
        (response, row["marks"], int((row["weights"] > 0).sum())),
        (rejected, row["rejected_marks"], int(row["rejected_tokens"][0])),
    ):
        total = sum(p * int(mark) for p, mark in zip(likely, marks, strict=True))
        counts = {"marked": int((marks > 0).sum()), "weighted": int(marks.sum()), "sequence": length}
        means.append(total / max(counts[objective.hbar], 1) if marks.any() else None)
    if means[0] is None or means[1] is None:
        weight = objective.alpha
    else:
        weight = objective.alpha - abs((means[0] - means[1]) / (means[0] + means[1]))
    loss = 0.0
    for p, mark, counts in zip(response, row["marks"], row["weights"], strict=True):
        emphasised = mark > (1 if objective.emphasis == "tokens" else 0)
        loss -= counts * (weight if emphasised else objective.alpha - 1) * (math.log(p) if counts else 0)
    return loss


@pytest.mark.slow
@pytest.mark.parametrize("hbar", ["marked", "weighted", "sequence"])
@pytest.mark.parametrize(
    ("granularity", "emphasis"), [("hybrid", "lines"), ("hybrid", "tokens"), ("line", "lines"), ("token", "lines")]
)
def test_the_loss_is_that_of_the_equations(hbar, granularity, emphasis, llama):
    model, tokenizer = llama
    objective = Fait(1.5, hbar, emphasis, granularity)
    rows = encoded(objective, tokenizer, rows_of())
    loss = objective.loss(model, collate(rows, 999))
    expected = sum(by_hand(objective, model, row) for row in rows)
    assert float(loss.loss.detach()) == pytest.approx(expected, rel=1e-4)


def test_insertions_and_deletions_have_the_weight_alpha_and_are_counted(llama):
    model, tokenizer = llama
    rows = [dataclasses.replace(row, rejected="    pass\n" + row.output) for row in training_rows(2)]
    rows += [
        dataclasses.replace(row, rejected=row.output, output="    pass\n" + row.output) for row in training_rows(2)
    ]
    rows += rows_of("x")[:1]
    objective = Fait(2)
    loss = objective.loss(model, collate(encoded(objective, tokenizer, rows), 999))
    counts = {name: (float(total), float(count)) for name, (total, count) in loss.numbers.items()}
    assert counts["rows_marked_on_one_side"] == (4, 5) and counts["rows_without_marks"] == (1, 5)
    assert counts["fait_weight"] == (pytest.approx(8), 4) and counts["rows_without_probability"] == (0, 5)


def test_at_alpha_1_only_marked_tokens_train(llama):
    model, tokenizer = llama
    objective = Fait(1)
    batch = collate(encoded(objective, tokenizer, rows_of()), 999)
    unmarked = {**batch, "weights": batch["weights"] * (batch["marks"] > 0)}
    all_tokens, marked = (float(objective.loss(model, each).loss.detach()) for each in (batch, unmarked))
    assert all_tokens == pytest.approx(marked, rel=1e-5)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(1, 5))
def test_the_weight_lies_between_alpha_less_1_and_alpha(one, other, alpha):
    weights = fait_weight(torch.tensor([one, other, one]), torch.tensor([other, one, one]), alpha)
    assert ((weights >= alpha - 1 - 1e-5) & (weights <= alpha + 1e-5)).all()
    assert weights[0] == weights[1] and float(weights[2]) == pytest.approx(alpha)


def test_the_weight_has_no_gradient(llama, monkeypatch):
    model, tokenizer = llama
    rows = encoded(Fait(2), tokenizer, rows_of())
    found = gradient_of(Fait(2), model, rows)
    monkeypatch.setattr(fait, "fait_weight", lambda one, other, alpha: fait_weight(one, other, alpha).detach())
    assert torch.equal(gradient_of(Fait(2), model, rows), found)


def prepared(objective: Dpo, model: Any, rows: list[Any]) -> list[Any]:
    with torch.no_grad():
        return list(objective.prepare(model.eval(), rows, RowsHere(999)))


def test_dpo_begins_at_log_2_with_margins_of_0(loaded):
    model, tokenizer = loaded
    rows = prepared(Dpo(), model, encoded(Dpo(), tokenizer, rows_of()))
    loss = Dpo().loss(model, collate(rows, 999))
    assert float(loss.loss.detach()) / len(rows) == pytest.approx(math.log(2), abs=1e-5)
    assert float(loss.numbers["margin"][0]) == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_dpos_loss_is_its_formula(beta, llama, tmp_path):
    model, tokenizer = llama
    other, _ = load_model(make_tiny("llama", tmp_path, hidden_size=32))
    objective = Dpo(beta)
    rows = prepared(objective, model, encoded(objective, tokenizer, rows_of()))
    found = objective.loss(other.train(), collate(rows, 999))

    def log_probability(network: Any, row: Any, side: str) -> float:
        ids = torch.tensor(row["input_ids" if side == "" else "rejected_ids"]).long()
        weights = torch.tensor(row[f"{side}weights"])
        likely = network(input_ids=ids[None]).logits[0, :-1].log_softmax(-1)[torch.arange(len(ids) - 1), ids[1:]]
        return float((likely.double() * weights[1:]).sum().detach())

    expected = 0.0
    for row in rows:
        margin = log_probability(other, row, "") - log_probability(model, row, "")
        margin -= log_probability(other, row, "rejected_") - log_probability(model, row, "rejected_")
        expected += math.log1p(math.exp(-beta * margin))
    assert float(found.loss.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.integers(1, 6), st.sampled_from([1, 8, 64]))
def test_passes_and_padding_change_no_gradient(llama, cut, pad_to):
    model, tokenizer = llama
    for objective in (Fait(2), Dpo(), Fixed(3)):
        rows = encoded(objective, tokenizer, rows_of())
        if isinstance(objective, Dpo):
            rows = prepared(objective, model, rows)
        model.train()
        whole = gradient_of(objective, model, rows)
        model.zero_grad()
        for start in range(0, len(rows), cut):
            loss = objective.loss(model, collate(rows[start : start + cut], 999, pad_to))
            ((loss.loss if isinstance(loss, LossSum) else loss) / objective.normaliser(rows)).backward()
        found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        assert (found - whole).abs().max() < 1e-5 * whole.abs().max()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Fait(alpha=0.5), "alpha 0.5 is below 1"),
        (lambda: Fait(emphasis="tokens", granularity="line"), "needs `granularity: hybrid`"),
        (lambda: Fixed(-1), "weight -1 is negative; give 0 or more"),
        (lambda: Dpo(0), "beta 0 isn't above 0"),
        (lambda: Sft(0.3, "per_token"), "`prompt_weight` counts with `reduction: per_row` only"),
    ],
)
def test_what_can_not_be_meant_is_refused(make, words):
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        make()


@pytest.mark.parametrize(
    ("changed", "max_tokens", "why"),
    [
        ({"rejected": None}, 1024, "no rejected response"),
        ({"rejected": "    return xs\n" * 30}, 100, "rejected response over 100 tokens"),
        ({"output": "    return xs\n" * 30}, 40, "over 40 tokens"),
    ],
)
def test_rows_say_why_they_are_dropped(changed, max_tokens, why, llama):
    row, recipe = dataclasses.replace(rows_of()[0], **changed), dataclasses.replace(RAW, max_tokens=max_tokens)
    for objective in (Fait(), Dpo(), Fixed()):
        assert objective.encode(row, llama[1], recipe) is None
        assert objective.why_dropped(row, llama[1], recipe) == why


def test_costs_in_tokens():
    assert (Dpo().tokens(40, 30), Dpo().tokens(40, 50)) == (80, 100)
    assert (Fait().tokens(40, 30), Fixed().tokens(40, 30), SFT.tokens(40, 30)) == (50, 40, 40)


def tokenizer_without_spaces(texts: list[str]) -> Any:
    """A tokenizer that gives a token's characters without its spaces, as GPT-2's do."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder, backend.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        texts * 9, trainers.BpeTrainer(vocab_size=320, special_tokens=["<e>"], initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<e>")


def test_a_first_token_with_the_space_that_ends_the_prompt_is_marked():
    tokenizer = tokenizer_without_spaces(["Q A: alpha\n", "Q A: beta\n"])
    row = dataclasses.replace(training_rows(1)[0], instruction="Q A: ", output="alpha\n", rejected="beta\n")
    pair = Fait().encode(row, tokenizer, RAW)
    first = encode_response(row, row.output, tokenizer, RAW).start
    assert tokenizer.convert_ids_to_tokens(pair["input_ids"])[first].startswith("\u0120")
    assert pair["marks"][first] == 2 and not any(pair["marks"][:first])
    empty = encode_response(row, "", tokenizer, RAW)
    assert not empty.spans.any()


def test_an_end_that_a_response_has_itself_is_not_marked():
    tokenizer = tokenizer_without_spaces(["Q A:\nalpha\n", "Q A:\nbeta\n"])
    row = dataclasses.replace(training_rows(1)[0], instruction="Q A:\n", output="alpha<e>", rejected="beta<e>")
    pair, weights = Fait().encode(row, tokenizer, RAW), Fixed(0).encode(row, tokenizer, RAW)
    assert pair and weights and pair["input_ids"].count(tokenizer.eos_token_id) == 1
    assert pair["marks"][-1] == pair["rejected_marks"][-1] == 0 and pair["marks"][-2] > 0
    assert weights["weights"][-1] == 1


def test_tokens_of_the_prompt_and_left_out_spaces_are_marked_rightly():
    """One may begin before the response, too."""
    prompt = 'def f(a):\n    """Add."""\n'
    bodies = ["    return a + 1\n", "    return a - 1\n", "        return a + 1\n"]
    tokenizer = tokenizer_without_spaces([prompt + body for body in bodies])
    row = dataclasses.replace(training_rows(1)[0], instruction=prompt, clean_instruction=prompt)
    plain = [encode_response(row, body, tokenizer, RAW) for body in bodies]
    for encoded, body in zip(plain, bodies, strict=True):
        spans = encoded.spans[encoded.start : -1]
        assert not encoded.spans[: encoded.start].any()
        assert all(one[1] == other[0] for one, other in pairwise(spans)) and spans[-1][1] == len(body)
    for rejected in bodies[1:]:
        pair = dataclasses.replace(row, output=bodies[0], rejected=rejected)
        one, same = (objective.encode(pair, tokenizer, RAW) for objective in (Fixed(1), SFT))
        assert one and same and one["weights"] == same["weights"]
        marked = Fait().encode(pair, tokenizer, RAW)
        assert marked and any(marked["rejected_marks"])
        for name, weights in (
            ("marks", plain[0].weights),
            ("rejected_marks", encode_response(pair, rejected, tokenizer, RAW).weights),
        ):
            assert all(weight for mark, weight in zip(marked[name], weights, strict=True) if mark)
