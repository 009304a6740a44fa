"""Examines this machine: isolation, accelerators, language resources, versions, and all that can stop a run.

`examine` lists the checks. `checks` judges measurements; the checks here try something first: they run programs, look
for a Ray, write to a store, make sockets. Not covered: whether a model hub can be reached; how fast anything is.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from raysweep import machine
from raysweep.errors import RaysweepError, UsageError
from raysweep.quality import linting
from raysweep.quality.ruff_check import ruff_fingerprint
from raysweep.records import Spec
from raysweep.tools.doctor import checks
from raysweep.tools.doctor.checks import GIB, Check, State
from raysweep.units import count

RAY_TEMP = Path("/tmp")
"""Where a Ray that raysweep starts has its folder (engine/ray/cluster/cluster.py)."""

SOCKET = "session_2026-01-01_00-00-00_000000_1234567/sockets/dash_MetricsHead"
"""The longest path that Ray puts a socket at, below its folder."""


def examine(storage: str | None = None, address: str | None = None) -> Iterator[Check]:
    """Yield the checks of this machine, a store and a Ray, each as soon as it is known; all take some seconds.

    A check that breaks is an error among the others: people run this where something is broken.

    Args:
        storage: the store; None: $RAYSWEEP_STORAGE, else ./raysweep-store.
        address: of a running Ray; None: RAY_ADDRESS, else no Ray is looked for.
    """
    listed: dict[str, Callable[[], Check]] = {
        "versions": lambda: checks.versions(checks.installed(), checks.required()),
        "memory": lambda: checks.memory(machine.memory()),
        "accelerators": lambda: checks.accelerators(machine.accelerators()),
        "isolation": isolation,
        "language": language,
        "Ray": lambda: ray(address or os.environ.get("RAY_ADDRESS") or None),
        "vLLM": vllm,
        "openai": openai,
        "linters": linters,
        "storage": lambda: store(storage),
        "temp folder": lambda: temp_folder(Path(tempfile.gettempdir())),
    }
    for name, check in listed.items():
        yield _done(name, check)


def isolation() -> Check:
    """Run two programs like a model's: one must pass, one must be stopped by its memory limit."""
    from raysweep.execution.pool import Executor
    from raysweep.programs import Level, Limits, Outcome, Program, Sandbox

    wanted = {"assert 1 + 1 == 2": Outcome.PASSED, f"bytearray({GIB})": Outcome.MEMORY}
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:  # without permission: no model wrote these
        verdicts = executor.run([Program(text) for text in wanted], Limits(memory_mib=256))
        level, missing = executor.level(), executor.missing_layers()
    for (text, outcome), verdict in zip(wanted.items(), verdicts, strict=True):
        if verdict.outcome is not outcome:
            found = (
                f"the program `{text}` ended as {verdict.outcome}, not {outcome}: {verdict.detail or 'no reason given'}"
            )
            return Check("isolation", State.ERROR, found, "run no model's programs here, and report this line")
    return checks.isolation(level, missing)


def language() -> Check:
    """Tag a sentence, look up a word, and see which translators are ready; W1 to W3 and S1 to S3 need them."""
    from raysweep.language.synonyms.base import SYNONYMS
    from raysweep.language.tagging.base import TAGGERS
    from raysweep.language.translation.base import TRANSLATORS

    tagger, synonyms = TAGGERS.create(Spec("hanta")), SYNONYMS.create(Spec("wordnet"))
    if tagger.tag(["It", "works"])[1] != "VBZ" or "telephone" not in synonyms.heads("phone", "NOUN"):
        return Check("language", State.ERROR, "words are tagged or looked up wrongly", "install raysweep again")
    here = {**tagger.fingerprint(), **synonyms.fingerprint()}
    found = f"{here['tagger']}, WordNet {here['wordnet']}"
    ready = [name for name in TRANSLATORS.names() if TRANSLATORS.create(Spec(name)).is_ready]
    if ready:
        return Check("language", State.OK, f"{found}; S1 by {', '.join(ready)}")
    advice = "S1 needs it: apt install apertium apertium-eng-spa, or hub models (docs/perturbations.md)"
    return Check("language", State.WARNING, f"{found}; no translator", advice)


