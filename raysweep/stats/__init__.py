"""Statistics over problems.

Functions take one number per problem; metrics decide which numbers these are.

    intervals.py     computes 95 % intervals: Wilson for shares, bootstraps for other means and for pairs
"""
