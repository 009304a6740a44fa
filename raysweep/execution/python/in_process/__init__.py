"""Judges programs by tests that run in the program's process: those that look into it, and unittest cases.

zygote.py     forks a process for each program, and sends back its verdict
child.py      runs a program and its tests in the fork, and reports the outcome of the tests
access.py     what programs with unittest cases may read and start, beside Python's libraries
"""
