"""Consoles."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raysweep.cli.views import console as module
from raysweep.cli.views.console import new_console, print_json


def test_consoles_print_what_they_are_given(capsys):
    new_console().print("st[/x]y :warning: [red]1[/red]")
    assert capsys.readouterr().out == "st[/x]y :warning: [red]1[/red]\n"


def test_a_terminal_obeys_styles_and_nothing_that_a_text_says(capsys, monkeypatch):
    hostile = "\x1b]0;title\x07\x9b2J\u202e\ud800"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Console, "is_terminal", True)
    console = module.new_console()
    table = Table("a", box=None)
    table.add_row(hostile)
    console.print(hostile, style="red")
    console.print(Text(hostile, style="red"))
    console.print(table)
    printed = capsys.readouterr().out
    assert printed.count(r"\x1b]0;title") == 3 and printed.count(r"\x9b2J\u202e\ud800") == 3
    assert not set("\x07\x9b\u202e\ud800") & set(printed) and "\x1b]" not in printed
    assert "\x1b[31m" in printed
    print_json({hostile: hostile, "rate": float("nan"), "all": [float("inf"), 0.5]})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {hostile: hostile, "rate": None, "all": [None, 0.5]}
    assert not set("\x07\x1b\x9b\u202e\ud800") & set(printed)
