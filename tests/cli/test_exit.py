"""How commands end when they are stopped at awkward moments."""

import subprocess
import sys

import pytest

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
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (143, "tidied up\n")


@pytest.mark.parametrize("place", STOPPED_IN)
@pytest.mark.parametrize(("number", "code"), [("signal.SIGINT", 130), ("signal.SIGTERM", 143)])
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
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("stopped")) == (code, "", 1)
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr
