"""Judges programs by tests in the same process, hidden from the program by guards.

zygote.py          forks a process for each program, or for several, and sends back their verdicts
child.py           runs candidates with their tests in the fork and reports each outcome
prepared_tests.py  parses, compiles and analyses tests once for all candidates
rewriting.py       changes tests so that a candidate's values and errors can't leave one out
comparisons.py     compares values so that a candidate's object can't claim to equal everything: it is shown decoys
guards.py          hides frames, the garbage collector, memory and reloading from a program
"""
