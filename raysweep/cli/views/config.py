"""Prints the reference of config keys (an overview, the keys below one, docs/config.md), and configs to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from raysweep.cli.views.console import new_console, print_json
from raysweep.config.examples import Example
from raysweep.config.reference import Key, all_keys, find_keys
from raysweep.units import count

PAGE = """\
# Config keys

Every key of a sweep's YAML file. `raysweep config KEY` prints the same on a terminal, and `--set KEY=VALUE` overrides a
key on the command line. `models[]` is each entry of the list `models` (`models.0` in `--set`), and `NAME` is a name of
your choice. `raysweep list` prints the names of perturbations, trainers, problem sets and everything else that can be
registered. This page is generated: `raysweep config --markdown > docs/config.md`.
"""
ALLOW = " --allow-code-execution"
"""An option of `raysweep run` that `raysweep plan` doesn't need."""


def print_keys(text: str | None, as_json: bool) -> None:
    """Print the keys below one; without one, an overview of the first level. JSON holds all of them."""
    keys = list(all_keys()) if text is None else find_keys(text)
    if as_json:
        print_json([_facts(key) for key in keys])
        return
    console = new_console()
    if text is None:
        _print_overview(keys, console)
        return
    for key in keys:
        default = key.default_text
        shown = "" if not default else f"; {default}" if key.is_required else f"; default {default}"
        unit = f" ({key.unit})" if key.unit else ""
        console.print(Text.assemble((key.path, "bold"), f": {key.type.replace('`', '')}{unit}{shown}"), soft_wrap=True)
        console.print(f"    {key.meaning}", soft_wrap=True)
    if any("[]" in key.path for key in keys):
        console.print("\n`[]` is the number of an entry in --set, from 0: models.0.path=...", soft_wrap=True)


def as_markdown(keys: Sequence[Key]) -> str:
    sections: dict[str, list[Key]] = {}
    for key in keys:
        sections.setdefault(key.path.rpartition(".")[0], []).append(key)
    names = {f"{key.path}{'.' * (key.entries == 'NAME')}{key.entries}": key for key in keys if key.is_section}
    parts = [PAGE]
    for section, rows in sections.items():
        parts += [f"\n## {section or 'The first level'}\n"]
        parts += [f"\n{names[section].meaning}\n"] if section else []
        parts += ["\n| key | type | default | unit | meaning |\n|---|---|---|---|---|\n"]
        cells = ([cell.replace("|", "\\|") for cell in _row(key)] for key in rows)
        parts += [f"| {' | '.join(row)} |\n" for row in cells]
    return "".join(parts)


def _row(key: Key) -> tuple[str, ...]:
    default = key.default_text
    shown = default if key.is_required or key.default_words or not default else f"`{default}`"
    return f"`{key.path}`", key.type, shown, key.unit, key.meaning


def _facts(key: Key) -> dict[str, object]:
    has_default = not (key.is_required or key.default_words or (key.is_section and not key.default_text))
    default = {"default": key.default} if has_default else {}
    facts = {"key": key.path, "type": key.type, "required": key.is_required, **default}
    return {**facts, "unit": key.unit, "meaning": key.meaning}


def _print_overview(keys: Sequence[Key], console: Console) -> None:
    first = [key for key in keys if "." not in key.path]
    width = max(len(key.path) for key in first)
    for key in first:
        below = sum(other.path.startswith((f"{key.path}.", f"{key.path}[")) for other in keys)
        more = f" ({count(below, 'key')} below)" if below else ""
        console.print(
            Text.assemble((f"{key.path:<{width}}", "bold"), f"  {key.meaning}", (more, "dim")), soft_wrap=True
        )
    console.print("\n`raysweep config KEY` prints the keys below one, with type, default and unit.", soft_wrap=True)


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
