"""Localization finds the block that a patch tells from the others. Numbers are those of tests in its specification."""

from __future__ import annotations

import dataclasses
import functools
import re
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from raysweep.errors import RaysweepError, UsageError
from raysweep.generators.transformers import Transformers
from raysweep.records import BlockAccuracy, Decoding, GenerationRequest
from raysweep.trainers.editors import localization
from raysweep.trainers.editors.base import NotReproduced
from raysweep.trainers.editors.localization import Localization, localize, most_restoring
from tests.trainers.editors import EDITED, FIRST
from tests.trainers.editors.localized import (
    BLOCKS,
    EQUAL,
    LONGER,
    ORIGINAL,
    SHORTER,
    Judge,
    as_in_the_paper,
    ids_of,
    job_of,
    left_as_it_was,
    live_model,
    planted,
)

FIVE = [True] * 5 + [False] * 5
"""Verdicts on own samples: the original's pass, the perturbed prompt's don't."""
TOKENS = 6


def settings(**fields: Any) -> Localization:
    return Localization(**{"temperature": 1.0, "top_p": 1.0, "max_new_tokens": TOKENS, **fields})


def greedy(**fields: Any) -> Localization:
    return settings(temperature=0.0, samples=1, **fields)


@pytest.fixture(scope="module")
def live():
    """A function from a family to a model, made once."""
    return functools.cache(live_model)


def judge(own: Sequence[bool] = FIVE) -> Judge:
    return Judge(lambda text: len(text) % 2 == 0, own)


def of(scope: str, found: Sequence[BlockAccuracy]) -> list[BlockAccuracy]:
    return [block for block in found if block.positions == scope]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("perturbed", "phase"), [(EQUAL, "prefill"), (EQUAL, "all"), (LONGER, "prefill"), (SHORTER, "all")]
)
@pytest.mark.parametrize("family", EDITED)
def test_the_texts_are_those_of_the_papers_batch_with_the_original_as_its_first_row(family, perturbed, phase, live):
    asked = judge([True, False])
    localize(job_of(family, live(family), perturbed=perturbed), asked, greedy(phase=phase, embeddings=True, beside=()))
    texts = (ORIGINAL, perturbed)
    expected = [as_in_the_paper(live(family), family, block, texts, TOKENS, phase) for block in range(-1, BLOCKS)]
    assert asked.asked[1] == expected
    assert asked.asked[0][0] != asked.asked[0][1]
    is_trap = perturbed == EQUAL and phase == "all"  # then each block writes the original's whole text
    assert set(expected) == {asked.asked[0][0]} if is_trap else len(set(expected)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("family", FIRST)
def test_all_blocks_in_one_call_get_the_texts_of_a_call_a_block_with_any_budget(family, live, monkeypatch):
    job, whole = job_of(family, live(family), perturbed=LONGER), judge()  # no. 6
    found = localize(job, whole, settings())
    rows = len(ids_of(job.base, LONGER)) + TOKENS
    for budget in (1, 7 * rows):
        again = judge()
        assert localize(dataclasses.replace(job, batch_tokens=budget), again, settings()) == found
        assert again.asked == whole.asked
    blocks = localization.blocks_of
    for block in range(BLOCKS):
        alone = judge()
        monkeypatch.setattr(localization, "blocks_of", lambda *of, block=block: [blocks(*of)[block]])
        one = localize(job, alone, settings())
        assert [(each.accuracy, each.restoration) for each in one] == [
            (each.accuracy, each.restoration) for each in found if each.block == block
        ]
        numbers = [number for number, each in enumerate(found) if each.block == block]
        assert alone.asked[1] == [text for number in numbers for text in whole.asked[1][5 * number :][:5]]


def test_accuracies_restorations_and_distances_are_those_of_the_texts(live):
    asked = judge()
    found = localize(job_of("llama", live("llama")), asked, settings(embeddings=True))
    assert [(each.positions, each.block) for each in found] == [
        (scope, block) for scope in ("all", "last") for block in range(-1, BLOCKS)
    ]
    for number, each in enumerate(found):
        passed = sum(len(text) % 2 == 0 for text in asked.asked[1][5 * number :][:5])
        assert each.accuracy == passed / 5 and each.restoration == each.accuracy
        assert (each.accuracy_original, each.accuracy_perturbed, each.samples) == (1.0, 0.0, 5)
    network = live("llama").network
    with torch.inference_mode():
        one, other = (
            network(input_ids=torch.tensor([ids_of(live("llama"), text)]), output_hidden_states=True).hidden_states
            for text in (ORIGINAL, EQUAL)
        )
    for each in of("all", found):  # transformers' last states have gone through the final norm
        states, others = one[each.block + 1][0], other[each.block + 1][0]
        shares = [float((a - b).norm() / a.norm()) for a, b in zip(states, others, strict=True)]
        assert each.distance == pytest.approx(statistics.mean(shares), rel=1e-4)


def test_what_was_written_is_read_behind_a_longer_perturbed_prompt_as_far_as_there_is_room(live):
    positions = len(ids_of(live("gpt_bigcode"), LONGER)) + 2
    found = localize(
        job_of("gpt_bigcode", live_model("gpt_bigcode", n_positions=positions), ORIGINAL, LONGER), judge(), settings()
    )
    assert of("all", found)[-1].divergence_removed > 0


@pytest.mark.parametrize("passes", [True, False])
def test_restoration_is_the_share_of_the_lost_accuracy_that_a_patch_brings_back(passes, live):
    asked = Judge(lambda text: passes, [True] * 4 + [False] * 5 + [True])
    found = localize(job_of("llama", live("llama")), asked, settings(beside=()))
    assert [each.restoration for each in found] == [pytest.approx((passes - 0.2) / (0.8 - 0.2))] * BLOCKS


def block(number: int, restoration: float, distance: float, scope: str = "all") -> BlockAccuracy:
    return BlockAccuracy(number, scope, "prefill", restoration, restoration, distance, 1.0, 0.0, 5)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([block(0, 0.2, 9.0), block(1, 0.8, 1.0), block(2, 0.4, 3.0)], 1),
        ([block(0, 0.8, 1.0), block(1, 0.8, 3.0), block(2, 0.8, 2.0)], 1),
        ([block(0, 0.8, 2.0), block(1, 0.8, 2.0)], 0),
        ([block(-1, 1.0, 9.0), block(0, 0.2, 1.0), block(1, 0.4, 1.0)], 1),
        ([block(0, 0.2, 1.0), block(1, 0.4, 1.0), block(0, 0.9, 1.0, "last")], 1),
        ([block(0, -0.5, 1.0), block(1, -0.2, 1.0)], 1),
    ],
)
def test_the_block_that_restores_most_is_chosen_in_the_first_scope_and_ties_go_by_distance(found, expected):
    assert most_restoring(found) == expected


