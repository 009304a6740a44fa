"""Can the perturbations that a config names be made as it has them, and sets of the sizes that it asks for?"""

from __future__ import annotations

from collections.abc import Iterator

from raysweep.config import SweepConfig
from raysweep.document import KeyPath
from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.recode import require_recode
from raysweep.terminal import count
from raysweep.training_sets.choice import CLEAN

Finding = tuple[KeyPath, str]
"""(where in the config, what is wrong)"""


def perturbations(config: SweepConfig) -> Iterator[Finding]:
    """Methods that can't be made as the config has them, or not on this machine."""
    used: list[tuple[KeyPath, str, str]] = [(("perturbations", name), name, "draw") for name in config.perturbations]
    for name in config.strengths:
        if name in config.perturbations or PERTURBATIONS.needed(name):
            yield ("strengths", name), "its strength stands under `perturbations:`, beside its other arguments"
        else:
            used.append((("strengths", name), name, "draw"))
    tests, sets = config.evaluation, config.training.sets if config.training else []
    used += [(("training", "sets", at), s.perturbation, s.compose) for at, s in enumerate(sets)]
    used += [(("evaluation", "perturbations", at), n, tests.compose) for at, n in enumerate(tests.perturbations)]
    said: set[str] = set()
    for path, name, compose in used:
        wrong = _wrong(config, name, compose, tests.compat is not None and path[0] == "evaluation")
        if wrong and wrong not in said:
            said.add(wrong)
            yield path, wrong


def _wrong(config: SweepConfig, name: str, compose: str, as_recode: bool) -> str:
    """Return why a perturbation can't be made; empty where it can."""
    if name not in config.perturbations and (needed := PERTURBATIONS.needed(name)):
        own = ", ".join([f"name: {name}", *(f"{argument}: ..." for argument in needed)])
        return (
            f"perturbation {name!r} needs arguments; name it with them, as in `perturbations: {{mine: {{{own}}}}}`, "
            "and put that name here"
        )
    try:
        method = PERTURBATIONS.create(config.perturbation(name, compose))
        if as_recode:
            require_recode(method)
    except UsageError as error:
        return str(error)
    return ""


def sizes(config: SweepConfig) -> Iterator[Finding]:
    """Training sets larger than all pairs of row and method: no row is taken twice after one method."""
    for at, wanted in enumerate(config.training.sets if config.training else []):
        if wanted.perturbation == CLEAN or wanted.size == 1:
            continue
        try:
            methods = len(PERTURBATIONS.create(config.perturbation(wanted.perturbation, wanted.compose)).parts) or 1
        except UsageError:
            continue  # said already
        if wanted.ratio * wanted.size > methods:
            yield (
                ("training", "sets", at, "size"),
                f"{wanted.size:g} times the source's rows, {wanted.ratio:g} of them perturbed, are more than each row "
                f"once after each of {count(methods, 'method')}; give a size of at most {methods / wanted.ratio:.4g}",
            )
