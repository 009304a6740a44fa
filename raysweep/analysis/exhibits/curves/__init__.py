"""Kind ``curves``: scores along ratios, sizes or an argument of an objective.

curves.py   the kind: a figure, and a table of its numbers
settings.py finds the ratios and sizes of training sets and the values of arguments: the points of curves
best.py     finds the best ratio, size or value, with its interval and its gain
"""
