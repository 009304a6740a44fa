"""Checks parts that some sweeps need: language, a Ray, vLLM, served models, compilers, environments, pylint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from raysweep import machine
from raysweep.errors import UsageError, install_extra
from raysweep.execution.compiled.java.junit import missing_jars
from raysweep.execution.compiled.toolchains import missing_headers, toolchain
from raysweep.programs import COMPILED, DEFAULT_SANDBOX
from raysweep.quality.linting import fingerprint
from raysweep.records import Spec
from raysweep.tools.doctor.check import Check, State
from raysweep.units import size

if TYPE_CHECKING:
    from raysweep.config.fields import ProblemsConfig
    from raysweep.config.schema import SweepConfig


def language() -> Check:
    """Tag a sentence, look up a word, and see which translators are ready; W1 to W3 and S1 to S3 need them."""
    from raysweep.language.synonyms.base import SYNONYMS
    from raysweep.language.tagging.base import TAGGERS
    from raysweep.language.translation.base import TRANSLATORS

    tagger, synonyms = TAGGERS.create(Spec("hanta")), SYNONYMS.create(Spec("wordnet"))
    if tagger.tag(["It", "works"])[1] != "VBZ" or "telephone" not in synonyms.heads("phone", "NOUN"):
        return Check("language", State.ERROR, "words are tagged or looked up wrongly", "install raysweep again")
    here = {**tagger.fingerprint(), **synonyms.fingerprint()}
    resources = f"{here['tagger']}, WordNet {here['wordnet']}"
    ready = [name for name in TRANSLATORS.names() if TRANSLATORS.create(Spec(name)).is_ready]
    found = f"{resources}; translators for S1: {', '.join(ready) or 'none'}"
    if ready:
        return Check("language", State.OK, found)
    advice = "apt install apertium apertium-eng-spa, or hub models (docs/perturbations.md)"
    return Check("language", State.WARNING, found, advice)


def ray(address: str | None, storage: str | None) -> Check:
    """Check that a Ray answers at an address, and that its nodes have the versions of this process and reach the store.

    A store that is named (also by $RAYSWEEP_STORAGE) is made if it isn't there. Without an address raysweep starts a
    Ray of its own.
    """
    if address is None:
        return Check("Ray", State.OK, "no address given: raysweep starts a Ray of its own")
    from raysweep.config.schema import RayConfig
    from raysweep.engine.ray.cluster.cluster import Cluster
    from raysweep.engine.ray.cluster.node_versions import require_equal_versions
    from raysweep.engine.ray.cluster.nodes import nodes_by_id
    from raysweep.engine.ray.cluster.probe import probe
    from raysweep.engine.ray.cluster.shared_store import require_shared_store
    from raysweep.storage.store import open_store

    answer = probe(address)
    if answer.problem:
        return Check("Ray", State.ERROR, answer.problem, answer.advice)
    has = f"{answer.nodes} nodes, {answer.cpus:g} CPUs, {answer.gpus:g} GPUs"
    named = storage or os.environ.get("RAYSWEEP_STORAGE")
    store = open_store(named)
    if named:
        store.require_writable()
    cluster = Cluster(RayConfig(), address)
    cluster.start()
    try:
        nodes = nodes_by_id()
        require_equal_versions(nodes, allow_mixed=False)
        if named:
            require_shared_store(nodes, store.files, allow_mixed=False)
    finally:
        cluster.stop()
    alike = f"all with the versions of this machine; store that all reach (--storage): {named or 'not asked'}"
    return Check("Ray", State.OK, f"Ray {answer.ray} answers at {answer.address}: {has}; {alike}")


def vllm() -> Check:
    """Look for the environment of the generator vllm, which is needed only where a config names it."""
    from raysweep.generators.environments import environment_of, python_of

    generator = Spec("vllm")
    python = python_of(generator)
    if python is not None and not python.exists():
        return Check("vLLM", State.ABSENT, "no environment for the generator vllm; `make vllm` in a checkout makes one")
    try:
        there = environment_of(generator)
    except UsageError as error:
        state, _, advice = str(error).rpartition("; ")
        return Check("vLLM", State.WARNING, state, advice)  # other sweeps can run
    if there is None:
        return Check("vLLM", State.OK, "in raysweep's own environment")
    return Check("vLLM", State.OK, ", ".join([str(there.python), *(f"{k} {v}" for k, v in there.versions.items())]))


def openai() -> Check:
    """Look for what models behind a server need. Whether one answers is not tried."""
    from raysweep.generators.openai import HOSTED, KEY_VARIABLE, URL_VARIABLE

    installed = machine.versions(["openai"])
    if not installed:
        return Check("openai", State.ABSENT, f"not installed; served models need it: {install_extra('openai')}")
    key = "set" if os.environ.get(KEY_VARIABLE) else "not set"
    url = os.environ.get(URL_VARIABLE) or HOSTED
    return Check("openai", State.OK, f"openai {installed['openai']}; {KEY_VARIABLE} is {key}; openai:NAME asks {url}")


def quantizer() -> Check:
    """See whether bases can be held in 4 and 8 bits here, by quantizing some numbers."""
    from raysweep.models.quantizing import FORMATS, QUANTIZERS, missing_quantizer

    installed = machine.versions(QUANTIZERS)
    if not installed:
        way = install_extra("quantize")
        return Check("bitsandbytes", State.ABSENT, f"not installed; `quantize` of models needs it: {way}")
    on_gpu = bool(machine.gpus())
    lacks = [why for name in FORMATS if (why := missing_quantizer(name, on_gpu))]
    if lacks:
        found, _, advice = lacks[0].rpartition("; ")
        return Check("bitsandbytes", State.WARNING, found, advice)
    where = "the GPU" if on_gpu else "the CPU"
    return Check("bitsandbytes", State.OK, f"{installed['bitsandbytes']}, quantizes on {where} ({', '.join(FORMATS)})")


def compilers() -> Check:
    """Look for compilers, run times and headers, which are needed only to judge programs in Java and C++."""
    found, lacks = [], []
    for language in COMPILED:
        try:
            found.append(toolchain(language, DEFAULT_SANDBOX.cpp_flags).identity.partition(",")[0])
        except UsageError as error:
            lacks.append(str(error))
    if any(name.startswith("JDK") for name in found):
        lacks += [f"no {name}, which repair problems in Java need: install {p}" for name, p in missing_jars().items()]
    headers = missing_headers() if any(name.startswith("g++") for name in found) else {}
    lacks += [f"no {name}, which some problems in C++ include: install {package}" for name, package in headers.items()]
    kept = machine.cache_folder() / "headers"
    if used := sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()):
        found.append(f"{size(used)} of precompiled headers in {kept}, which may be removed")
    return Check("compilers", State.ABSENT if lacks else State.OK, "; ".join([*found, *lacks]))


def environment(config: SweepConfig, problems: ProblemsConfig) -> Check:
    """Ask the environment of a config's problem set for the modules that its problems import."""
    from raysweep.problems.packages import environment_facts

    limit = config.evaluation.limit
    facts = environment_facts(problems.label, config.problem_set(problems), config.execution.sandbox, limit)
    found = f"{facts.problem_set}: {facts.words}"
    if facts.lacking:
        return Check("environment", State.WARNING, found, f"{facts.advice}, or go on without these problems")
    return Check("environment", State.OK, found)


def pylint() -> Check:
    """Look for pylint, which is needed only where a config asks for code quality."""
    try:
        found = fingerprint()
    except UsageError as error:
        return Check("pylint", State.ABSENT, f"not installed; {error}")
    return Check("pylint", State.OK, f"pylint {found['pylint']}, astroid {found['astroid']}")
