"""Collects the records of a finished sweep, and writes its report.

write.py         writes and exports the report, its figures and tables, if its stamp is another one
records.py       collects the records that the report's sections read
scoring.py       computes the sweep's numbers from its results
quality.py       reads what pylint said of a sample of the completions
facts.py         reads manifests: outcomes, failures of references, losses and numbers of trainings, choices, costs
languages.py     reads in which languages training rows are, and makes numbers of the frame of their shares
edits.py         reads edited models, and rewritten prompts, from manifests
answers.py       reads what models answered: texts, verdicts and pass@1 by part of the tests
notes.py         words a report's lines on settings, execution, generators, levels in training sets, leaked rows
names.py         gives tables the config's order of names, and plain words for codes of training sets and levels
compare.py       compares sweeps with each other, and with printed numbers
"""
