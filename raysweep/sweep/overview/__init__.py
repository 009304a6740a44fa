"""What a person asks of a sweep, as records.

plan.py          what a plan takes, what of it exists, whether this machine or a cluster has that, and sums by recipe
accelerators.py  which accelerators can hold the cells of a plan, and what its hours cost there
sweeps.py        all sweeps of a store: what each evaluates, its last run, its clean pass@1
status.py        the state of each cell, of groups of cells and of the inputs that cells share
progress.py      how far a running sweep is: what is done, a share of the work, the time left
scores.py        scores as tables of text, and lines that explain them
cell.py          one cell: its pairs, its log
"""