def ray(address: str | None) -> Check:
    """Check that a Ray answers at an address and can be joined; without an address raysweep starts its own."""
    if address is None:
        return Check("Ray", State.OK, "no address given: raysweep starts a Ray of its own")
    from raysweep.engine.ray.cluster.probe import probe

    found = probe(address)
    if found.problem:
        return Check("Ray", State.ERROR, found.problem, found.advice)
    has = f"{count(found.nodes, 'node')}, {count(round(found.cpus), 'CPU')}, {count(round(found.gpus), 'GPU')}"
    return Check("Ray", State.OK, f"Ray {found.ray} answers at {found.address}: {has}")


def vllm() -> Check:
    """Look for the environment of the generator vllm, which is needed only where a config names it."""
    from raysweep.generators.environments import environment_of, python_of

    generator = Spec("vllm")
    python = python_of(generator)
    if python is not None and not python.exists():
        return Check("vLLM", State.ABSENT, "no environment for the generator vllm; `make vllm` makes one")
    try:
        there = environment_of(generator)
    except UsageError as error:
        found, _, advice = str(error).rpartition("; ")
        return Check("vLLM", State.WARNING, found, advice)  # other sweeps can run
    if there is None:
        return Check("vLLM", State.OK, "in raysweep's own environment")
    return Check("vLLM", State.OK, ", ".join([str(there.python), *(f"{k} {v}" for k, v in there.versions.items())]))


def openai() -> Check:
    """Look for what models behind a server need. Whether one answers is not tried."""
    from raysweep.generators.openai import HOSTED, KEY_VARIABLE, URL_VARIABLE

    found = machine.versions(["openai"])
    if not found:
        return Check("openai", State.ABSENT, "not installed; served models need it: pip install 'raysweep[openai]'")
    key = "set" if os.environ.get(KEY_VARIABLE) else "not set"
    url = os.environ.get(URL_VARIABLE) or HOSTED
    return Check("openai", State.OK, f"openai {found['openai']}; {KEY_VARIABLE} is {key}; openai:NAME asks {url}")


def linters() -> Check:
    """Look for pylint and ruff, which are needed only where a config asks for code quality."""
    try:
        found = {**linting.fingerprint(), **ruff_fingerprint()}
    except UsageError as error:
        return Check("linters", State.ABSENT, f"not installed; {error}")
    return Check("linters", State.OK, ", ".join(f"{name} {found[name]}" for name in ("pylint", "astroid", "ruff")))


def store(storage: str | None) -> Check:
    """Check that a store can be written, or made, and leave nothing behind."""
    from raysweep.storage.store import open_store

    opened = open_store(storage)
    root = str(opened.root)
    if "://" in root:
        opened.require_writable()
        return Check("storage", State.OK, f"{root}: can be written")
    path = Path(root)
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    opened.files.require_known()
    try:
        tempfile.TemporaryDirectory(prefix=".raysweep-", dir=there).cleanup()
    except OSError as error:
        raise UsageError(f"storage {root!r} can't be made: {error.strerror}; give another with --storage") from None
    return checks.storage(path, machine.disk(there))


def temp_folder(given: Path) -> Check:
    """Check that sockets can be made below /tmp, where Ray makes them, and below TMPDIR, which other libraries use."""
    for folder in dict.fromkeys((given, RAY_TEMP)):
        try:
            with tempfile.TemporaryDirectory(prefix="rs-", dir=folder) as below, socket.socket(socket.AF_UNIX) as made:
                place = Path(below, SOCKET)
                place.parent.mkdir(parents=True)
                made.bind(str(place))
        except OSError as error:
            found = f"no sockets can be made below {folder}: {error.strerror or error}"
            return Check("temp folder", State.ERROR, found, _advice_on(folder))
    return checks.temp_folder(RAY_TEMP, machine.disk(RAY_TEMP))


def _done(name: str, check: Callable[[], Check]) -> Check:
    """Return a check's result, or how it broke, without passwords, which people might paste into a bug report."""
    try:
        done = check()
    except RaysweepError as error:
        found, _, advice = str(error).rpartition("; ")
        done = Check(name, State.ERROR, found or advice, advice if found else "repair the named part")
    except Exception as error:
        found = f"it could not be checked: {type(error).__name__}: {error}"
        done = Check(name, State.ERROR, found, "repair the named part, or report the line")
    return replace(done, found=re.sub(r"://[^/@\s]+@", "://***@", done.found))


def _advice_on(folder: Path) -> str:
    if folder == RAY_TEMP:
        return "it must be writable, and on a local disk"
    return "name a short, writable folder on a local disk: export TMPDIR=/tmp"
