"""Golden numbers: what must not change while raysweep becomes smaller.

__main__.py    records and checks them: `python -m tests.golden record|check`
numbers.py     runs the small sweeps and programs of a checkout, and reads their numbers
gone.txt       numbers that were dropped on purpose, with the reason
results/       stored results of sweeps, and the numbers that any machine computes from them
"""
