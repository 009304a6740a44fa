"""Perturbations: one file for each way of changing prompts.

Begin with base.py for the contract, and with apply.py for how a set's rows are perturbed.

    base.py                       defines the contract: a perturbation changes the natural segments of a text
    batches.py                    defines the contract of methods that are faster with many texts at once
    apply.py                      applies a perturbation to the rows of a set, each with its own generator
    clean.py                      changes nothing: the clean set
    c1_butter_fingers.py          replaces letters by their neighbours on the keyboard
    c2_swap_characters.py         swaps adjacent letters or digits
    c3_change_char_case.py        flips the case of letters
    w1_synonym_insertion.py       inserts synonyms after words
    w2_synonym_substitution.py    replaces words by synonyms
    w3_inflectional_variation.py  gives words another inflected form
    s1_back_translation.py        translates sentences to another language and back
    s2_tense_past.py              puts verbs into the past tense
    s3_tense_future.py            puts verbs into the future tense
    mixes.py                      draws one of several methods for each row, or applies all of them
    nlperturbator.py              replaces descriptions by those that NLPerturbator published
    recode.py                     reproduces ReCode's own prompts (`compat: recode`)
    word_sites.py                 finds the words that W1, W2 and W3 may replace
    tense.py                      applies the edits of a tense method (S2, S3) to sentences
    sentence_layout.py            puts a translation in the place of its sentence
    edits.py                      replaces pieces of a text's segments
    textattack/                   textattack's transformations as perturbations
"""
