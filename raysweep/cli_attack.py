"""The command `raysweep attack`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raysweep.cli_options import Allow, AsJson, Limit, MaxNewTokens, OutFile, Problems, Storage, TrustRemoteCode
from raysweep.execution.permission import require_permission

if TYPE_CHECKING:
    from raysweep.attacking import AttackJob


def attack(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or: reference, fake")],
    problems: Problems,
    budget: Annotated[int, typer.Option("--budget", min=1, help="Prompts a problem that the model may be asked")] = 50,
    methods: Annotated[str, typer.Option("--methods", "-m", help="Perturbations to search among")] = "C1,C2,C3",
    search: Annotated[str, typer.Option("--search", metavar="greedy|beam|random", help="How")] = "greedy",
    max_changed: Annotated[float, typer.Option("--max-changed", help="Share of the words, at least one word")] = 0.1,
    max_characters: Annotated[
        float | None, typer.Option("--max-characters", help="Share of the characters, at least one; default: any")
    ] = None,
    prompt_format: Annotated[
        str, typer.Option("--prompt-format", metavar="raw|instruct", help="The prompt, or the instruction template")
    ] = "raw",
    template: Annotated[
        str, typer.Option("--template", metavar="instruct|raw", help="raw: prompts are not stripped, as for MiniCode")
    ] = "instruct",
    max_new_tokens: MaxNewTokens = 256,
    seed: Annotated[int, typer.Option("--seed", help="Of all draws")] = 42,
    limit: Limit = None,
    storage: Storage = None,
    trust_remote_code: TrustRemoteCode = False,
    allow_code_execution: Allow = False,
    as_json: AsJson = False,
    out: OutFile = None,
) -> None:
    """Search for small changes under which a model fails, against random ones; the same command resumes."""
    from raysweep.attacking import AttackJob
    from raysweep.perturbations.queries import Reach
    from raysweep.records import Spec
    from raysweep.tools import problem_set_of

    problem_set, _ = problem_set_of(problems, seed, judged=True)
    job = AttackJob(
        model=model,
        problem_set=problem_set,
        methods=tuple(Spec(name.strip()) for name in methods.split(",") if name.strip()),
        reach=Reach(budget, max_changed, max_characters),
        search=search,
        prompt_format=prompt_format,
        template=template,
        max_new_tokens=max_new_tokens,
        limit=limit,
        seed=seed,
        trust_remote_code=trust_remote_code,
    )
    require_permission(allow_code_execution)
    _run(job, storage, as_json, out)


def _run(job: AttackJob, storage: str | None, as_json: bool, out: Path | None) -> None:
    from raysweep.attack_view import print_attack, write_findings
    from raysweep.attacking import run_attack
    from raysweep.sweep import open_store
    from raysweep.terminal import console
    from raysweep.watching import counting

    with counting(console(stderr=True), "attacking", len(job.problems)) as tell:
        rows = run_attack(job, open_store(storage), tell)
    if out is not None:
        write_findings(job, rows, out)
    print_attack(job, rows, as_json)
