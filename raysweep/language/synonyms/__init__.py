"""Sources of synonyms, one file for each.

Begin with base.py for the contract.

    base.py           defines the contract: the first words of a word's synsets
    wordnet.py        looks words up in the WordNet 3.0 that ships with raysweep (the default)
    nltk.py           looks words up in the WordNet that is installed for nltk
    morphology.py     reduces inflected words to WordNet's entries
    wordnet_table.py  builds the shipped table from WordNet's files
"""
