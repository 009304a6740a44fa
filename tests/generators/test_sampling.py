from __future__ import annotations

import torch

from raysweep.generators.sampling import choose

LOGITS = torch.log(torch.tensor([[0.1, 0.6, 0.05, 0.25]]))


def draw(uniform: float, temperature: float = 1.0, top_p: float = 1.0) -> int:
    return int(choose(LOGITS, temperature, top_p, torch.tensor([uniform])))


def test_greedy_takes_the_most_likely_token() -> None:
    assert choose(LOGITS, 0, 0.95, None).tolist() == [1]


def test_a_draw_inverts_the_cumulated_probabilities_from_the_most_likely_token_on() -> None:
    assert [draw(u) for u in (0.0, 0.59, 0.61, 0.84, 0.86, 0.94, 0.96, 0.9999)] == [1, 1, 3, 3, 0, 0, 2, 2]


def test_the_nucleus_is_the_fewest_tokens_that_reach_top_p() -> None:
    assert {draw(u / 100, top_p=0.84) for u in range(100)} == {1, 3}
    assert {draw(u / 100, top_p=0.86) for u in range(100)} == {0, 1, 3}
    assert {draw(u / 100, top_p=0.01) for u in range(100)} == {1}
    assert draw(0.7, top_p=0.84) == 1  # 0.7 of what the nucleus holds, .85, is .595


def test_a_low_temperature_sharpens() -> None:
    cold = sum(draw(u / 1000, temperature=0.5) == 1 for u in range(1000))
    assert abs(cold / 1000 - 0.36 / (0.36 + 0.0625 + 0.01 + 0.0025)) < 0.002


def test_many_draws_follow_the_distribution_of_transformers_warpers() -> None:
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(0)) * 2
    warped = TopPLogitsWarper(0.9)(None, TemperatureLogitsWarper(0.7)(None, logits))
    uniforms = torch.rand(20000, generator=torch.Generator().manual_seed(1))
    drawn = choose(logits.expand(20000, -1), 0.7, 0.9, uniforms)
    counts = torch.bincount(drawn, minlength=50) / 20000
    assert float((counts - warped.softmax(-1)[0]).abs().max()) < 0.01


def test_each_row_has_its_own_draw() -> None:
    both = choose(LOGITS.expand(2, -1), 1.0, 1.0, torch.tensor([0.3, 0.7]))
    assert both.tolist() == [1, 3]
