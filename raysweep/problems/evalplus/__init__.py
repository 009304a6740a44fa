"""HumanEval+ and MBPP+ (EvalPlus, Liu et al. 2023): the problems of HumanEval and MBPP with many more inputs.

Begin with problem_sets.py; tests.py shows how a row becomes a problem's tests.

    problem_sets.py    registers the problem sets `humaneval-plus` and `mbpp-plus`
    tasks.py           reads rows of EvalPlus's own files and of the hub
    mbpp_arguments.py  restores the tuples, sets and complex numbers that MBPP's arguments are
    tests.py           writes the tests of a task: reference, inputs, comparison
    oracle.py          compares results as EvalPlus does; the tests hold its text
"""
