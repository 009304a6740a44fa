"""An attack on one prompt: textattack's searches change words of the description, within the limits."""

from collections.abc import Callable, Sequence

import pytest

from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.textattack.loading import load_textattack
from raysweep.prompts.regions import protected_words, split_prompt
from raysweep.records import Spec
from raysweep.tools.attack.search import FAILED_TESTS, SEARCHES, AttackResult, attack
from raysweep.tools.attack.transformation import CANDIDATES, keep_code, word_swaps

pytestmark = pytest.mark.slow

PROMPT = (
    'def largest(numbers: list) -> int:\n    """Return the largest of all positive numbers, and none of the others at '
    'all.\n    >>> largest([1, 2])\n    2\n    """\n'
)
WORDS = 13  # of natural language
SEGMENTS, PROTECTED = tuple(split_prompt(PROMPT, "largest")), protected_words(PROMPT)
FREE = ["Return", "the", "of", "all", "positive", "and", "none", "of", "the", "others", "at", "all"]


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Import textattack now and not when tests are collected, which every process does: it takes seconds."""
    pytest.importorskip("nltk", reason="textattack isn't installed")
    load_textattack()


def methods(*names):
    return [PERTURBATIONS.create(Spec(name)) for name in names]


def changed(prompt: str) -> list[tuple[str, str]]:
    """The words before and after a change that keeps their number."""
    return [pair for pair in zip(PROMPT.split(), prompt.split(), strict=True) if len({*pair}) > 1]


class Model:
    """Fails without one of the words in `wants`; records the prompts in `asked`."""

    def __init__(self, *wants: str) -> None:
        self.wants, self.asked = wants, []

    def __call__(self, prompts: Sequence[str]) -> list[float]:
        self.asked += prompts
        return [0.0 if {*self.wants} <= {*prompt.split()} else FAILED_TESTS for prompt in prompts]


def attacked(model: Callable, search: str, budget: int = 200, max_changed: float = 0.2, seed: int = 1) -> AttackResult:
    return attack(
        "T/1",
        SEGMENTS,
        PROTECTED,
        methods("C1", "C2", "C3"),
        model,
        search=search,
        budget=budget,
        max_changed=max_changed,
        seed=seed,
    )


@pytest.mark.parametrize("search", SEARCHES)
def test_a_change_that_makes_the_model_fail_is_found(search):
    model = Model("positive", "none")
    result = attacked(model, search)
    assert result.outcome == "succeeded" and 1 < result.queries == len(model.asked)
    assert result.prompt in model.asked and result.words == len(changed(result.prompt)) <= 2
    assert result.word_share == result.words / WORDS and model([result.prompt]) == [FAILED_TESTS]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("budget", [1, 7, 40])
def test_the_budget_is_kept_and_used_up(search, budget):
    model = Model()
    assert attacked(model, search, budget) == AttackResult("T/1", search, "failed", budget, "", 0, 0.0)
    assert budget - 10 <= len(model.asked) <= budget, "textattack asks a repeated prompt once, and counts it again"


@pytest.mark.parametrize("search", SEARCHES)
def test_only_words_of_the_description_change_and_no_more_than_allowed(search):
    model = Model()
    attacked(lambda prompts: [score + len(prompts[0]) % 7 / 70 for score in model(prompts)], search, 60)
    start, end = PROMPT.index("Return"), PROMPT.index("\n    >>>")
    for prompt in model.asked:
        assert prompt.startswith(PROMPT[:start]) and prompt.endswith(PROMPT[end:]) and " numbers," in prompt
        assert len(prompt.split()) < len(PROMPT.split()) or len(changed(prompt)) <= int(0.2 * WORDS)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_problem_that_the_model_fails_clean_is_skipped_with_one_query(search):
    assert attacked(Model("missing"), search) == AttackResult("T/1", search, "skipped", 1, "", 0, 0.0)


@pytest.mark.parametrize("search", SEARCHES)
def test_equal_seeds_give_equal_queries(search):
    same, again, other = Model(), Model(), Model()
    results = [attacked(model, search, 30, seed=seed) for model, seed in ((same, 1), (again, 1), (other, 2))]
    assert results[0] == results[1] and same.asked == again.asked != other.asked


def test_the_greedy_search_changes_the_word_first_without_which_the_model_fails():
    model = Model("none")
    result = attacked(model, "greedy")
    ranking, swaps = model.asked[1 : len(FREE) + 1], model.asked[len(FREE) + 1 :]
    assert {len(PROMPT) - len(prompt) - 1 for prompt in ranking} >= {len(word) for word in FREE if word != "Return"}
    assert {pair[0] for prompt in swaps for pair in changed(prompt)} == {"none"} and result.words == 1


@pytest.mark.parametrize("names", [("C1", "C2", "C3"), ("W1",), ("W2",), ("textattack:WordSwapQWERTY",)])
def test_a_candidate_differs_in_one_word(names):
    from textattack.shared import AttackedText

    text = AttackedText(PROMPT)
    for index in (text.words.index("Return"), text.words.index("positive")):
        texts = word_swaps(methods(*names), PROTECTED, 1)(text, indices_to_modify=[index])
        assert len({candidate.text for candidate in texts}) == len(texts) and 0 < len(texts) <= CANDIDATES
        start = PROMPT.index(text.words[index])
        for candidate in texts:
            assert candidate.text.startswith(PROMPT[:start]) and candidate.text != PROMPT
            assert candidate.text.endswith(PROMPT[start + len(text.words[index]) :])


def test_the_original_text_determines_which_words_may_be_changed():
    from textattack.shared import AttackedText
    from textattack.transformations import WordSwapQWERTY

    def free(text):
        return [text.words[i] for i in sorted(keep_code(SEGMENTS, PROTECTED)(text, WordSwapQWERTY()))]

    text = AttackedText(PROMPT)
    assert free(text) == FREE, "no identifiers"
    longer = text.replace_word_at_index(text.words.index("positive"), "positive plus")
    assert free(longer) == FREE
    shorter = longer.replace_word_at_index(longer.words.index("others"), "otehrs").delete_word_at_index(
        text.words.index("the")
    )
    assert free(shorter) == ["Return", *FREE[2:9], "otehrs", *FREE[10:]]
