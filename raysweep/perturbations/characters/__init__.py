"""Perturbations of letters.

c1_butter_fingers.py    replaces letters by their neighbours on the keyboard
c2_swap_characters.py   swaps adjacent letters or digits
c3_change_char_case.py  flips the case of letters
recode.py               reproduces ReCode's own prompts (`compat: recode`)
"""
