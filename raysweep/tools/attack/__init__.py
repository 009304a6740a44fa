"""Attacks one model with small changes of its prompts, and compares them with random ones (`raysweep attack`).

Begin with run.py; docs/attack.md has the threat model and what the numbers mean.

    run.py           attacks a model problem by problem, resumes, counts failures, rates under attack
    summary.py       sums up the results of an attack
    search.py        searches one prompt for a change in one of three ways, and makes the change smaller
    largest.py       tries the largest change of each word
    queries.py       asks the model about variants of one prompt within limits, and records the reactions
    word_changes.py  finds, counts and applies the word edits between two texts
    word_attack.py   runs textattack's attack on words: its goal and its constraints
    transformation.py  wraps raysweep's perturbations as textattack transformations
"""
