"""Runs tests with the mark `apart` in mount and process namespaces of their own, file by file.

They run hostile programs at levels of isolation at which these could write to /tmp and send signals to the processes of
whoever runs the tests. An inner pytest runs a file's marked tests; this one reports what it says of each.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import pytest

from tests.paths import REPO

REPORTS = "RAYSWEEP_TESTS_APART"
"""The environment variable of an inner pytest: the descriptor to which it writes its reports."""
OWN_MACHINE = "CI" in os.environ
"""Whether this is a machine of CI's, on which nothing is that a hostile program could harm."""
_UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", *(["--map-root-user"] if os.geteuid() else [])]
_WITH_OWN_FOLDERS = """
set -e
mount -t tmpfs none /mnt
for folder in /tmp /var/tmp /dev/shm; do
    mkdir -p -m 1777 "/mnt$folder"
    case "$REPO" in "$folder"/*) mkdir -p "/mnt$REPO" && mount --rbind "$REPO" "/mnt$REPO" ;; esac
    mount --rbind "/mnt$folder" "$folder"
done
mkdir /tmp/home
"$@"
"""
"""Puts empty folders before those in which everybody may write, with the repository in them if it lies there."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Report a marked test instead of running it here."""
    if not item.get_closest_marker("apart") or REPORTS in os.environ or (refusal() and OWN_MACHINE):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports_of(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.session._setupstate.teardown_exact(nextitem)  # of what tests before have set up, the next one needs the rest
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Write each report as a line of JSON, if this is an inner pytest."""
    report = yield
    if REPORTS in os.environ:
        data = item.config.hook.pytest_report_to_serializable(config=item.config, report=report)
        os.write(int(os.environ[REPORTS]), f"{json.dumps(data, default=str)}\n".encode())
    return report


def _reports_of(item: pytest.Item) -> list[pytest.TestReport]:
    if refusal():
        reason = f"hostile programs need namespaces of their own, and this machine has none: {refusal()}"
        return [_report(item, "skipped", (str(item.path), 0, f"Skipped: {reason}"))]
    marked = (one for one in item.session.items if one.path == item.path and one.get_closest_marker("apart"))
    found, said = run_apart(tuple(one.nodeid for one in marked))
    load = item.config.hook.pytest_report_from_serializable
    own = [load(config=item.config, data=data) for data in found if data["nodeid"] == item.nodeid]
    return own or [_report(item, "failed", f"the inner pytest didn't run it:\n{said}")]


def _report(item: pytest.Item, outcome: Any, why: Any) -> pytest.TestReport:
    return pytest.TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), outcome, why, "setup")


@functools.lru_cache(maxsize=1)
def run_apart(tests: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """Run tests by an inner pytest; return its reports as mappings, and the end of its output."""
    with tempfile.TemporaryFile() as reports:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests]
        environment = {REPORTS: str(reports.fileno()), "PYTHONPATH": str(REPO)}
        done = _apart(*command, environment=environment, pass_fds=[reports.fileno()])
        reports.seek(0)
        found = [json.loads(line) for line in reports]
    for data in found:
        if data["outcome"] == "skipped":
            data["longrepr"] = tuple(data["longrepr"])  # file, line and reason, which JSON has as a list
    return found, (done.stdout + done.stderr).decode(errors="replace")[-3000:]


@functools.cache
def refusal() -> str:
    """Return why this machine has no namespaces for the programs; "" if it has."""
    try:
        made = _apart(sys.executable, "-c", "pass")
    except FileNotFoundError as error:
        return str(error)
    return made.stderr.decode().strip() or "unshare failed" if made.returncode else ""


def _apart(
    *command: str, environment: dict[str, str] | None = None, pass_fds: Sequence[int] = ()
) -> subprocess.CompletedProcess[bytes]:
    own = {**os.environ, "REPO": str(REPO), "HOME": "/tmp/home", **(environment or {})}
    own.pop("TMPDIR", None)
    command = (*_UNSHARE, "sh", "-c", _WITH_OWN_FOLDERS, "sh", *command)
    return subprocess.run(command, capture_output=True, cwd=REPO, env=own, pass_fds=pass_fds)
