"""Completes prompts: one file per generator.

Begin with base.py, which says what every generator must guarantee.

    base.py          the contract of a generator, and the cut at stop strings
    transformers.py  runs a transformers model in batches
    reference.py     answers with the reference solution
    fake.py          answers right on a share of the prompts, for tests and trials
"""
