"""Rejected responses: worse answers to a row's instruction, with which preference objectives compare its own.

rejecting.py     changes the Python code of responses
teacher.py       what a teacher of rejected responses is asked, and what of its answer becomes one
pair_filters.py  leaves out rejected responses that are no near misses
"""
