"""What a person asks of a sweep, as records.

plan.py          what a plan takes, what of it exists, and whether this machine or a cluster has that
status.py        the state of each cell and of the inputs that cells share
cell.py          one cell: its pairs, its log
"""
