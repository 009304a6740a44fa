"""Judges Python programs inside a slot's processes.

These modules import the standard library, `execution` and `programs` only: the processes must stay small.

    start.py         starts a slot's processes: isolation, shared imports, then judge and launcher, or zygote
    lanes.py         answers a slot's requests in lanes: programs that share a fork, those that run alone, audits
    forks.py         forks a process behind the layers, watches it, and removes what it leaves
    outcomes.py      describes how a program ended: the outcome of an error, and one line about it
    processes.py     what a fork does around its programs: memory, output, random numbers, built-in functions
    source_names.py  reads from tests which names they bind and ask for, and which modules they import
    libraries.py     tells the names of libraries from those of a program's own
    screen.py        decides from its code objects whether a program may share a process with others
    harmless.py      lists the instructions, names and modules that such programs may use
    outside/         tests in a process that no program enters, for nearly all problems
    in_process/      tests in the program's process: those that look into it, and unittest cases
"""
