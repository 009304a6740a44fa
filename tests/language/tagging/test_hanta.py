"""The tags of HanTa, the default tagger."""

import pytest

from raysweep.errors import UsageError
from raysweep.language.tagging.base import TAGGERS, upos
from raysweep.language.tagging.hanta import _model
from raysweep.records import Spec


def tags(text: str) -> list[str]:
    return TAGGERS.create(Spec("hanta")).tag(text.split())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The function returns a given list .", "DT NN VBZ DT JJ NN ."),
        ("You can not sort two lists", "PRP MD RB VB CD NNS"),
        ("a function that sums numbers", "DT NN IN VBZ NNS"),
    ],
)
def test_words_get_penn_tags_in_context(text, wanted):
    assert tags(text) == wanted.split()


def test_nothing_has_no_tags_and_odd_words_have_one_each():
    assert TAGGERS.create(Spec("hanta")).tag([]) == []
    assert len(tags("🙂 x9y ( ' ` — ééé 漢字")) == 8
    parts = [upos(tag) for tag in ("NNS", "VBZ", "JJR", "RB", "NNP", "MD", ".", "")]
    assert parts == ["NOUN", "VERB", "ADJ", "ADV", "", "", "", ""], "names and other words have none"


def test_spacy_says_what_to_install_where_it_is_absent():
    try:
        found = TAGGERS.create(Spec("spacy"))
    except UsageError as error:
        assert "spacy download en_core_web_sm" in str(error) and "hanta" in str(error)
    else:
        assert found.tag(["The", "function", "returns", "it", "."])[2] == "VBZ"


@pytest.mark.slow
def test_tags_are_those_of_hanta_itself():
    from HanTa.HanoverTagger import HanoverTagger

    from raysweep.problems.humaneval import HumanEval

    quick, names = _model()
    plain = HanoverTagger("morphmodel_en.pgz")
    for problem in HumanEval().problems()[::8]:
        words = problem.prompt.split()
        assert [names[tag] for tag in quick.tag_sent_viterbi(words)] == plain.tag_sent(words, taglevel=0)
