"""Turns pairs of cells into numbers with intervals.

Begin with base.py. All functions see records only; nothing here reads the store.

    base.py         the contract of a comparison; means of a cell's numbers by problem, also by draw
    pass_rates.py   compares pass@1: difference, problems gained and lost, the p of a sign-flip test
    degradation.py  compares RD of two models: change of RD, split into perturbed gain and clean loss
    pairing.py      finds each model's baselines, and measures every comparison on such pairs of cells
    estimate.py     one estimate of two models over shared problems, one pool of several seeds, with their noise
    sums.py         compares sums of columns of pass@1: their relative change, and its mean over models
"""
