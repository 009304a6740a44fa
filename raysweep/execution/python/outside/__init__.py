"""Judges programs by tests that run in another process: the two exchange plain data.

judge.py        runs the tests, with proxies of the candidate's functions
session.py      asks one program's process, live or ahead; proxies, handles, answers, records of calls
asked_tests.py  compiles tests; keeps the calls that they make, and the verdicts on known answers
beside.py       reads what stands beside calls in tests, which tells answers too
batches.py      divides calls into batches that can be sent ahead without telling an answer
codec.py        messages as bytes: JSON in UTF-8
plain.py        numbers, nesting and references of the values of one call, written and read without running code
kinds.py        how each kind of value is written and read
set_order.py    makes sets whose items have the order that they had in the other process
numpy_kinds.py  the same for arrays and scalars of numpy
changes.py      which containers a call has changed, and what they have then
ahead.py        the memory through which answers to calls that were sent ahead come back
launcher.py     forks a process for programs whenever the judge asks for one
candidate.py    runs a candidate in such a fork and answers the judge's calls
"""
