"""Answers: finds the program in what a model wrote.

Begin with extraction.py, which other folders call. Python has a file of its own for making programs of
pieces, and so have the compiled languages.

    ways.py        the ways to make a program of an answer, as settings name them
    extraction.py  takes a program out of an answer: the choice among its candidates
    found.py       names where a program or a patch was, and tells counts of that in words
    patches.py     takes the patch of a file out of an answer
    markdown.py    finds code blocks in an answer, whatever language the code is in
    reasoning.py   finds reasoning in an answer, and at the end of a prompt that opens it
    marks.py       finds code between marks that aren't Markdown's, such as [BEGIN] and <code>
    tool_calls.py  finds code in JSON and in calls of tools
    readers.py     what reads the pieces of an answer, by language
    python.py      makes programs of pieces of Python
    compiled.py    makes programs of pieces of Java and C++
    evalplus.py    takes a program out of an answer as EvalPlus does
"""
