"""The frame of a sweep's numbers, the tables of a report, and how they are written.

frame.py         the frame: all scores and differences, a row for each, by model, training set and test set
order.py         the names in a sweep in the order of its config, with words for them
pooling.py       means over seeds, and over edit examples
table.py         the table record: cells, columns, footnotes, caption; written as Markdown, CSV or LaTeX
quantities.py    writes numbers of tables: percent or points, intervals, p values, notes on draws
records.py       tables of records: a field for each column, and a row for each record or for those of all seeds
difference_tables.py builds the tables of differences: each model beside its baseline, with p adjusted by Holm
significance.py  builds the tables of signed-rank tests
compared_tables.py builds the tables of `raysweep compare`: cells of two sweeps, a sweep beside printed numbers
printed_averages.py builds the table of a study's averages: printed, recomputed, and of a sweep
outcomes.py      builds the table of outcomes: why completions fail
costs.py         builds the table of what a sweep cost
choices.py       builds the tables of choices: the recipe of a group that was chosen, and all losses
trainings.py     builds the tables of trainings: rows and losses, measures of validation rows, numbers of objectives
quality_tables.py builds the tables of code quality, among them the study's tables 14 to 16
"""
