"""Writes rows together with one model, token by token.

Begin with loop.py.

    loop.py     writes the rows of several threads, as they come and go
    slots.py    the rows that are written at a time, and their state
    written.py  what they have written, in arrays, and which of them a token may end
    beams.py    searches for the most likely texts of prompts, with several beams each
"""
