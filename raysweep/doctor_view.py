"""What `raysweep doctor` prints: a line a check with a mark, below it the way out; or JSON."""

from __future__ import annotations

import dataclasses
import platform
import socket
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from raysweep import __version__, terminal
from raysweep.doctor_checks import Check, State
from raysweep.show import print_json
from raysweep.terminal import count

NAME_WIDTH = 13
MARKS = {State.OK: ("✓", "+", "green"), State.WARNING: ("!", "!", "yellow"), State.ERROR: ("✗", "x", "red")}
"""Mark, mark where the terminal knows ASCII only, style."""


def print_checks(checks: Iterable[Check], as_json: bool) -> State:
    """Print checks as they come; return the worst state among them."""
    if as_json:
        found = list(checks)
        worst = _worst(found)
        rows = [dataclasses.asdict(check) for check in found]
        print_json({"raysweep": __version__, "host": socket.gethostname(), "state": worst, "checks": rows})
        return worst
    console = terminal.console()
    console.print(f"raysweep {__version__} on {socket.gethostname()} ({platform.system()} {platform.machine()})")
    found = []
    for check in checks:
        found.append(check)
        console.print(_line(check, console), soft_wrap=True)
    worst = _worst(found)
    console.print(Text(_summary(found), style=MARKS[worst][2]))
    return worst


def _line(check: Check, console: Console) -> Text:
    """Return a check as text, wrapped beside its name, without blanks at the ends of lines."""
    mark, plain, style = MARKS[check.state]
    unicode = console.encoding.startswith("utf")
    told = Text(check.found)
    if check.advice:
        told.append(f"\n{'→' if unicode else '->'} {check.advice}", style=style)
    start = Text.assemble((mark if unicode else plain, style), f" {check.name:<{NAME_WIDTH}} ")
    lines = told.wrap(console, max(20, console.width - len(start)), overflow="fold")
    for line in lines:
        line.rstrip()
    return start + Text("\n" + " " * len(start)).join(lines)


def _summary(checks: list[Check]) -> str:
    states = [check.state for check in checks]
    errors, warnings = states.count(State.ERROR), states.count(State.WARNING)
    told = [count(number, what) for number, what in ((errors, "error"), (warnings, "warning")) if number]
    if errors:
        return f"not everything works here: {', '.join(told)}"
    return "sweeps can run here" + (f": {told[0]}" if told else "")


def _worst(checks: Iterable[Check]) -> State:
    return max((check.state for check in checks), key=list(State).index, default=State.OK)
