"""Shows where responses and rejected ones differ (`raysweep show-pairs`).

shown.py         cuts both responses of a pair into tokens with their marks, and counts edge cases
page.py          writes pairs as an HTML page
"""
