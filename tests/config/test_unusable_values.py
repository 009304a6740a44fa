"""Values that no key takes: each is one line that names the key, whatever the key; none ends in a traceback."""

from __future__ import annotations

import copy
import datetime
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysweep.config.document import ConfigError, KeyPath, shown
from raysweep.config.loading import config_from, load_config, to_yaml
from raysweep.config.reference import all_keys
from tests.paths import NANO

RICH = [
    "seeds=[1, 2]",
    "models.1={name: fake, generator: {name: fake, share: 0.5}}",
    "models.0.stop=[x]",
    "recipes.tiny.lora.targets=[q_proj]",
    "training.source.rejected={mutator: python}",
    "training.sets=[C1, {name: union, perturbation: C, compose: union, size: 1.5}]",
    "evaluation.problems=[{name: minicode, as: mine, split: validation, count: 6}]",
    "evaluation.perturbations=[clean, C1, typos]",
    "evaluation.pairs={C1: [C1]}",
    "recipes.creme={trainer: creme, edit: {steps: 3}}",
    "models.0.pretrain.vocab_size=257",
    "models.0.pretrain.damage={perturbation: C3, block: 0}",
    "models.0.recipes=[tiny, creme]",
    "edits={perturbations: [C1], problems: [MiniCode/1]}",
    "evaluation.quality={}",
    "perturbations={typos: {name: mix, members: [C1, C2], strengths: {C1: 2}}}",
    "recipes.tiny.group=tinies",
    "recipes.tiny.select={by: validation_loss}",
    "training.validation={name: minicode, part: validation, rows: 8}",
    "strengths={C1: 0.5}",
    "resources.custom={tpu: 1}",
    "resources.labels={zone: b}",
]


def rich() -> dict[str, Any]:
    """Return a config with every section and free key, all defaults written out."""
    overrides = [text for text in RICH if not text.startswith("models.1")]
    document = yaml.safe_load(to_yaml(load_config(NANO, overrides)))
    document["models"].append({"name": "fake", "generator": {"name": "fake", "share": 0.5}})
    return document


DOCUMENT = rich()


def paths_in(value: Any, at: KeyPath = ()) -> Iterator[KeyPath]:
    if at:
        yield at
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in children:
        yield from paths_in(child, (*at, step))


def with_value(path: KeyPath, value: Any) -> dict[str, Any]:
    document = copy.copy(DOCUMENT)
    place: Any = document
    for step in path[:-1]:
        place[step] = copy.copy(place[step])
        place = place[step]
    place[path[-1]] = value
    return document


def mistakes(path: KeyPath, value: Any) -> list[str]:
    """Return the findings about a config with another value at a path; any error but ConfigError fails the test."""
    try:
        config_from(with_value(path, value), "here")
    except ConfigError as error:
        return error.findings
    return []


def test_the_config_of_these_tests_has_every_key():
    written = {"/".join("*" if isinstance(step, int) else step for step in path) for path in paths_in(DOCUMENT)}
    names = {"recipes": "tiny", "perturbations": "typos", "strengths": "C1"}
    for key in all_keys():
        section = key.path.partition(".")[0]
        path = key.path.replace("[].", "/*/").replace("NAME", names.get(section, "")).replace(".", "/")
        assert path in written, key.path


UNUSABLE = {
    "NaN": math.nan,
    "infinity": math.inf,
    "a date": datetime.date(2024, 1, 1),
    "bytes": b"ab",
    "a key that is a number": {1: 1},
    "a key that is null": {None: 1},
    "a list of NaN": [math.nan],
}
"""Found wherever they stand, before any key is looked at: each key gets one of them."""
NEVER = {"a huge number": 10**400, "a number of 64 bits": 2**63}
"""Refused by each key itself."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unusable", *NEVER])
def test_what_no_key_takes_is_refused_under_every_key_in_a_line_that_names_it(kind):
    wrong = {}
    for path, other in zip(paths_in(DOCUMENT), itertools.cycle(UNUSABLE)):
        name = other if kind == "unusable" else kind
        if name == "a date" and path[-1] == "date":
            continue
        found = mistakes(path, {**UNUSABLE, **NEVER}[name])
        keys = [shown(path[:length]) for length in range(1, len(path) + 1)][-3:]  # a spec's mistakes are at the spec
        about = [line for line in found if any(f"{key}: " in line or f"{key}." in line for key in keys)]
        are_lines = all("\n" not in line and len(line) < 700 for line in found)
        if not about or not are_lines or (len(found) != 1 and not name.startswith("a ")):
            wrong[shown(path)] = found
    assert wrong == {}


OFTEN = {"null": None, "an empty text": "", "an empty list": [], "an empty mapping": {}}
TAKEN = {
    "an empty text": "system_prompt title notice zone",
    "an empty list": "stop recipes modules_to_save feedforward loggers special_tokens pairs.C1 "
    "evaluation.perturbations",
    "an empty mapping": "select size objective_args edit lora ia3 tiny pairs language perturbations strengths prices "
    "execution resources training generation custom labels recovery ray report quality sources validations "
    "typos.strengths environments template_arguments",
}
"""The keys that take an empty value, by how their paths end."""


def is_nullable(path: KeyPath) -> bool:
    dotted = (
        shown(tuple("[]" if isinstance(step, int) else step for step in path))
        .replace(".[]", "[]")
        .replace("recipes.creme", "recipes.tiny")
    )
    known = {key.path.replace("NAME", "tiny"): key for key in all_keys()}
    free = path[-1] in ("as", "strengths", "rejected") or path == ("training",)
    return free or (dotted in known and "null" in known[dotted].type) or path[-1] in ("pretrain", "generator")


@pytest.mark.slow
@pytest.mark.parametrize("kind", OFTEN)
def test_an_empty_value_is_refused_in_one_line_or_is_one_that_the_key_takes(kind):
    wrong = {}
    for path in paths_in(DOCUMENT):
        found = mistakes(path, OFTEN[kind])
        is_taken = is_nullable(path) if kind == "null" else shown(path).endswith(tuple(TAKEN[kind].split()))
        if any("\n" in line for line in found) or not (found or is_taken):
            wrong[shown(path)] = found
    assert wrong == {}


def test_a_date_may_be_a_part_of_a_key():
    load_config(NANO, ["recipes.2024-01-01={}"])


def test_every_shipped_config_gives_each_key_a_value():
    for path in [NANO, *Path(NANO).parents[1].glob("configs/**/*.yaml")]:
        nodes = [yaml.compose(path.read_text())]
        while nodes:
            node = nodes.pop()
            assert node.value or not node.tag.endswith(":null"), (path, node.start_mark)
            if isinstance(node.value, list):
                nodes += [part for child in node.value for part in (child if isinstance(child, tuple) else (child,))]
