"""What a report shows.

The page has the sections of these files in the order of their `place`; base.py has none.

base.py          the contract of a section; the records that it reads; the sections in order
answer.py        what was asked, as question.jinja says it; the best model, how sure that is, what it costs
findings.py      what each model loses, in sentences, a figure and a table
layer_editing.py what edits from one edit example restore, and a page for each pair
tables.py        program repair, all scores, figures of files, evidence, chosen recipes, outcomes and cost, code quality
completions.py   the sample viewer; completions of a task in columns
run.py           the sweep's settings and config, failed cells, where and when it ran
"""
