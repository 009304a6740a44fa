"""Lets people judge whether perturbed texts still ask for the same task (`raysweep audit`).

raysweep draws the texts and evaluates the answers; the judging is done by people.

    sheet.py         draws blind sheets of text pairs, reads their keys and the raters' answers
    agreement.py     computes the share of valid texts and the raters' agreement
"""
