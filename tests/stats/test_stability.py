"""What a finding rests on: single models, shared weights, noise."""

from __future__ import annotations

import math

import pytest

from raysweep.errors import UsageError
from raysweep.stats import independent_units, leave_one_out, mcnemar, noise, sign_flip, signed_rank

MODELS = ("starcoder", "codellama", "codegen", "deepseek", "llama", "llama instruct")
WEIGHTS = ("starcoder", "codellama", "codegen", "deepseek", "llama", "llama")


def test_each_model_is_left_out_once_with_all_its_pairs():
    x, y = [3.0, 1.0, 2.5, -0.5, 4.0, 2.0, 0.7, 1.2], [0.0] * 8
    clusters = list("aabbccdd")
    found = leave_one_out(x, y, clusters)
    assert [one.cluster for one in found.without] == list("abcd") and {one.n for one in found.without} == {6}
    for number, one in enumerate(found.without):
        rest = x[: 2 * number] + x[2 * number + 2 :]
        assert (one.p, one.statistic) == (signed_rank(rest, [0.0] * 6).p, signed_rank(rest, [0.0] * 6).statistic)
    ps = [one.p for one in found.without]
    assert (found.lowest_p, found.highest_p, found.n, found.units) == (min(ps), max(ps), 8, 4)
    assert min(ps) == ps[1] and found.p == signed_rank(x, y).p, "the only negative difference is b's"
    assert found.note.startswith("p is largest without ")


def test_another_test_of_pairs_takes_its_place():
    calls = []

    def t_test(x, y):
        from scipy.stats import ttest_rel

        calls.append(len(x))
        return ttest_rel(x, y)

    class Named:
        def __init__(self, found):
            self.statistic, self.p = float(found.statistic), float(found.pvalue)

    found = leave_one_out([1.0, 2.0, 3.5], [0.0, 0.5, 1.0], list("abc"), lambda x, y: Named(t_test(x, y)))
    assert calls == [3, 2, 2, 2] and found.units == 3 and all(0 < one.p < 1 for one in found.without)


@pytest.mark.parametrize(
    ("x", "clusters", "said"),
    [
        ([1.0, 2.0], ["a", "b", "c"], "there are 2, 2 and 3"),
        ([1.0, 2.0, 3.0], ["a", "b", "b"], "at least 3, and there are 2"),
        ([1.0, math.nan, 3.0], ["a", "b", "c"], r"pair 2 is \(nan, 0\)"),
    ],
)
def test_unusable_clusters_are_refused(x, clusters, said):
    with pytest.raises(UsageError, match=said):
        leave_one_out(x, [0.0] * len(x), clusters)


def test_two_of_six_models_that_share_weights_leave_five_units():
    five = independent_units(MODELS, WEIGHTS)
    assert (five.n, five.units, five.smallest_p) == (6, 5, 0.0625)
    assert five.shared == (("llama", "llama instruct"),) and five.note == "llama and llama instruct share weights"
    six = independent_units(MODELS, MODELS)
    assert (six.units, six.smallest_p, six.shared, six.note) == (6, 0.03125, (), "")
    for units in (five, six):
        names = WEIGHTS if units is five else MODELS
        assert sign_flip([1.0] * 6, names).p == units.smallest_p


@pytest.mark.parametrize(
    ("models", "weights", "said"),
    [
        (["a"], [], "there are 1 models and 0 weights"),
        ([], [], "there are 0 models"),
        (["a", "a"], ["x", "y"], "model a is named twice"),
    ],
)
def test_unusable_models_are_refused(models, weights, said):
    with pytest.raises(UsageError, match=said):
        independent_units(models, weights)


def test_an_effect_below_two_sd_is_within_noise():
    draws = [0.10, 0.14, 0.12]  # SD .02
    small, large, back = (noise(effect, draws) for effect in (0.03, 0.05, -0.05))
    assert small.within_noise is True and small.words == "within noise: 2 SD between 3 draws are 0.04"
    assert large.within_noise is False and back.within_noise is False and large.words.startswith("beyond noise")
    assert (small.n, small.sd) == (3, pytest.approx(0.02))
    assert noise(15.0, [15.0, 15.000000000000002], "seed").words == "noise unknown: 2 seeds gave the same"
    same = noise(0.1, [0.5, 0.5])
    assert same.within_noise is None and same.words == "noise unknown: 2 draws gave the same"


def test_one_draw_leaves_noise_unknown_and_none_is_refused():
    found = noise(0.3, [0.2])
    assert found.within_noise is None and math.isnan(found.sd) and found.words == "noise unknown: one draw"
    assert noise(0.3, [0.2], "seed").words == "noise unknown: one seed"
    with pytest.raises(UsageError, match="at least one draw or seed"):
        noise(0.3, [])
    with pytest.raises(UsageError, match="nan is not a number to compare"):
        noise(0.3, [0.1, math.nan])


def test_records_say_what_they_assume():
    found = (mcnemar([True], [False]), sign_flip([1.0, 2.0], ["a", "b"]), noise(1.0, [1.0, 2.0]))
    assert all(one.assumes and one.n for one in (*found, independent_units(MODELS, WEIGHTS)))
