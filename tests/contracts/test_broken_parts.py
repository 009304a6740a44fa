"""Parts that break their contracts: each is one error that names the part, and none gives a wrong number."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import pytest

from raysweep.config.loading import load_config
from raysweep.engine.jobs import generate
from raysweep.errors import HopelessError, UsageError
from raysweep.generators.base import GENERATORS
from raysweep.generators.fake import Fake
from raysweep.generators.transformers import Transformers
from raysweep.language import tokens
from raysweep.language.tagging.base import TAGGERS, Tagger
from raysweep.metrics.base import METRICS, CellLabels, Metric
from raysweep.metrics.scores import scores_of
from raysweep.perturbations.apply import Perturber, RowText
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.problems.humaneval import HumanEval
from raysweep.records import Completion, Decoding, GenerationRequest, Result, Segment, Spec
from raysweep.registry import Registry
from raysweep.stages.inputs import require_unique
from raysweep.stages.test_sets import build_test_set
from raysweep.trainers.base import OBJECTIVES, TRAINERS
from raysweep.trainers.editors.base import EDITORS
from raysweep.trainers.editors.creme import Creme
from raysweep.trainers.full import Full
from raysweep.trainers.objectives.sft import Sft
from tests.config.mistakes import findings
from tests.paths import NANO

REQUESTS = [GenerationRequest(str(i), f"t{i}", f"def f{i}():\n", 0, (), "    pass\n") for i in range(3)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda done: done[::-1], "completion 0 is of t2, sample 0, but the request is of t0, sample 0"),
        (lambda done: done[1:], "it gave 2 completions for 3 requests"),
        (lambda done: [one.text for one in done], "it gave a str for request 0, no Completion"),
        (lambda done: [replace(one, prompt_sha="another") for one in done], "or their prompts differ"),
    ],
)
def test_completions_that_are_not_those_of_the_requests(change, told):
    class Changed(Fake):
        def generate(self, requests):
            return change(super().generate(requests))

    assert all(isinstance(completion, Completion) for completion in generate(Fake(None, Decoding()), REQUESTS))
    with pytest.raises(HopelessError, match=f"generator 'fake' breaks its contract: .*{told}"):
        generate(Changed(None, Decoding()), REQUESTS)


@pytest.mark.parametrize(
    "change",
    [
        lambda segments: [Segment(one.text.upper(), one.natural) for one in segments],
        lambda segments: [one for one in segments if one.natural],
        lambda segments: segments[::-1],
    ],
)
def test_a_perturbation_that_changes_code(change, monkeypatch):
    class Careless(Perturbation):
        title, level, name = "Careless", "word", "careless"

        def perturb(self, segments, rng, protected):
            return change(segments)

    monkeypatch.setitem(PERTURBATIONS._classes, "careless", Careless)
    perturber = Perturber(Spec("careless"), seed=1, source_id="here")
    text = [Segment("def f():\n", False), Segment("Say it.", True), Segment("\n    return 1\n", False)]
    with pytest.raises(HopelessError, match="perturbation 'careless' changed code of row r1"):
        perturber.perturb_all([RowText(text, frozenset(), "r1")])


def test_a_tagger_that_forgets_words(monkeypatch):
    class Forgetful(Tagger):
        def tag(self, words):
            return ["NN"] * (len(words) - 1)

        def fingerprint(self):
            return {}

    monkeypatch.setitem(TAGGERS._classes, "forgetful", Forgetful)
    with pytest.raises(HopelessError, match="tagger 'forgetful' gave 2 tags for 3 words"):
        tokens.tagged_sentences((Segment("It works .", True),), "forgetful")


def test_an_error_in_one_metric_leaves_the_others_and_is_told(monkeypatch, caplog):
    class Upset(Metric):
        name = "upset"

        def measure(self, evaluation, cell):
            raise KeyError("zzz")

    monkeypatch.setitem(METRICS._classes, "upset", Upset)
    results = [Result(f"t{i}", 0, "passed", "", "", 0.1, "sha") for i in range(3)]
    scores = scores_of(CellLabels("m", "none", "base", 1), {("humaneval", "clean"): results}, {})
    by_metric = {score.metric: score for score in scores}
    assert by_metric["pass@1"].value == 1
    assert isnan(by_metric["upset"].value) and by_metric["upset"].note == "the metric failed: KeyError: 'zzz'"
    assert "metric upset failed on humaneval clean: KeyError: 'zzz'" in caplog.text


def test_ids_that_come_twice_and_sets_without_rows(monkeypatch):
    class Doubled(HumanEval):
        name = "doubled"

        def problems(self):
            first = next(iter(super().problems()))
            return [first, first]

    class Empty(HumanEval):
        name = "nothing"

        def problems(self):
            return []

    with pytest.raises(HopelessError, match="problem set 'doubled' gave the task id 'HumanEval/0' twice"):
        build_test_set(Doubled(), Spec("C1"), seed=1)
    with pytest.raises(HopelessError, match="problem set 'nothing' is empty"):
        build_test_set(Empty(), Spec("C1"), seed=1)
    known: set[str] = set()
    require_unique(["a", "b"], "row id", "source 'x'", known)
    with pytest.raises(HopelessError, match="source 'x' gave the row id 'b' twice"):
        require_unique(["c", "b"], "row id", "source 'x'", known)


def test_a_class_of_another_kind_or_without_its_attributes_is_not_registered():
    registry: Registry[Perturbation] = Registry("perturbation", "raysweep.perturbations", Perturbation)
    with pytest.raises(UsageError, match="Fake is no perturbation: it doesn't inherit"):
        registry.register("wrong")(Fake)

    class Nameless(Perturbation):
        title = "without a level"

        def perturb(self, segments, rng, protected):
            return list(segments)

    with pytest.raises(UsageError, match="perturbation 'X9' has no class attribute `level`"):
        registry.register("X9")(Nameless)


def none(*_):
    return None


def failing(*_):
    raise ValueError("no such key")


def without_arguments():
    return []


USED = {
    "trainer": (TRAINERS, Full, "recipes.own.trainer", "recipes.own={trainer: wrong}"),
    "objective": (OBJECTIVES, Sft, "recipes.own.objective", "recipes.own={objective: wrong}"),
    "editor": (EDITORS, Creme, "recipes.own.edit", "recipes.own={trainer: wrong}"),
    "generator": (GENERATORS, Transformers, "evaluation.generator", "evaluation.generator=wrong"),
    "generator without weights": (GENERATORS, Fake, "models.0.generator", "models.0={name: own, generator: wrong}"),
}
"""Registry and base of a part that is called wrong, the place where a config names it, and the override for it."""


@pytest.mark.parametrize("kind", USED)
@pytest.mark.parametrize(
    ("check", "told"),
    [
        (none, "failed with TypeError: 'NoneType' object is not iterable"),
        (lambda *_: ["lr is odd"], "yielded 'lr is odd'"),
        (lambda *_: [("lr", None)], "yielded ('lr', None)"),
        (failing, "failed with ValueError: no such key"),
        (without_arguments, "failed with TypeError"),
    ],
)
def test_a_check_that_yields_no_findings(kind, check, told, monkeypatch):
    registry, base, place, override = USED[kind]
    monkeypatch.setitem(registry._classes, "wrong", type("Wrong", (base,), {"name": "wrong", "check": base.check}))
    load_config(NANO, [override])
    monkeypatch.setattr(registry.get("wrong"), "check", check)
    (found,) = findings(NANO, override)
    assert found.startswith(f"{place}: the `check` of {registry.kind} 'wrong' {told}")
    assert "it must yield (key, text) for each setting" in found
