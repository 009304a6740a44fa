"""Perturbations of whole sentences.

s1_back_translation.py  translates sentences to another language and back
s2_tense_past.py        puts verbs into the past tense
s3_tense_future.py      puts verbs into the future tense
tense.py                applies the edits of a tense method (S2, S3) to sentences
sentence_layout.py      puts a translation in the place of its sentence
"""
