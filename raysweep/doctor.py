"""What this machine can do: one check a subject, with what was found and, where something is wrong, the way out.

`examine` is the list. `doctor_checks` judges what can be measured; what has to be tried is here: running programs,
asking a Ray, writing to a store, making sockets. Not covered: whether a model hub can be reached; how fast anything is.
"""

from __future__ import annotations

import os
import re
import resource
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from raysweep import doctor_checks as checks
from raysweep import machine
from raysweep.doctor_checks import GIB, Check, State
from raysweep.errors import RaysweepError, UsageError
from raysweep.records import Spec
from raysweep.terminal import count

RAY_TEMP = Path("/tmp")
"""Where a Ray that raysweep starts has its folder (engine/cluster.py)."""

SOCKET = "session_2026-01-01_00-00-00_000000_1234567/sockets/dash_MetricsHead"
"""The longest path that Ray puts a socket at, below its folder."""


def examine(storage: str | None = None, address: str | None = None) -> Iterator[Check]:
    """Yield the checks of this machine, a store and a Ray, each as soon as it is known; all take some seconds.

    One that breaks is an error among the others: this is what people run where something is broken.

    Args:
        storage: the store; None: $RAYSWEEP_STORAGE, else ./raysweep-store.
        address: of a running Ray; None: RAY_ADDRESS, else none is asked.
    """
    listed: dict[str, Callable[[], Check]] = {
        "versions": lambda: checks.versions(checks.installed(), checks.required()),
        "cores": lambda: checks.cores(machine.cores()),
        "memory": lambda: checks.memory(machine.memory()),
        "shared memory": shared_memory,
        "accelerators": lambda: checks.accelerators(machine.accelerators()),
        "isolation": isolation,
        "language": language,
        "Ray": lambda: ray(address or os.environ.get("RAY_ADDRESS") or None),
        "storage": lambda: store(storage),
        "temp folder": lambda: temp_folder(Path(tempfile.gettempdir())),
        "open files": lambda: checks.open_files(*resource.getrlimit(resource.RLIMIT_NOFILE)),
        "model hub": lambda: checks.model_hub(os.environ.get("HF_HUB_OFFLINE", "")),
    }
    for name, check in listed.items():
        yield _done(name, check)


def shared_memory(folder: Path = Path("/dev/shm")) -> Check:
    """Look at the room for Ray's object store."""
    return checks.shared_memory(folder, machine.disk(folder).free if folder.is_dir() else None)


def isolation() -> Check:
    """Run two programs as a model's are run: one must pass, one must be stopped by its memory limit."""
    from raysweep.execution.pool import Executor
    from raysweep.programs import Level, Limits, Outcome, Program, Sandbox

    wanted = {"assert 1 + 1 == 2": Outcome.PASSED, f"bytearray({GIB})": Outcome.MEMORY}
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:  # without permission: no model wrote these
        verdicts = executor.run([Program(text) for text in wanted], Limits(memory_mib=256))
        level, missing = executor.level(), executor.layers()
    for (text, outcome), verdict in zip(wanted.items(), verdicts, strict=True):
        if verdict.outcome is not outcome:
            found = (
                f"the program `{text}` ended as {verdict.outcome}, not {outcome}: {verdict.detail or 'no reason given'}"
            )
            return Check("isolation", State.ERROR, found, "run no model's programs here, and report this line")
    return checks.isolation(level, missing)


def language() -> Check:
    """Tag a sentence, look a word up, and see which translators are ready: what W1 to W3 and S1 to S3 rest on."""
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
    """Ask whether a Ray answers at an address, and one that can be joined; None: there is nothing to ask."""
    if address is None:
        return Check("Ray", State.OK, "no address given: raysweep starts a Ray of its own")
    from raysweep.engine.reach import reach

    found = reach(address)
    if found.problem:
        return Check("Ray", State.ERROR, found.problem, found.advice)
    has = f"{count(found.nodes, 'node')}, {count(round(found.cpus), 'CPU')}, {count(round(found.gpus), 'GPU')}"
    return Check("Ray", State.OK, f"Ray {found.ray} answers at {found.address}: {has}")


def store(storage: str | None) -> Check:
    """Write where a store is or would be, and leave nothing behind."""
    from raysweep.sweep import open_store

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
    """Make sockets where Ray makes them: below /tmp, and below TMPDIR, which other libraries use."""
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
    """Return a check or how it broke, without what people must not paste into a bug report."""
    try:
        done = check()
    except RaysweepError as error:
        found, _, advice = str(error).rpartition("; ")
        done = Check(name, State.ERROR, found or advice, advice if found else "mend what this names")
    except Exception as error:
        found = f"it could not be checked: {type(error).__name__}: {error}"
        done = Check(name, State.ERROR, found, "mend what this names, or report the line")
    return replace(done, found=re.sub(r"://[^/@\s]+@", "://***@", done.found))


def _advice_on(folder: Path) -> str:
    if folder == RAY_TEMP:
        return "it must be writable, and on a local disk"
    return "name a short, writable folder on a local disk: export TMPDIR=/tmp"
