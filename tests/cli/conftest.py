"""Runs a command in this process, in a folder of its own."""

from __future__ import annotations

import pytest

from raysweep.cli.app import main


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run a command in this process; return (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYSWEEP_STORAGE", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out, out.err

    return run
