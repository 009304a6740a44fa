"""Perturbations: one file for each way of changing prompts.

Begin with base.py for the contract, and with apply.py for how a set's rows are perturbed.

    base.py           defines the contract: a perturbation changes the natural segments of a text
    batches.py        defines the contract of methods that are faster with many texts at once
    apply.py          applies a perturbation to the rows of a set, each with its own generator
    edits.py          replaces pieces of a text's segments
    clean.py          changes nothing: the clean set
    characters/       changes letters: C1, C2, C3
    words/            changes words: W1, W2, W3
    sentences/        changes whole sentences: S1, S2, S3
    mixes.py          draws one of several methods for each row, or applies all of them
    nlperturbator.py  replaces descriptions by those that NLPerturbator published
    textattack/       textattack's transformations as perturbations
"""
