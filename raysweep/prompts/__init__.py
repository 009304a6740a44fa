"""Prompts: which of their words are natural language, what a model reads, and the programs in its answers.

Begin with regions.py.

    regions.py        splits a text into natural language and code
    comments.py       splits prompts that describe the task in a comment (Java, C++)
    python_tokens.py  the tokens of code in Python, as far as it can be read
    protection.py     finds protected words, and changes the others
    templates.py      builds the prompts that models read in training and evaluation
    rewriting.py      asks a model to rewrite a perturbed prompt (Self-Denoising), and judges its answers
    repair/           code with a faulty hunk: what models are shown of it, and the patches in their answers
    answers/          finds the program in what a model wrote
"""
