from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.prompts.regions import protected_words, split_prompt
from raysweep.records import Segment, Spec
from raysweep.tools.attack.queries import AttackLimits, AttackOutcome, AttackResult, Queries, Reaction, Target
from raysweep.tools.attack.search import SEARCHES, _shrink, attack
from raysweep.tools.attack.word_changes import Size, size_of, word_edits

pytestmark = pytest.mark.slow

PROMPT = (
    'def largest(numbers: list) -> int:\n    """Return the largest of all positive numbers, and none of the others at '
    'all.\n    >>> largest([1, 2])\n    2\n    """\n'
)
WORDS = 13  # of natural language
TARGET = Target("T/1", tuple(split_prompt(PROMPT, "largest")), protected_words(PROMPT))
METHODS = [PERTURBATIONS.create(Spec(name)) for name in ("C1", "C2", "C3")]


def size_from_clean(prompt: str) -> Size:
    """The size of the change of the clean prompt into another one."""
    return size_of(word_edits([Segment(PROMPT, True)], [Segment(prompt, True)]))


class Model:
    """Fails once `enough` of the words in `wants` have changed; records the prompts in `asked`."""

    def __init__(self, wants: Sequence[str], enough: int = 1) -> None:
        self.wants, self.enough, self.asked = wants, enough, []

    def __call__(self, prompts: Sequence[str]) -> list[Reaction]:
        self.asked += prompts
        return [self._reaction(prompt) for prompt in prompts]

    def _reaction(self, prompt: str) -> Reaction:
        gone = sum(word not in prompt.split() for word in self.wants)
        return Reaction(gone < self.enough, gone / (len(self.wants) or 1))


def attacked(model: Callable, strategy: str, budget: int = 200, max_changed: float = 0.2, **more) -> AttackResult:
    return attack(
        TARGET, METHODS, model, AttackLimits(budget, max_changed), strategy=strategy, seed=more.get("seed", 1)
    )


@pytest.fixture(params=SEARCHES)
def strategy(request):
    if request.param == "beam":
        pytest.importorskip("nltk", reason="textattack isn't installed")
    return request.param


def test_finds_a_change_and_reports_the_smallest(strategy):
    model = Model(["positive", "none"])
    result = attacked(model, strategy)
    assert result.outcome == AttackOutcome.SUCCEEDED and 1 < result.found_after <= result.queries == len(model.asked)
    assert result.words == 1 and result.word_share == 1 / WORDS and 0 < result.character_share < 0.2
    assert size_from_clean(result.prompt).words == 1


@pytest.mark.parametrize("budget", [1, 7, 40])
def test_no_prompt_is_asked_twice_and_never_more_than_the_budget(strategy, budget):
    model = Model([])
    model._reaction = lambda prompt: Reaction(True, 0.0)
    result = attacked(model, strategy, budget)
    assert len(set(model.asked)) == len(model.asked) == result.queries <= budget
    assert result.outcome == AttackOutcome.FAILED and result.prompt == "" and result.found_after == 0
    assert budget < 40 or result.queries == 40


def test_only_words_of_the_description_change_and_no_more_than_allowed(strategy):
    model = Model([])
    model._reaction = lambda prompt: Reaction(True, len(prompt) % 7 / 7)
    attacked(model, strategy, 60)
    start, end = PROMPT.index("Return"), PROMPT.index("\n    >>>")
    for prompt in model.asked:
        assert prompt.startswith(PROMPT[:start]) and prompt.endswith(PROMPT[end:]) and " numbers," in prompt
        assert size_from_clean(prompt).words <= int(0.2 * WORDS)
    model.asked.clear()
    attack(TARGET, METHODS, model, AttackLimits(40, 0.2, 0.04), strategy=strategy, seed=1)
    assert len(model.asked) == 40 and max(size_from_clean(prompt).characters for prompt in model.asked) == 2


def test_a_problem_that_the_model_fails_clean_is_skipped_with_one_query(strategy):
    model = Model(["missing"])
    assert attacked(model, strategy) == AttackResult("T/1", strategy, "skipped", 1, 0, "", 0, 0.0, 0.0)


def test_equal_seeds_give_equal_queries_and_a_smaller_budget_the_beginning_of_a_larger_one(strategy):
    few, same, other, many = (Model(["a", "b"], 3) for _ in range(4))
    results = [attacked(model, strategy, 30, seed=seed) for model, seed in ((few, 1), (same, 1), (other, 2))]
    assert results[0] == results[1] and few.asked == same.asked != other.asked
    attacked(many, strategy, 60)
    assert strategy == "beam" or many.asked[:30] == few.asked  # a beam's texts come sorted, cut at the budget


def test_the_largest_change_of_each_word_is_tried_first_and_long_content_words_before_others():
    model = Model([])
    attack(TARGET, METHODS, model, AttackLimits(5, 0.1), strategy="greedy", seed=1)  # one word may change
    changed = [
        [edit for edit in zip(PROMPT.split(), asked.split(), strict=True) if len({*edit}) > 1] for asked in model.asked
    ]
    assert changed[0] == [] and [len(edits) for edits in changed[1:]] == [1] * 4
    assert [edits[0][0].strip('",') for edits in changed[1:]] == ["positive", "Return", "others", "none"]
    assert all(len(size_from_clean(asked)) == 2 and size_from_clean(asked).characters > 1 for asked in model.asked[1:])


def test_a_text_has_as_many_of_the_largest_changes_as_the_limits_allow():
    model = Model([])
    attack(TARGET, METHODS, model, AttackLimits(3, 0.25), strategy="greedy", seed=1)
    assert [size_from_clean(asked).words for asked in model.asked] == [0, 3, 3]
    first, second = ({word for word in PROMPT.split() if word not in asked.split()} for asked in model.asked[1:])
    assert not first & second


def test_a_needless_change_of_a_word_is_left_out_and_no_half_of_a_change_is_tried():
    model = Model(["none"])
    queries = Queries(TARGET, model, AttackLimits(10, 0.5))
    swapped = [
        (segment.text.replace("none", "nnoe").replace("others", "otehrs"), segment) for segment in TARGET.segments
    ]
    queries.ask([word_edits(TARGET.segments, [replace(segment, text=text) for text, segment in swapped])])
    _shrink(queries)
    assert TARGET.after(queries.smallest()) == PROMPT.replace("none", "nnoe") and size_of(queries.smallest()) == (1, 2)
    assert queries.count == 4 and {"nnoe", "none"} == {prompt.split("and ")[1].split()[0] for prompt in model.asked}


@pytest.mark.parametrize(
    ("limits", "message"),
    [((0, 0.1), "allows no query"), ((5, 0.0), "of words"), ((5, 1.5), "of words"), ((5, 0.1, 0.0), "of characters")],
)
def test_impossible_limits_are_refused(limits, message):
    with pytest.raises(UsageError, match=message):
        AttackLimits(*limits)
