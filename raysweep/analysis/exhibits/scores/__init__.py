"""Kind ``scores``, tables of scores, and the files of raysweep's own that are of no study.

places.py  which numbers a table has, and where they stand: the dimensions of a score
cells.py   the cells of a table by row and column, and the mean over models
grid.py    kind `scores`: a table whose rows and columns are any of a score's dimensions
"""
