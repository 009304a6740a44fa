"""Kinds that test whether what a sweep found is more than chance.

signed_ranks.py   kind `signed-ranks`: a table of signed-rank tests over models
friedman_tests.py kind `friedman`: a table of tests of whether the methods of a level differ
"""
