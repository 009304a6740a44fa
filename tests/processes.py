"""Runs tests in several processes (``pytest --processes N``), each of which collects the files that it runs itself.

The first process collects nothing. It hands file after file to whichever process is free, those with Ray first and to
the first process only, as long as others are left, so that mostly one Ray runs. It reports what the processes say of
their tests as if it had run them. (pytest-xdist has each process collect all files.)
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WITH_RAY, SLOW = re.compile(r"mark\.ray\b"), re.compile(r"mark\.(slow|chaos|apart)\b")
"""What a file with tests that take long has in it; which test has the mark is known only when it is collected."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of both kinds of process."""
    parser.addoption("--processes", type=int, default=0, metavar="N", help="run files of tests in N processes")
    parser.addoption("--minutes", type=float, default=1e6, metavar="M", help="begin no file of tests after M minutes")
    parser.addoption("--queue", type=Path, help="the folder of a run in several processes, of which this is one")


def pytest_configure(config: pytest.Config) -> None:
    """Take the part that the options give this process."""
    if config.option.queue:
        config.pluginmanager.register(_Worker(Queue(config.option.queue), config))
    elif config.option.processes:
        config.pluginmanager.register(_Leader(config.option.processes, time.monotonic() + 60 * config.option.minutes))


def folder_of_run(config: pytest.Config, factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of this run of tests share."""
    return Path(config.option.queue or factory.getbasetemp())


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return the folder, which the first process that asks for it has made; the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        done = folder.with_suffix(".made")
        if not done.exists():
            make(folder)
            done.touch()
    return folder


class Queue:
    """The files of tests that no process has taken yet, in a folder that all processes of a run share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._left = folder / "left.json"

    def fill(self, tests: list[str], until: float) -> None:
        """Put in the files of tests (`FILE`, `FILE::TEST`): with Ray first, then with slow tests, then large ones.

        `until`: when no more are taken, in seconds of the monotonic clock.
        """
        (self.folder / "tests.json").write_text(json.dumps([tests, until]))
        texts = {file: Path(file).read_text() for file in {test.partition("::")[0] for test in tests}}

        def order(file: str) -> tuple[bool, bool, int]:
            return not WITH_RAY.search(texts[file]), not SLOW.search(texts[file]), -len(texts[file])

        self._left.write_text(
            json.dumps([(file, bool(WITH_RAY.search(texts[file]))) for file in sorted(texts, key=order)])
        )

    def all(self) -> tuple[list[str], float]:
        """Return the tests that were put in, and until when they may be taken."""
        tests, until = json.loads((self.folder / "tests.json").read_text())
        return tests, until

    def empty(self) -> list[str]:
        """Take all files; return them."""
        with _locked(self.folder / "left.lock"):
            left = json.loads(self._left.read_text())
            self._left.write_text("[]")
        return [file for file, _ in left]

    def take(self, *, ray: bool) -> Path | None:
        """Take the next file with Ray, or without one, and of the others where there is none; None at the end."""
        with _locked(self.folder / "left.lock"):
            left = json.loads(self._left.read_text())
            if not left:
                return None
            place = next((place for place, (_, needs_ray) in enumerate(left) if needs_ray is ray), 0)
            file, _ = left.pop(place)
            self._left.write_text(json.dumps(left))
        return Path(file)


class _Worker:
    """Collects and runs file after file, and writes its reports to `reports-<number>.jsonl` in the queue's folder."""

    def __init__(self, queue: Queue, config: pytest.Config) -> None:
        number = os.environ["RAYSWEEP_TEST_PROCESS"]
        self._queue, self._config, self._first, self._leader = queue, config, number == "0", os.getppid()
        self._reports = (queue.folder / f"reports-{number}.jsonl").open("a")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Look for the files, without importing any."""
        option = self._config.option
        chosen, option.markexpr, option.keyword = (option.markexpr, option.keyword), "", ""  # files have no marks yet
        tests, self._until = self._queue.all()
        self._files = session.perform_collect(tests, genitems=False)
        option.markexpr, option.keyword = chosen
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        pending: list[pytest.Item] = []
        more = True
        while more or pending:
            while more and len(pending) < 2:  # the last test of a file leaves standing what the next file needs
                file = self._queue.take(ray=self._first) if time.monotonic() < self._until else None
                more = file is not None
                print(json.dumps({"begins": str(file or "")}), file=self._reports, flush=True)
                nodes = [node for node in self._files if node.path == file]
                new = [one for node in nodes for one in self._items(session, node)]
                pending += new
                session.items += new  # what is done stays: tests/apart.py looks for all tests of a file
            if pending:
                one = pending.pop(0)
                one.config.hook.pytest_runtest_protocol(item=one, nextitem=pending[0] if pending else None)
            if session.shouldfail or session.shouldstop or os.getppid() != self._leader:
                break
        return True

    def _items(self, session: pytest.Session, node: pytest.Item | pytest.Collector) -> list[pytest.Item]:
        items = list(session.genitems(node))
        self._config.hook.pytest_collection_modifyitems(session=session, config=self._config, items=items)
        self._config.hook.pytest_collection_finish(session=session)
        return items

    def pytest_sessionfinish(self) -> None:
        print(json.dumps({"ended": True}), file=self._reports, flush=True)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._write(report)

    def _write(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        print(json.dumps(data, default=str), file=self._reports, flush=True)


class _Leader:
    """Starts the processes and reports what they say."""

    def __init__(self, count: int, until: float) -> None:
        self._count, self._until = count, until

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        config = session.config
        with tempfile.TemporaryDirectory(prefix="rs-tests-", ignore_cleanup_errors=True) as name:
            queue = Queue(Path(name))
            queue.fill(sorted({file for path in config.args for file in _files(path)}), self._until)
            processes = [self._start(config, queue.folder, number) for number in range(self._count)]
            begun: dict[int, list[str]] = {number: [] for number in range(self._count)}
            try:
                for number, data in _reports(queue.folder, processes):
                    if "begins" in data:
                        begun[number].append(data["begins"])
                    elif "ended" in data:
                        begun.pop(number)
                    else:
                        self._report(session, data)
                    if session.shouldfail or session.shouldstop:
                        begun.clear()
                        break
            finally:
                left = queue.empty()
                _end(processes)
            for number, files in begun.items():
                session.testsfailed += 1
                files = [file for file in files if file][-2:]
                print(
                    f"\nprocess {number} of the tests ended with {processes[number].returncode} in, or before,", *files
                )
                print((queue.folder / f"output-{number}.txt").read_text()[-5000:])
            if left:
                print("\nnot begun:", *left, sep="\n  ")
        return True

    @staticmethod
    def _start(config: pytest.Config, folder: Path, number: int) -> subprocess.Popen[bytes]:
        arguments = [str(arg) for arg in config.invocation_params.args if arg not in config.args]
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(Path(__file__).parent),
            *arguments,
            "-p",
            "no:cacheprovider",
            f"--queue={folder}",
        ]
        with (folder / f"output-{number}.txt").open("wb") as output:
            own = {**os.environ, "RAYSWEEP_TEST_PROCESS": str(number)}
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=own)

    @staticmethod
    def _report(session: pytest.Session, data: dict[str, Any]) -> None:
        if isinstance(data.get("longrepr"), list):
            data["longrepr"] = tuple(data["longrepr"])  # file, line and reason of a skipped test
        report = session.config.hook.pytest_report_from_serializable(config=session.config, data=data)
        if isinstance(report, pytest.CollectReport):
            session.config.hook.pytest_collectreport(report=report)
        else:
            session.testscollected += report.when == "setup"
            session.config.hook.pytest_runtest_logreport(report=report)


def _files(path: str) -> Iterator[str]:
    """Yield the files below a folder; of anything else, such as a file's test (`FILE::TEST`), what it is."""
    name, separator, test = path.partition("::")
    found = Path(name).resolve()
    if not found.exists():
        raise pytest.UsageError(f"file or directory not found: {path}")
    return map(str, found.rglob("test_*.py")) if found.is_dir() else iter([f"{found}{separator}{test}"])


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Interrupt the processes that still run, so that they end what they have started; kill them after a while."""
    for process in processes:
        process.send_signal(signal.SIGINT)  # those that have ended stay as they are
    for process in processes:
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _reports(folder: Path, processes: list[subprocess.Popen[bytes]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what all processes report as it comes, each with the process's number, until all have ended."""
    read = dict.fromkeys(range(len(processes)), 0)
    running = True
    while running:
        running = any(process.poll() is None for process in processes)
        for number in read:
            path = folder / f"reports-{number}.jsonl"
            if path.exists():
                with path.open() as file:
                    file.seek(read[number])
                    text = file.read()
                whole = text[: text.rfind("\n") + 1]
                read[number] += len(whole)  # JSON has nothing but ASCII
                yield from ((number, json.loads(line)) for line in whole.splitlines())
        if running:
            time.sleep(0.3)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
