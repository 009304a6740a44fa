"""S1: translations replace their sentences and keep lines and blanks."""

import random
from collections.abc import Sequence

import pytest

from raysweep.errors import UsageError
from raysweep.language.translation.base import TRANSLATORS, Sentence
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.batches import Text
from raysweep.perturbations.sentences import s1_back_translation as back_translation
from raysweep.perturbations.sentences.s1_back_translation import BackTranslation
from raysweep.records import Segment, Spec
from tests.perturbations.texts import perturb_text

NOTHING: frozenset[str] = frozenset()


class ScriptedBackTranslation(BackTranslation):
    """S1 with an engine that gives prepared answers and records the sentences that it gets."""

    def __init__(self, answers, strength=1.0):
        self.strength, self.answers, self.asked = strength, answers, []
        self._engine = self
        back_translation._translations.clear()

    def fingerprint(self):
        return {"translator": "scripted"}

    def back_translate(self, sentences: Sequence[Sentence]) -> list[str | None]:
        self.asked += ["".join(piece.text for piece in sentence) for sentence in sentences]
        return [self.answers.get(text) for text in self.asked[-len(sentences) :]]


def translated(pieces: str, answer: str | None, protected: frozenset[str] = NOTHING) -> str:
    """Translate one sentence whose verbatim pieces are in back-ticks."""
    segments = [Segment(piece, at % 2 == 0) for at, piece in enumerate(pieces.split("`")) if piece]
    asked = " ".join("".join(segment.text for segment in segments).split())
    method = ScriptedBackTranslation({asked: answer})
    made = "".join(s.text for s in method.perturb(segments, random.Random(0), protected))
    assert method.asked == [asked]
    return made


def test_a_translation_takes_the_place_of_its_sentence():
    assert translated("Sort the big list.", "Order the large list.") == "Order the large list."
    assert translated("  Sort the big list.\n", "Order it all, please.") == "  Order it all, please.\n"
    assert translated("Sort the big list.", None) == "Sort the big list."


def test_verbatim_pieces_stay_and_words_move_around_them():
    assert translated("Sort the `xs` by their size", "The xs order by size") == "The xs order by size"
    assert translated("Sort the `xs` and the `ys` now", "Now the xs with ys too") == "Now the xs with ys too"
    for lost_or_moved in ("Order the list now", "The ys and xs order them"):
        assert translated("Sort the `xs` and `ys` now please", lost_or_moved) == "Sort the xs and ys now please"


def test_lines_and_indentation_stay():
    clean = "Sort all of the words\n    by their own length\n    and then print."
    made = translated(clean, "Order each one of the words by his own long length and then you print them.")
    assert [len(line) - len(line.lstrip()) for line in made.split("\n")] == [0, 4, 4]
    assert all(line.strip() for line in made.split("\n")) and "  you" not in made
    assert translated("Sort all these\nwords now", "Order") == "Sort all these\nwords now", "a line would be empty"


def test_protected_words_stay_as_they_are_between_blanks():
    answer, protected = "Return the (numbers), and numbers's", frozenset({"numbers"})
    made = translated("Give the (numbers) and numbers's back", answer, protected)
    assert made.split() == ["Return", "the", "(numbers)", ",", "and", "numbers's"]


def test_equal_sentences_are_translated_once_and_what_has_no_words_never():
    method = ScriptedBackTranslation({"Sort the big list.": "Order the large list."})
    texts = [Text([Segment(text, True)], random.Random(0), NOTHING) for text in ["Sort the big list. 1 + 2."] * 3]
    made = ["".join(s.text for s in segments) for segments in method.perturb_all(texts)]
    assert made == ["Order the large list. 1 + 2."] * 3 and method.asked == ["Sort the big list."]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"translator": "fsmt", "models": ["one"]}, "give two, from English and back"),
        ({"models": ["one", "two"]}, "need `translator: marian` or fsmt beside them"),
    ],
)
def test_models_go_by_two_and_with_their_engine(args, message):
    with pytest.raises(UsageError, match=message):
        PERTURBATIONS.create(Spec("S1", args))


def test_strength_is_the_share_of_sentences():
    method = ScriptedBackTranslation({"Sort the big list.": "Order the large list."}, strength=0.25)
    made = perturb_text(method, "Sort the big list. " * 400, random.Random(0), NOTHING)
    assert 70 <= made.count("Order") <= 130


@pytest.mark.slow
def test_docstrings_keep_compiling_and_nearly_all_change():
    from raysweep.problems.humaneval import HumanEval
    from raysweep.records import Spec
    from raysweep.stages.test_sets import build_test_set

    if lack := TRANSLATORS.create(Spec("apertium")).lacks():
        pytest.skip(lack)
    rows = build_test_set(HumanEval(), Spec("S1", {"translator": "apertium"}), seed=1)
    assert all(row.compiles for row in rows) and sum(row.changed for row in rows) > 150
