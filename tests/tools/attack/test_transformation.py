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


def test_only_words_of_the_description_that_are_no_identifiers_may_be_changed():
    from textattack.shared import AttackedText

    from raysweep.tools.attack.word_attack import keep_code

    assert free(keep_code(), AttackedText(PROMPT)) == ["Return", "the", "of", "all", "It", "sorts", "nothing"]


def test_the_original_text_determines_which_words_may_be_changed():
    from textattack.shared import AttackedText

    from raysweep.tools.attack.word_attack import keep_code

    text = AttackedText(PROMPT)
    index = text.words.index("sorts")
    changed = text.replace_word_at_index(index, "sortts").delete_word_at_index(text.words.index("the"))
    assert free(keep_code(), changed) == ["Return", "of", "all", "It", "sortts", "nothing"]


@pytest.mark.parametrize("name", ["C1", "C2", "C3", "C", "W1", "W2", "S2"])
def test_textattacks_augmenter_accepts_perturbations_and_leaves_code_alone(name):
    from textattack.augmentation import Augmenter
    from textattack.constraints.pre_transformation import RepeatModification

    from raysweep.tools.attack.word_attack import keep_code

    augmenter = Augmenter(as_transformation(method(name, strength=5.0)), [RepeatModification(), keep_code()])
    random.seed(1)
    for text in augmenter.augment(PROMPT):
        assert text != PROMPT and outside(text) == outside(PROMPT) and "`numbers`" in text
        ast.parse(text)


def test_an_augmenter_changes_a_sentence_once_and_not_in_a_chain():
    from textattack.augmentation import Augmenter
    from textattack.constraints.pre_transformation import RepeatModification

    augmenter = Augmenter(as_transformation(method("S3")), [RepeatModification()], pct_words_to_swap=0.1)
    random.seed(0)
    (text,) = augmenter.augment("The list holds numbers. " * 6)
    assert text.count("will hold") == 1 and "will will" not in text


class Model:
    """A stand-in for textattack's model wrapper, which the goal function requires."""

    model = None

    def __call__(self, texts):
        return texts


def word_is_gone(model, **args):
    """The attack's goal: the word "largest" or "all" is gone."""
    from textattack.goal_function_results import ClassificationGoalFunctionResult
    from textattack.goal_functions import GoalFunction

    class WordIsGone(GoalFunction):
        def _call_model_uncached(self, texts):
            return [float("all" not in text.words) for text in texts]

        def _process_model_outputs(self, texts, outputs):
            return outputs

        def _is_goal_complete(self, output, text):
            return output > 0

        def _get_score(self, output, text):
            return output

        def _goal_function_result_type(self):
            return ClassificationGoalFunctionResult

    return WordIsGone(model, **args)


def test_textattacks_attack_accepts_perturbations_and_leaves_code_alone():
    from textattack import Attack
    from textattack.constraints.pre_transformation import RepeatModification, StopwordModification
    from textattack.search_methods import GreedyWordSwapWIR

    from raysweep.tools.attack.word_attack import keep_code

    constraints = [RepeatModification(), StopwordModification(["the"]), keep_code()]
    transformation = as_transformation(method("C"), candidates=3)
    attack = Attack(word_is_gone(Model(), query_budget=60), constraints, transformation, GreedyWordSwapWIR("delete"))
    result = attack.attack(PROMPT, 0)
    text = result.perturbed_result.attacked_text.text
    assert type(result).__name__ == "SuccessfulAttackResult" and result.num_queries <= 60
    assert text.split("largest of ")[1].split()[0] != "all" and outside(text) == outside(PROMPT)


def test_candidates_keep_their_context_and_depend_on_text_and_seed():
    from textattack.shared import AttackedText

    text = AttackedText("Return the sum of all even numbers.")
    word = text.words.index("even")
    draws = [as_transformation(method("C1"), seed=seed)(text, indices_to_modify=[word]) for seed in (1, 1, 2)]
    texts = [[candidate.text for candidate in candidates] for candidates in draws]
    assert texts[0] == texts[1] != texts[2] and 1 < len(set(texts[0])) <= 4
    assert all(t.startswith("Return the sum of all ") and t.endswith(" numbers.") for t in texts[0])
    assert all(candidate.attack_attrs["modified_indices"] == {word} for candidate in draws[0])


def test_an_inserted_word_moves_the_indices_of_the_words_after_it():
    from textattack.shared import AttackedText

    text = AttackedText("Return the big number of all.")
    (first, *_) = as_transformation(method("W1", strength=2))(text, indices_to_modify=[2])
    moved = first.attack_attrs["original_index_map"]
    assert [first.words[i] for i in moved] == text.words and first.num_words > text.num_words
    assert min(first.attack_attrs["modified_indices"]) == 2
