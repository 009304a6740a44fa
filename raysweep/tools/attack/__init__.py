"""Attacks one model with small changes of its prompts, by textattack, beside random changes (`raysweep attack`).

Begin with run.py; docs/attack.md has the threat model and what the numbers mean.

    run.py           attacks a model problem by problem, resumes, sums up
    search.py        attacks one prompt: textattack's goal function, search methods and constraints
    transformation.py  wraps raysweep's perturbations as a textattack transformation of single words
"""
