"""Prints what `raysweep init` wrote and the commands that come next, or the configs to start from."""

from __future__ import annotations

from collections.abc import Mapping

from raysweep.cli.views.console import new_console, print_json
from raysweep.config.examples import Example

ALLOW = " --allow-code-execution"
"""An option of `raysweep run` that `raysweep plan` doesn't need."""


def print_examples(known: Mapping[str, Example], as_json: bool) -> None:
    if as_json:
        print_json({name: example.about for name, example in known.items()})
        return
    console, width = new_console(), max(map(len, known))
    for name, example in known.items():
        console.print(f"{name:<{width}}  {example.about}", soft_wrap=True)


def print_written(copy: Example) -> None:
    console = new_console()
    commands = [f"raysweep plan {copy.arguments.replace(ALLOW, '')}", f"raysweep run {copy.arguments}"]
    lines = [f"wrote {copy.file}", "", "Edit it; then, to see what would be done and to do it:"]
    for line in [*lines, *(f"  {command}" for command in commands)]:
        console.print(line, soft_wrap=True)
    console.print("\n`raysweep config` explains every key.", soft_wrap=True)
