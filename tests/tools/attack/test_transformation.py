import ast
import random

import pytest

from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.textattack.loading import load_textattack
from raysweep.records import Spec
from raysweep.tools.attack.transformation import as_transformation

PROMPT = (
    'def largest(numbers: list) -> int:\n    """Return the largest of all numbers in `numbers`. It sorts nothing.\n'
    '    >>> largest([1, 2])\n    2\n    """\n'
)


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Import textattack now and not when tests are collected, which every process does: it takes seconds."""
    pytest.importorskip("nltk", reason="textattack isn't installed")
    load_textattack()


def method(name, **args):
    return PERTURBATIONS.create(Spec(name, args))


def outside(prompt):
    """The code around the description."""
    start, end = prompt.index('"""') + 3, prompt.index("    >>>")
    return prompt[:start], prompt[end:]


def free(constraint, text):
    from textattack.transformations import WordSwapQWERTY

    return [text.words[i] for i in sorted(constraint(text, WordSwapQWERTY()))]


@pytest.mark.slow
def test_the_original_text_determines_which_words_may_be_changed():
    from textattack.shared import AttackedText

    from raysweep.tools.attack.word_attack import keep_code

    text = AttackedText(PROMPT)
    assert free(keep_code(), text) == ["Return", "the", "of", "all", "It", "sorts", "nothing"], "no identifiers"
    index = text.words.index("sorts")
    changed = text.replace_word_at_index(index, "sortts").delete_word_at_index(text.words.index("the"))
    assert free(keep_code(), changed) == ["Return", "of", "all", "It", "sortts", "nothing"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["C", "W1", "W2", "S2"])
def test_textattacks_augmenter_accepts_perturbations_and_leaves_code_alone(name):
    from textattack.augmentation import Augmenter
    from textattack.constraints.pre_transformation import RepeatModification

    from raysweep.tools.attack.word_attack import keep_code

    augmenter = Augmenter(as_transformation(method(name, strength=5.0)), [RepeatModification(), keep_code()])
    random.seed(1)
    for text in augmenter.augment(PROMPT):
        assert text != PROMPT and outside(text) == outside(PROMPT) and "`numbers`" in text
        ast.parse(text)


@pytest.mark.slow
def test_an_augmenter_changes_a_sentence_once_and_not_in_a_chain():
    from textattack.augmentation import Augmenter
    from textattack.constraints.pre_transformation import RepeatModification

    augmenter = Augmenter(as_transformation(method("S3")), [RepeatModification()], pct_words_to_swap=0.1)
    random.seed(0)
    (text,) = augmenter.augment("The list holds numbers. " * 6)
    assert text.count("will hold") == 1 and "will will" not in text


def test_candidates_keep_their_context_and_depend_on_text_and_seed():
    from textattack.shared import AttackedText

    text = AttackedText("Return the sum of all even numbers.")
    word = text.words.index("even")
    transformations = [as_transformation(method("C1"), candidates=3, seed=seed) for seed in (1, 1, 2)]
    draws = [transformation(text, indices_to_modify=[word]) for transformation in transformations]
    texts = [[candidate.text for candidate in candidates] for candidates in draws]
    assert texts[0] == texts[1] != texts[2] and 1 < len(set(texts[0])) <= 3
    assert all(t.startswith("Return the sum of all ") and t.endswith(" numbers.") for t in texts[0])
    assert all(candidate.attack_attrs["modified_indices"] == {word} for candidate in draws[0])


def test_an_inserted_word_moves_the_indices_of_the_words_after_it():
    from textattack.shared import AttackedText

    text = AttackedText("Return the big number of all.")
    (first, *_) = as_transformation(method("W1", strength=2))(text, indices_to_modify=[2])
    moved = first.attack_attrs["original_index_map"]
    assert [first.words[i] for i in moved] == text.words and first.num_words > text.num_words
    assert min(first.attack_attrs["modified_indices"]) == 2
