"""Losses for training: one file per objective.

The contract of an objective is in trainers/base.py.

    sft.py           supervised fine-tuning: cross-entropy of the response
"""
