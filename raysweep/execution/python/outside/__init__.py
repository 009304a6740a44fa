"""Judges programs by tests that run in another process: the two exchange plain data.

judge.py        runs the tests, with proxies of the candidate's functions
session.py      asks one program's process, live or ahead, and makes the proxies
asked_tests.py  compiles tests; keeps the calls that they make, and the verdicts on known answers
plain.py        writes and reads values as tagged JSON that can't run code in its reader
ahead.py        the memory through which answers to calls that were sent ahead come back
launcher.py     forks a process for programs whenever the judge asks for one
candidate.py    runs a candidate in such a fork and answers the judge's calls
"""
