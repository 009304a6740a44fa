"""Program repair: code with a faulty hunk, what a model is shown of it, and the patch in what it answers.

Begin with hunks.py.

    hunks.py          code before a hunk, the hunk, code after it; the one text that holds all three
    code.py           braces, comments and white space of code: the end of a function, and when two hunks are equal
    python_tokens.py  the tokens of code in Python, as far as it can be read
    styles.py         the texts that models are shown, as templates
    natural.py        the natural language of its comments and docstrings
    whole_answers.py  recognises a whole function or a diff in a hunk's place
    problems.py       a problem whose answers are patches of a file
"""
