"""How commands end when they are stopped at awkward moments."""

import logging
import os
import subprocess
import sys
import warnings

import pytest
import typer

from raysweep.cli import exit as exit_module
from raysweep.errors import StoreError, UsageError
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

STOPPED_IN = {
    "a finaliser": "class Late:\n    def __del__(self): signal.raise_signal(number)\nLate()",
    "a weak reference's callback": (
        "class Late: pass\nlate = Late()\nkept = weakref.ref(late, lambda gone: signal.raise_signal(number))\ndel late"
    ),
    "code that catches everything": "try:\n    signal.raise_signal(number)\nexcept BaseException:\n    pass",
}


def test_a_stop_that_takes_its_time_is_not_disturbed():
    text = (
        "import signal, sys, time, typer\n"
        "from raysweep.cli.exit import run_to_exit_code\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def work():\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    finally:\n"
        "        for _ in range(30):\n"
        "            try:\n"
        "                open('/nowhere/at/all')\n"
        "            except OSError:\n"
        "                time.sleep(0.1)\n"
        "        print('tidied up')\n"
        "sys.exit(run_to_exit_code(app, []))\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (143, "tidied up\n")


@pytest.mark.parametrize(
    ("place", "number", "code"),
    [*((place, "signal.SIGINT", 130) for place in STOPPED_IN), ("a finaliser", "signal.SIGTERM", 143)],
)
def test_a_signal_that_comes_where_exceptions_are_passed_over_stops_the_command_all_the_same(place, number, code):
    text = (
        "import signal, sys, time, typer, weakref\n"
        "from raysweep.cli.exit import run_to_exit_code\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def work():\n"
        f"    number = {number}\n"
        + "".join(f"    {line}\n" for line in STOPPED_IN[place].splitlines())
        + "    time.sleep(20)\n"
        "    print('went on')\n"
        "sys.exit(run_to_exit_code(app, []))\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr.count("stopped")) == (code, "", 1)
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr


def test_the_command_that_resumes_has_the_settings_of_the_environment_but_no_password():
    text = (
        "import signal, sys, time, typer\n"
        "from raysweep.cli.exit import invocation, run_to_exit_code\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def evaluate():\n"
        "    invocation.command = 'evaluate'\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "sys.exit(run_to_exit_code(app, []))\n"
    )

    def resumes_with(**variables: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "RAYSWEEP_STORAGE"} | variables
        done = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, timeout=PATIENCE, env=environment
        )
        assert done.returncode == 130
        return done.stderr.splitlines()[-1].strip()

    assert resumes_with(OPENAI_BASE_URL="http://a/v1") == "OPENAI_BASE_URL=http://a/v1 raysweep"
    assert resumes_with(RAYSWEEP_STORAGE="my store") == "RAYSWEEP_STORAGE='my store' raysweep"
    assert resumes_with(OPENAI_BASE_URL="http://me:secret@a/v1") == "raysweep"


def test_an_error_ends_with_its_own_code_and_an_unforeseen_one_with_1_and_its_kind(capsys, monkeypatch):
    monkeypatch.setattr(exit_module.invocation, "debug", False)
    app, errors = typer.Typer(), [UsageError("seeed"), StoreError("\x1blost"), KeyError("gone")]

    @app.command()
    def work() -> None:
        raise errors.pop(0)

    assert [exit_module.run_to_exit_code(app, []) for _ in range(3)] == [2, 1, 1]
    hint = "(--debug before the command shows where)"
    assert capsys.readouterr().err.splitlines() == [
        "error: seeed",
        r"error: \x1blost",
        f"error: KeyError: 'gone' {hint}",
    ]


def test_warnings_of_other_libraries_stay_off_the_terminal_but_with_debug(monkeypatch):
    for name in ("TRANSFORMERS_VERBOSITY", "DATASETS_VERBOSITY", "HF_HUB_VERBOSITY"):
        monkeypatch.setenv(name, "error")
    for debug in (False, True):
        monkeypatch.setattr(exit_module.invocation, "debug", debug)
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter("always")
            with exit_module.without_library_warnings():
                for kind in (UserWarning, DeprecationWarning, FutureWarning):
                    warnings.warn("of a library", kind, stacklevel=1)
        assert len(shown) == 3 * debug


def test_a_warning_on_stderr_begins_with_its_level_and_a_message_does_not(capsys):
    exit_module.log_to_stderr(logging.INFO)
    logging.getLogger("raysweep").warning("%s is doubtful", "it")
    logging.getLogger("raysweep").info("done")
    assert capsys.readouterr().err == "warning: it is doubtful\ndone\n"


@pytest.mark.parametrize(
    ("started_as", "path", "named"),
    [("{}/raysweep", "", "{}/raysweep"), ("{}/raysweep", "{}", "raysweep"), ("pytest", "", "raysweep")],
)
def test_the_command_that_resumes_has_its_folder_where_a_shell_does_not_find_it(
    started_as, path, named, tmp_path, monkeypatch
):
    (tmp_path / "raysweep").touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [started_as.format(tmp_path)])
    monkeypatch.setenv("PATH", path.format(tmp_path))
    assert exit_module._program() == named.format(tmp_path)
