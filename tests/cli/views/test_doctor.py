"""What `raysweep doctor` prints, given checks."""

from __future__ import annotations

import io
import json
import sys

from raysweep.cli.views.doctor import print_checks
from raysweep.tools.doctor.check import Check, State

FINE = Check("memory", State.OK, "8")
DOUBTFUL = Check("temp folder", State.WARNING, "1,024", "raise [it]")
WRONG = Check("Ray", State.ERROR, "no Ray answers", "start it")


def test_a_line_a_check_with_the_way_out_and_last_whether_sweeps_can_run(capsys, snapshot):
    assert print_checks([FINE, DOUBTFUL, WRONG], as_json=False) is State.ERROR
    head, _, lines = capsys.readouterr().out.partition("\n")
    assert head.startswith("raysweep ") and lines == snapshot


def test_long_findings_are_wrapped_beside_their_name(capsys, monkeypatch):
    for name, value in {"COLUMNS": "60", "FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    print_checks([Check("storage", State.OK, "word " * 20)], as_json=False)
    _, first, *more, _ = capsys.readouterr().out.splitlines()
    assert len(more) > 1 and first.startswith("✓ storage      word")
    assert all(line.startswith(" " * 15 + "word") and len(line) <= 60 and line == line.rstrip() for line in more)


def test_checks_are_printed_as_they_come(capsys):
    printed = []

    def checks():
        yield FINE
        printed.append(capsys.readouterr().out)
        yield WRONG

    print_checks(checks(), as_json=False)
    assert "memory" in printed[0]


def test_json_holds_every_field_and_the_worst_state(capsys):
    assert print_checks([FINE, DOUBTFUL], as_json=True) is State.WARNING
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == "warning"
    assert found["checks"][1] == {"name": "temp folder", "state": "warning", "found": "1,024", "advice": "raise [it]"}


def test_a_terminal_without_unicode_gets_ascii_marks(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    print_checks([FINE, WRONG], as_json=False)
    assert b"+ memory" in raw.getvalue() and b"-> start it" in raw.getvalue()
