"""Answers: finds the program in what a model wrote.

Begin with extraction.py, which other folders call. A language has a file of its own, which makes programs of pieces.

    extraction.py  the ways to take a program out of an answer, and the choice among its candidates
    markdown.py    finds code blocks and reasoning in an answer, whatever language the code is in
    python.py      makes programs of pieces of Python
    evalplus.py    takes a program out of an answer as EvalPlus does
"""
