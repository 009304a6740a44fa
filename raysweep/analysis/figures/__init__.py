"""Draws the figures of a report, as SVG and PDF.

look.py         the contract and the look of all figures, and their two forms
effects.py      clean and perturbed pass@1 by training set, the figure of every sweep
lines.py        lines along a setting, a panel for each model
scatter.py      a mark for each model, and the front of those that none beats
heat.py         heat maps
depths.py       histograms over the blocks of models
lint_scores.py  the scores of linted files
"""
