"""Kinds that set recipes of a model side by side: their scores, what each mended, and their completions.

finding.py      finds models by the recipes that a file names
regimes.py      finds models by their trainers, and the families of their bases
differences.py  kind `recipe-differences`: tables of each recipe beside one, on the same problems and pairs
sum_changes.py  kind `sum-changes`: a table of relative changes of sums of pass@1
mended.py       kind `mended`: a table of mended or failed tasks, and of those within one block of lines
side_by_side.py kind `side-by-side`: completions of a task in columns, on the page
"""