@pytest.mark.slow
@pytest.mark.parametrize("family", FIRST)
def test_a_planted_block_is_found(family):
    model = planted(family, reads_while_writing=False)  # no. 10
    found = localize(job_of(family, model), Judge(lambda text: text.startswith("111")), Localization(max_new_tokens=3))
    assert (found[0].accuracy_original, found[0].accuracy_perturbed) == (1.0, 0.0)
    assert most_restoring(of("all", found)) == most_restoring(of("last", found)) == 2
    assert [each.restoration for each in of("last", found)] == [0.0, 0.0, 1.0, 1.0]
    assert [each.restoration for each in of("all", found)] == [1.0] * 4  # only the distance tells them apart
    assert [each.divergence_removed for each in of("last", found)] == pytest.approx([0.0, 0.0, 1.0, 1.0], abs=0.05)
    assert most_restoring(of("last", found), "divergence") in (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("family", FIRST)
def test_the_identifiability_trap_all_positions_point_to_blocks_before_the_one_that_reads(family):
    model = planted(family, reads_while_writing=True)
    right = Judge(lambda text: text.startswith("111"))
    found = localize(job_of(family, model), right, Localization(max_new_tokens=3))
    assert [each.restoration for each in of("all", found)] == [1.0, 1.0, 0.0, 0.0]
    assert most_restoring(found) < 2
    first = localize(job_of(family, model), Judge(lambda text: text == "1"), Localization(max_new_tokens=1))
    assert [each.restoration for each in of("all", first)] == [1.0] * 4  # the first token is the original's everywhere
    both = localize(job_of(family, model), right, Localization(max_new_tokens=3, phase="all"))
    assert [each.restoration for each in of("all", both)] == [1.0] * 4
    assert [each.restoration for each in of("last", both)] == [0.0, 0.0, 1.0, 1.0]
    assert most_restoring(of("all", both)) == most_restoring(of("last", both)) == 2


@pytest.mark.parametrize("own", [[True] * 10, [False] * 10, [False] * 5 + [True] * 5])
def test_samples_without_a_difference_end_as_not_reproduced_before_anything_is_patched(own, live):
    asked = judge(own)
    with pytest.raises(NotReproduced, match="5 samples of tiny/0 pass at a rate of"):
        localize(job_of("llama", live("llama")), asked, settings())
    assert len(asked.asked) == 1


@pytest.mark.slow
def test_samples_depend_on_the_seed_and_on_nothing_else_and_are_not_those_of_an_evaluation(live):
    one, again, other = judge(), judge(), judge()
    job = job_of("llama", live("llama"), seed=3)
    localize(job, one, settings())
    localize(job_of("llama", live("llama"), perturbed=SHORTER, seed=4), judge(), settings())
    localize(job, again, settings())
    localize(dataclasses.replace(job, seed=4), other, settings())
    assert one.asked == again.asked != other.asked
    decoding = Decoding(TOKENS, temperature=1.0, top_p=1.0, samples=5, seed=3)
    pair, special = job.pair, job.pair.special_tokens
    requests = [GenerationRequest("", pair.task_id, ORIGINAL, n, pair.stop, None, special) for n in range(5)]
    of_evaluation = {completion.text for completion in Transformers(job.base, decoding).generate(requests)}
    assert len(of_evaluation) == 5 and not of_evaluation & set(one.asked[0][:5])


def test_patched_samples_share_their_random_numbers_with_those_without_a_patch(live, monkeypatch):
    asked, networks, calls, real = judge(), [], [], Transformers._take
    monkeypatch.setattr(Transformers, "_take", lambda self, *of: networks.append(of[0]) or real(self, *of))
    asked.alive = lambda: calls.append(1)
    localize(job_of("llama", live("llama")), asked, settings(embeddings=True, beside=()))
    assert asked.asked[1][:5] == asked.asked[0][:5]  # with the original's embeddings
    assert networks == [live("llama").network], "the base is used as it is"
    assert len(calls) >= TOKENS, "its generator calls alive"


@pytest.mark.parametrize("at", ["own", "patched", "judged"])
def test_no_hook_is_left_and_no_weight_changed_whatever_fails(at, live, monkeypatch):
    model, asked = live("llama"), judge()  # no. 7
    if at == "judged":
        asked.passes = lambda completions, task_id: 1 / 0
    else:
        real, calls = torch.nn.Linear.forward, []

        def failing(module: Any, states: torch.Tensor) -> torch.Tensor:
            calls.append(states.shape[0])
            if states.shape[0] == (2 if at == "own" else 2 * BLOCKS) and states.shape[1] > 1:
                raise ZeroDivisionError
            return real(module, states)

        monkeypatch.setattr(torch.nn.Linear, "forward", failing)
    with left_as_it_was(model.network), pytest.raises(ZeroDivisionError):
        localize(job_of("llama", model), asked, settings())


@pytest.mark.slow
def test_out_of_memory_writes_fewer_rows_at_a_time_with_the_same_result(live, monkeypatch):
    model, asked, again, refused = live("llama"), judge(), judge(), []
    job = job_of("llama", model, perturbed=LONGER)
    real, generators = torch.nn.Linear.forward, localization.Transformers

    def with_memory_for(rows: int) -> None:
        def limited(module: Any, states: torch.Tensor) -> torch.Tensor:
            if states.shape[0] > rows:
                refused.append(rows)
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(module, states)

        monkeypatch.setattr(torch.nn.Linear, "forward", limited)

    def without_any(*args: Any, **of: Any) -> Any:
        generator = generators(*args, **of)
        with_memory_for(0)
        return generator

    with left_as_it_was(model.network):
        expected = localize(job, asked, settings())
        with_memory_for(6)
        assert localize(job, again, settings()) == expected
        assert refused and again.asked == asked.asked
    monkeypatch.setattr(torch.nn.Linear, "forward", real)
    monkeypatch.setattr(localization, "Transformers", without_any)
    with left_as_it_was(model.network), pytest.raises(RaysweepError, match="memory ran out with a single completion"):
        localize(job, judge(), settings())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"temperature": 0.0}, "`samples: 5`: greedy samples are equal; write `samples: 1`"),
        ({"positions": "first"}, "`positions: first` must be all, last, diff_span or window:k"),
        ({"positions": "window"}, "`positions: window` must be"),
        ({"beside": ("all", "some")}, "`positions: some` must be"),
        ({"phase": "decoding"}, "`phase: decoding` must be prefill or all"),
        ({"samples": 0}, "`samples` and `max_new_tokens` of 1 or more"),
        ({"max_new_tokens": 0}, "`samples` and `max_new_tokens` of 1 or more"),
        ({"top_p": 0.0}, "`top_p` above 0"),
        ({"temperature": -1.0}, "`temperature` of 0 or more"),
        ({"temperature": float("nan")}, "`temperature` of 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        Localization(**fields)


@pytest.mark.parametrize(
    ("family", "original", "said"),
    [
        ("mistral", ORIGINAL, "'mistral' can't be edited"),
        ("llama", ORIGINAL * 40, "leave the model no position to write to; name other problems in"),
    ],
)
def test_what_can_not_be_localized_is_refused_before_work(family, original, said, live):
    asked = judge()
    with pytest.raises(UsageError, match=said):
        localize(job_of(family, live("llama"), original=original), asked, settings())
    assert asked.asked == []
