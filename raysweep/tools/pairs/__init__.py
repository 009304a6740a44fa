"""Shows where responses and rejected ones differ (`raysweep show-pairs`).

shown.py         cuts both responses of a pair into tokens with their marks, counts edge cases, writes an HTML page
"""
