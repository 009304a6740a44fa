"""Turns verdicts into numbers with intervals; `pass_at_k` is public API.

Begin with base.py. All functions are pure: they take records and return numbers.

    base.py          the contract of a metric and the records around it
    scores.py        measures every metric on every test set of a cell; counts its verdicts problem by problem
    verdicts.py      counts the verdicts on a test set once, for all metrics
    passing.py       estimates pass@k, the rate at which problems or tasks pass, over draws, from counted verdicts
    repair.py        computes the share of problems with a plausible patch, and with the published one
    degradation.py   compares perturbed with clean pass@1: relative degradation (RD) and difference, of a set or a part
    flips.py         counts verdicts that a perturbation flips, in both directions
    levels.py        compares over all methods of a level together
    restoration.py   computes the share of a perturbation's loss that a repair brings back: of a block, of a category
    robust.py        computes ReCode's robust metrics over several draws of a test set
    prompt_counts.py counts the prompts that a perturbation left unchanged or broke
"""

from raysweep.metrics.passing import pass_at_k

__all__ = ["pass_at_k"]
