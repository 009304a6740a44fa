"""Judges programs by unittest cases in the program's own module, as BigCodeBench has them.

child.py      runs a program and its cases in a fork, and reports the outcome of each test method
access.py     what such programs may read and start, beside Python's libraries
"""
