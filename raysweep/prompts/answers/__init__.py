"""Answers: finds the program in what a model wrote.

Begin with extraction.py, which other folders call. Python has a file of its own for making programs of
pieces, and so have the compiled languages.

    ways.py        the ways to make a program of an answer, as settings name them
    extraction.py  takes a program out of an answer: the choice among its candidates
    markdown.py    finds code blocks and reasoning in an answer, whatever language the code is in
    python.py      makes programs of pieces of Python
    compiled.py    makes programs of pieces of Java and C++
    evalplus.py    takes a program out of an answer as EvalPlus does
"""
