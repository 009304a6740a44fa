"""Consoles."""

from __future__ import annotations

from raysweep.cli.views.console import new_console


def test_consoles_print_what_they_are_given(capsys):
    new_console().print("st[/x]y :warning: [red]1[/red]")
    assert capsys.readouterr().out == "st[/x]y :warning: [red]1[/red]\n"
