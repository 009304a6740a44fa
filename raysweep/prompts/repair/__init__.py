"""Program repair: code with a faulty hunk, what a model is shown of it, and the patch in what it answers.

Begin with hunks.py.

    hunks.py        code before a hunk, the hunk, code after it; the one text that holds all three
    code.py         braces, comments and white space of code: the end of a function, and when two hunks are equal
    styles.py       the texts that models are shown, as templates
    natural.py      the natural language of its comments and docstrings
    definitions.py  puts an answer's functions, classes and files in the place of those around a hunk
    edits.py        reads edits of a file out of an answer: diffs, SEARCH and REPLACE, apply_patch
    problems.py     a problem whose answers are patches of a file
"""
