"""Draws tasks from the families: hold-outs, strata, names, constants, wordings.

A world is a seed of draws. All worlds hold out the same cells (by grid or hash) and wordings (by hash). A task is a
pure function of (world, part, index).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count, permutations, product
from random import Random

from raysweep.problems.minicode import atoms, compositions
from raysweep.problems.minicode.families import Argument, Family, Kind, Split
from raysweep.problems.minicode.inputs import LETTERS, Constants, draw_input, draw_pool
from raysweep.problems.minicode.tests import POOL_SIZE, accepts, arguments, write_tests
from raysweep.problems.mutants import compile_function
from raysweep.seeding import python_rng

GENERATOR_VERSION = 1
"""Raise it whenever the same (world, part, index) gives another task."""

MIXTURE: dict[Kind, float] = {"atoms": 0.45, "lists": 0.22, "strings": 0.11, "words": 0.22}
"""Shares of the kinds in training rows."""

STRATA = ("atom", "held-out cell", "atom", "held-out cell", "seen cell")
"""Strata of evaluation problems, in this order again and again. Atoms and seen cells have wordings that training rows
never have."""

PLAIN_NAME, EXAMPLE = 0.7, 0.1
"""Shares of uninformative function names, and of docstrings with an example."""

EXAMPLE_LENGTH = 45
"""Limit for the characters of an example's input and result."""

NUMBERS = range(2, 10)
"""What the constants k and j may be; they differ."""

FUNCTION_NAMES = ("f", "g", "run", "func", "solve", "task")
ARGUMENT_NAMES: dict[Argument, tuple[str, ...]] = {
    "pair": ("a, b", "x, y", "p, q"),
    "int": ("n", "m", "num"),
    "nat": ("n", "m", "num"),
    "string": ("s", "t", "txt", "st"),
    "list": ("xs", "arr", "nums", "vals", "seq"),
    "words": ("ws", "tokens", "terms", "strs"),
}


@dataclass(frozen=True, slots=True)
class DrawnTask:
    """A task. `prompt` + `body` is the definition of its reference function."""

    family: Family
    name: str  # the function's
    prompt: str  # signature and docstring
    body: str
    constants: Constants


@cache
def families() -> tuple[Family, ...]:
    """Return all families, atoms first."""
    return tuple(family for module in (atoms, compositions) for family in module.families())


def training_task(world: int, part: str, index: int) -> DrawnTask:
    """Draw a training task: a kind by its share, then one of its families and training wordings."""
    rng = python_rng(world, "minicode", part, index)
    kind = rng.choices(list(MIXTURE), weights=list(MIXTURE.values()))[0]
    return _draw(rng.choice(_training_families(kind)), "train", rng)


def evaluation_tasks(world: int, split: Split, size: int) -> Iterator[DrawnTask]:
    """Draw the first `size` tasks of the validation or test split, no two with the same prompt.

    Strata take turns. So do the families of a stratum, in random order, so each occurs about equally often.
    """
    families_of = {stratum: _family_sequence(world, split, stratum) for stratum in STRATA}
    prompts = set[str]()
    for index in range(size):
        family = next(families_of[STRATA[index % len(STRATA)]])
        attempts = (_draw(family, split, python_rng(world, "minicode", split, index, again)) for again in range(1000))
        task = next(task for task in attempts if task.prompt not in prompts)
        prompts.add(task.prompt)
        yield task


def tests_of(task: DrawnTask, world: int, part: str, index: int) -> str:
    """Return the source of ``check(candidate)`` for a task of a part or split of a world."""
    rng = python_rng(world, "minicode", part, index, "tests")
    return write_tests(task.prompt + task.body, draw_pool(task.family.argument, task.constants, rng, POOL_SIZE))


def stratum_of(family: Family) -> str:
    return "atom" if family.kind == "atoms" else "seen cell" if family.split == "train" else "held-out cell"


def has_trainable_code(task: DrawnTask) -> bool:
    """Return whether a training task of any world may have a task's code, but for the names of function and arguments.

    Tasks of held-out combinations may, too: multiples of 2 are even numbers.
    """
    return _code(task.family, task.constants) in _trainable_codes()


@cache
def _trainable_codes() -> frozenset[str]:
    pairs = list(permutations(NUMBERS, 2))
    constants: list[Constants] = [{"k": k, "j": j, "c": c} for (k, j), c in product(pairs, LETTERS)]
    codes = set[str]()
    for family in (family for family in families() if family.wordings["train"]):
        used = constants if family.constants else constants[:1]
        codes |= {_code(family, values) for values in used}
    return frozenset(codes)


def _code(family: Family, constants: Constants) -> str:
    return family.body.format(x="x", y="y", **constants)


@cache
def _training_families(kind: Kind) -> tuple[Family, ...]:
    return tuple(family for family in families() if family.kind == kind and family.wordings["train"])


def _family_sequence(world: int, split: Split, stratum: str) -> Iterator[Family]:
    """Yield all families of a stratum in random order, then all in another order, without end."""
    members = [family for family in families() if stratum_of(family) == stratum and family.wordings[split]]
    for lap in count():
        order = members.copy()
        python_rng(world, "minicode", split, stratum, lap).shuffle(order)
        yield from order


def _draw(family: Family, split: Split, rng: Random) -> DrawnTask:
    k, j = rng.sample(NUMBERS, 2)
    values: dict[str, int | str] = {"k": k, "j": j, "c": rng.choice(LETTERS)}
    constants = {name: values[name] for name in family.constants}
    name = rng.choice(FUNCTION_NAMES) if rng.random() < PLAIN_NAME else family.name
    parameters = rng.choice(ARGUMENT_NAMES[family.argument])
    x, _, y = parameters.partition(", ")
    sentence = rng.choice(family.wordings[split]).format(**constants)
    body = _indent(family.body.format(x=x, y=y, **constants).split("\n"))
    head = f"def {name}({parameters}):"
    lines = [f'"""{sentence}.']
    if rng.random() < EXAMPLE:
        lines += _example(f"{head}\n{body}", family.argument, constants, rng)
    return DrawnTask(family, name, "\n".join([head, _indent(lines), '    """', ""]), body, constants)


def _example(source: str, argument: Argument, constants: Constants, rng: Random) -> list[str]:
    function = compile_function(source)
    drawn = (draw_input(argument, constants, rng) for _ in range(1000))
    examples = ((call, repr(function(*call))) for call in drawn if accepts(function, call))
    call, result = next(example for example in examples if len(repr(example)) <= EXAMPLE_LENGTH)
    return [f">>> {function.__name__}({arguments(call)})", result]


def _indent(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
