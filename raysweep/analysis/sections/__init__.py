"""What a report shows.

The page has a section for each of these files, in the order of their `place`; base.py alone is none.

base.py          the contract of a section; the records that it reads; the sections in order
answer.py        what was asked, as question.jinja says it, which model to choose, how sure that is, what it costs
findings.py      what each model loses, in sentences, a figure and a table
samples.py       completions problem by problem
layer_editing.py what edits from one edit example restore, and a page for each pair
program_repair.py models that repair programs, by how they were fine-tuned
tables.py        scores over models, and tables in the study's form
figures.py       figures that files define
side_by_side.py  completions of a task in columns
evidence.py      differences to baselines, tests, the choice of a model
choices.py       the recipes that were chosen by validation loss
reasons.py       outcomes of completions, trainings, cost
quality.py       what pylint says of a sample of the completions
failures.py      the errors of failed cells
listings.py      lines of text: settings and the config, where and when the sweep ran
"""
