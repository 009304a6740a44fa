"""Perturbations of words.

w1_synonym_insertion.py       inserts synonyms after words
w2_synonym_substitution.py    replaces words by synonyms
w3_inflectional_variation.py  gives words another inflected form
word_sites.py                 finds the words that the three may replace
"""
