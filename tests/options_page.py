"""Writes docs/command-options.md, the arguments and options of each command, from the functions of the command line.

``python -m tests.options_page`` writes it anew after an option was added or described in other words.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from typer.models import ArgumentInfo, CommandInfo

from raysweep.cli.app import app
from tests.paths import REPO

PAGE = REPO / "docs" / "command-options.md"
HEAD = """# Options of commands

What `raysweep COMMAND --help` shows; [commands](commands.md) says what the commands are for, how they end, and what
happens when something fails. `python -m tests.options_page` writes this page.
"""


def written() -> str:
    """Return the page: a section for each command, in the order of `raysweep --help`."""
    return HEAD + "".join(section(command) for command in app.registered_commands if not command.hidden)


def section(command: CommandInfo) -> str:
    """Return what a command does, how it is called, and a table of its arguments and options."""
    assert command.callback
    name = command.name or command.callback.__name__
    parts = parameters(command.callback)
    arguments = [shown(argument, info) for argument, info in parts if isinstance(info, ArgumentInfo)]
    rows = [
        f"| {cell(shown(argument, info))} | {default(argument)} | {cell(info.help)} |\n" for argument, info in parts
    ]
    usage = " ".join(["raysweep", name, *arguments, "[OPTIONS]"])
    about = " ".join((inspect.getdoc(command.callback) or "").split())
    table = "".join(["| argument or option | default | meaning |\n|---|---|---|\n", *rows])
    return f"\n## {name}\n\n{about}\n\n```bash\n{usage}\n```\n\n{table}"


def parameters(function: Callable[..., Any]) -> list[tuple[inspect.Parameter, Any]]:
    """Return a command's parameters, each with what typer knows of it."""
    hints = typing.get_type_hints(function, include_extras=True)
    annotated = [(part, hints[part.name]) for part in inspect.signature(function).parameters.values()]
    found = [(part, next(iter(getattr(hint, "__metadata__", ())), None)) for part, hint in annotated]
    return [(part, info) for part, info in found if info is not None and not info.hidden]


def shown(part: inspect.Parameter, info: Any) -> str:
    """Return an argument's name in usage lines, or an option's names with the name of its value.

    The first name that `typer.Option` was given stands in its `default`.
    """
    if isinstance(info, ArgumentInfo):
        return info.metavar or part.name.upper()
    is_flag = isinstance(part.default, bool)
    value = "" if is_flag else f" {info.metavar or part.name.upper()}"
    names = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str)]
    return ", ".join(names or [f"--{part.name.replace('_', '-')}"]) + value


def default(part: inspect.Parameter) -> str:
    """Return a parameter's default for the table; empty for flags and for what needs none."""
    value = part.default
    if value is inspect.Parameter.empty:
        return "to be given"
    return "" if value is None or isinstance(value, bool) or value == [] or value == "" else f"`{value}`"


def cell(text: str | None) -> str:
    """Return a text for a cell of a table."""
    escaped = (text or "").replace("|", "\\|")
    return f"`{escaped}`" if escaped.startswith("-") else escaped


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
