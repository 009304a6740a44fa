"""The English language tools that perturbations use.

By default all of it works offline; spaCy, the WordNet of nltk and neural translation need a download first.

    tokens.py        splits texts into sentences of tagged tokens
    literals.py      finds the data in natural language: literals, lists, formulas, one-letter names
    verb_tags.py     corrects the tags of imperatives, and of nouns that look like verbs or stand as subjects
    tagging/         part-of-speech taggers
    synonyms/        sources of synonyms
    translation/     back-translation engines
    inflections.py   looks up lemmas and inflected forms
    finite_verbs.py  finds the verbs and verb phrases that carry a sentence's tense
    stop_words.py    lists words without content
    terms.py         lists technical terms and ordinals
"""
