"""nltk's WordNet, if it is installed, gives the same synonyms as the shipped table."""

import sys

import pytest

from raysweep.errors import UsageError
from raysweep.language.synonyms.base import SYNONYMS
from raysweep.language.synonyms.nltk import _reader
from raysweep.records import Spec


def test_without_it_the_error_names_both_ways_out(monkeypatch):
    _reader.cache_clear()
    monkeypatch.setitem(sys.modules, "nltk.corpus", None)
    with pytest.raises(UsageError, match=r"nltk\.downloader wordnet .*synonyms: wordnet"):
        SYNONYMS.create(Spec("nltk"))


def test_it_gives_the_same_heads_as_the_table_where_it_is_the_same_version():
    _reader.cache_clear()
    try:
        nltk = SYNONYMS.create(Spec("nltk"))
    except UsageError as error:
        pytest.skip(str(error))
    if not nltk.fingerprint()["wordnet"].startswith("3.0"):
        pytest.skip(f"another version: {nltk.fingerprint()}")
    table = SYNONYMS.create(Spec("wordnet"))
    for word in ("numbers", "closer", "given", "separate", "best", "men", "quickly", "sorted"):
        for upos in ("NOUN", "VERB", "ADJ", "ADV"):
            assert list(nltk.heads(word, upos)) == list(table.heads(word, upos)), (word, upos)
    for word, upos in (("integer", "NOUN"), ("result", "NOUN"), ("begin", "VERB"), ("big", "ADJ"), ("list", "NOUN")):
        assert set(nltk.frequent(word, upos)) == set(table.frequent(word, upos)), (word, upos)
