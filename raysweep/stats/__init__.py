"""Statistics over problems, models and test sets; the functions and records named here are public API.

Functions take numbers, one for each problem or pair; metrics and tables decide which numbers these are. Each returns a
frozen record with its `n`, what it assumes, and notes in words.

    intervals.py     computes 95 % intervals of means and shares (Wilson's), of draws and carriers; design effect
    bootstrap.py     computes 95 % intervals of statistics of several means: a Bayesian bootstrap with problems' weights
    resampling.py    the bootstrap of a difference of two cells, and of which setting has the best score
    rank_tests.py    the Wilcoxon signed-rank test with effect sizes and an estimate; p values of a family of tests
    paired_tests.py  sign-flip tests of clusters of pairs and of problems, and McNemar's test of two models
    group_tests.py   Friedman's test of several methods on the same problems
    stability.py     whether a finding rests on one model, on shared weights or on noise
    seeds.py         the mean over few seeds, with an interval over problems and seeds, and a t test
    few_values.py    Student's 95 % interval of the mean of few numbers without limits
    runs_test.py     whether counts of places in a row are uniform, and the places with most of them neighbours
"""

from raysweep.stats.few_values import FewValuesMean, few_values_mean
from raysweep.stats.group_tests import Friedman, friedman
from raysweep.stats.paired_tests import McNemar, SignFlip, mcnemar, sign_flip
from raysweep.stats.rank_tests import SignedRank, holm, signed_rank
from raysweep.stats.resampling import BestSetting, DifferenceOfMeans, argmax_interval, bootstrap_difference
from raysweep.stats.runs_test import RunsTest, runs_test
from raysweep.stats.seeds import SeedsMean, mean_over_seeds
from raysweep.stats.stability import (
    IndependentUnits,
    LeaveOneOut,
    Noise,
    Without,
    independent_units,
    leave_one_out,
    noise,
)

__all__ = [
    "BestSetting",
    "DifferenceOfMeans",
    "FewValuesMean",
    "Friedman",
    "IndependentUnits",
    "LeaveOneOut",
    "McNemar",
    "Noise",
    "RunsTest",
    "SeedsMean",
    "SignFlip",
    "SignedRank",
    "Without",
    "argmax_interval",
    "bootstrap_difference",
    "few_values_mean",
    "friedman",
    "holm",
    "independent_units",
    "leave_one_out",
    "mcnemar",
    "mean_over_seeds",
    "noise",
    "runs_test",
    "sign_flip",
    "signed_rank",
]
