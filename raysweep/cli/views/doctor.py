"""Prints the checks of `raysweep doctor`: a line each, with a mark and below it the way out; or JSON."""

from __future__ import annotations

import dataclasses
import platform
import socket
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from raysweep.cli.views.console import new_console, print_json
from raysweep.machine import VERSION
from raysweep.tools.doctor.check import Check, State, worst_state

NAME_WIDTH = 12
MARKS = {
    State.ABSENT: ("–", "-", "dim"),
    State.OK: ("✓", "+", "green"),
    State.WARNING: ("!", "!", "yellow"),
    State.ERROR: ("✗", "x", "red"),
}
"""Mark, mark in ASCII, style."""


def print_checks(checks: Iterable[Check], as_json: bool) -> State:
    """Print each check as soon as it is known; return the worst state."""
    if as_json:
        results = list(checks)
        worst = worst_state(results)
        rows = [dataclasses.asdict(check) for check in results]
        print_json({"raysweep": VERSION, "host": socket.gethostname(), "state": worst, "checks": rows})
        return worst
    console = new_console()
    console.print(f"raysweep {VERSION} on {socket.gethostname()} ({platform.system()} {platform.machine()})")
    results = []
    for check in checks:
        results.append(check)
        console.print(_line(check, console), soft_wrap=True)
    worst = worst_state(results)
    console.print(Text(_summary(results), style=MARKS[worst][2]))
    return worst


def _line(check: Check, console: Console) -> Text:
    mark, plain, style = MARKS[check.state]
    unicode = console.encoding.startswith("utf")
    text = Text(check.found)
    if check.advice:
        text.append(f"\n{'→' if unicode else '->'} {check.advice}", style=style)
    start = Text.assemble((mark if unicode else plain, style), f" {check.name:<{NAME_WIDTH}} ")
    lines = text.wrap(console, max(20, console.width - len(start)), overflow="fold")
    for line in lines:
        line.rstrip()
    return start + Text("\n" + " " * len(start)).join(lines)


def _summary(checks: list[Check]) -> str:
    states = [check.state for check in checks]
    errors, warnings = states.count(State.ERROR), states.count(State.WARNING)
    begin = "not everything works here" if errors else "sweeps can run here"
    return f"{begin}; errors: {errors}, warnings: {warnings}"
