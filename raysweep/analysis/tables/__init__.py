"""The tables of a report, and how they are written.

table.py         the table record: cells, columns, footnotes, caption; written as Markdown, CSV or LaTeX
latex.py         escapes text for LaTeX
quantities.py    writes numbers of tables: percent or points, intervals, p values, notes on draws
score_book.py    indexes scores, levels and failures by model, training set and test set
difference_tables.py builds the tables of differences: each model beside its baseline
over_seeds.py    pools the numbers of several seeds: means with the SD between seeds, for all tables and figures
edited.py       edited models as means over edit examples
significance.py  builds the tables of signed-rank tests
twin_tables.py   builds the tables of `raysweep compare`: pairs of alike models, flipped problems, printed numbers
printed_averages.py builds the table of a study's averages: printed, recomputed, and of a sweep
outcomes.py      builds the table of outcomes: why completions fail
costs.py         builds the table of what a sweep cost
choices.py       builds the tables of choices: the recipe of a group that was chosen, and all losses
seed_rows.py     makes one row of a training's rows with several seeds, for the tables below
trainings.py     builds the table of trainings: rows, dropped rows, losses
    validation.py    builds the table of validation rows: measures that all recipes share
    objective_numbers.py builds the table of the numbers that objectives report beside their losses
quality_groups.py groups linted files by model, training set, ratio and size
quality_tables.py builds the tables of code quality, among them the study's tables 14 to 16
"""
