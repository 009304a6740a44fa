"""Part-of-speech taggers, one file for each.

Begin with base.py for the contract.

    base.py   defines the contract: words in, Penn Treebank tags out
    hanta.py  tags with HanTa, which needs no download (the default)
    spacy.py  tags with spaCy's small English model
"""
