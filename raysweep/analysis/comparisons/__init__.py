"""Turns pairs of cells into numbers with intervals.

Begin with base.py. All functions see records only; nothing here reads the store.

    base.py         the contract of a comparison, and the cells' numbers by problem
    pass_rates.py   compares pass@1: difference, problems gained and lost, McNemar's test, a bootstrap's p
    degradation.py  compares RD, and splits its change into perturbed gain and clean loss
    pairing.py      measures every comparison on pairs of cells
    seeds.py        says which differences are within the noise between seeds
"""
