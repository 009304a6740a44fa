"""Judges Python programs inside a slot's process.

These modules import the standard library, `execution` and `programs` only: the process must stay small.

    start.py           starts the process: isolation, imports that programs share, guards, then the zygote
    zygote.py          forks a process for each program, or for several, and sends back their verdicts
    child.py           runs candidates with their tests in the fork and reports each outcome
    screen.py          decides from its code objects whether a program may share a process with others
    harmless.py        lists the instructions, names and modules that such programs may use
    prepared_tests.py  parses, compiles and analyses tests once for all candidates
    rewriting.py       turns the comparisons of tests into calls of `comparisons.compare`
    comparisons.py     compares values so that a candidate's object can't claim to equal everything
    decoys.py          makes values that resemble an expected value but differ from it
    guards.py          removes access to other frames, the garbage collector and memory
"""
