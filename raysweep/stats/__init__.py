"""Statistics over problems, models and test sets; `signed_rank`, `holm`, `sign_flip` and `mcnemar` are public API.

Functions take numbers, one for each problem or pair; metrics and tables decide which numbers these are.

    intervals.py     computes 95 % intervals: Wilson for shares, bootstraps for other means and for pairs
    joint.py         computes intervals of statistics of several means over the same problems
    rank_tests.py    the Wilcoxon signed-rank test with effect sizes and an estimate; p values of a family of tests
    paired_tests.py  sign-flip tests of clusters of pairs, and McNemar's test of two models
"""

from raysweep.stats.paired_tests import mcnemar, sign_flip
from raysweep.stats.rank_tests import holm, signed_rank

__all__ = ["holm", "mcnemar", "sign_flip", "signed_rank"]
