"""Losses for training: one file per objective.

The contract of an objective is in trainers/base.py.

    sft.py           supervised fine-tuning: cross-entropy of the response
    fait.py          fault-aware fine-tuning: tokens that differ from a near miss weigh more, by the model's own doubt
    fixed.py         the same with a fixed weight
    dpo.py           direct preference optimisation
    responses.py     encodes a prompt with a response, and computes the losses of its tokens
    rejected.py      encodes a response beside a rejected one, and marks their tokens
    differences.py   marks the lines and characters in which two texts differ
"""
