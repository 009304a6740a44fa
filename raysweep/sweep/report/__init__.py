"""Collects the records of a finished sweep, and writes its report.

write.py         writes and exports the report and its tables
records.py       collects the records that the report's sections read
scoring.py       computes the sweep's numbers from its results
quality.py       reads what a linter said of a sample of the completions
facts.py         reads the outcomes of completions, and what trainings reported
notes.py         words a report's lines on settings, execution and leaked rows
names.py         gives tables the config's order of names, and plain words for codes
compare.py       compares sweeps with each other, with printed numbers, and twins within them
"""
