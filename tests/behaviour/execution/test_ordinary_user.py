"""The corpus and compiled programs as a user without any privilege, where the tests themselves run as root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from raysweep.execution.isolation import kernel
from raysweep.programs import Level, Limits, Oracle, Program
from tests.behaviour.execution import corpus
from tests.behaviour.execution.test_hostile_compiled import FOLDER
from tests.behaviour.execution.test_hostile_compiled import program_of as hostile_program
from tests.behaviour.execution.world import REPO, World, survivors
from tests.execution.compiled.processes import needs
from tests.execution.compiled.programs import BODIES, LIMITS, program
from tests.execution.isolation.test_threads import OLDER, START
from tests.execution.python.in_process.test_child import SCRIPTS
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

PYTHON = "/usr/bin/python3"
NOBODY = "65534"
AS_NOBODY = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps=-all", "--no-new-privs"]
SCRIPT = """
import json, sys
sys.dont_write_bytecode = True
sys.path.append(sys.argv[1])
from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Oracle, Program, Sandbox
exec(sys.argv[3])
given = json.load(sys.stdin)
work = [
    (key, Program(**program | {"oracle": program["oracle"] and Oracle(program["oracle"])}), Limits(**limits))
    for key, program, limits in given
]
with Executor(1 + (len(work) > 20), Sandbox(Lane(sys.argv[2]), Level.LIMITS)) as executor:
    verdicts = {key: (verdict.outcome, verdict.detail) for key, verdict in executor.stream(work)}
    print(json.dumps({"level": executor.level(), "missing": executor.missing_layers(), "verdicts": verdicts}))
"""
HELD_OFF = ("exec", "fork", "socket", "read_outside", "threads")
"""Hostile programs in Java and C++."""
PACKAGES = str(Path(psutil.__file__).parents[1])
"""The installed packages of the Python that runs the tests: what reads Java and C++ among them."""
SLOW = ("judge-time", "judge-memory")  # groups that keep a judge busy, which depends on no user


def as_nobody(lane: str, work: list[tuple[str, Program, Limits]], first: str = "pass") -> dict:
    """Run programs as that user, after a statement; return its level and its verdicts."""
    given = json.dumps([(key, asdict(program) | {"imports": ""}, asdict(limits)) for key, program, limits in work])
    command = [*AS_NOBODY, PYTHON, "-c", SCRIPT, str(REPO), lane, first]
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "CANARY_TOKEN": os.environ.get("CANARY_TOKEN", "")}
    options = {"env": environment, "cwd": "/", "timeout": PATIENCE}
    made = subprocess.run(command, input=given, capture_output=True, text=True, **options)
    assert made.returncode == 0, made.stderr[-3000:]
    return json.loads(made.stdout)


@pytest.fixture(scope="module", autouse=True)
def able():
    """Skip where there is no other user to be, or where it can't read what it needs."""
    if os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    if not shutil.which("setpriv"):
        pytest.skip("setpriv isn't installed")
    code = f"import sys; sys.path.append({str(REPO)!r}); sys.dont_write_bytecode = True; import raysweep.execution.pool"
    tried = subprocess.run([*AS_NOBODY, PYTHON, "-c", code], capture_output=True, text=True, cwd="/", env={})
    if tried.returncode:
        reason = tried.stderr.strip().splitlines()[-1:]
        pytest.skip(f"user {NOBODY} can't use {PYTHON} with {REPO}: {' '.join(reason)}")


@pytest.fixture
def namespaces():
    """Skip where an ordinary user may not make namespaces: `unshare` does so in another way than a slot."""
    kinds = ["--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--mount-proc"]
    tried = subprocess.run([*AS_NOBODY, "unshare", *kinds, "true"], capture_output=True, text=True, cwd="/")
    if tried.returncode:
        pytest.skip(f"an ordinary user may not make namespaces here: {tried.stderr.strip()}")


@pytest.mark.usefixtures("namespaces")
def test_an_ordinary_user_gets_the_strongest_level_where_it_may_make_namespaces():
    assert "namespaces" not in as_nobody("strict", [("x", Program("pass"), Limits())])["missing"]


@pytest.mark.usefixtures("namespaces")
def test_the_kernel_counts_an_ordinary_users_threads_on_kernels_before_6_14_too():
    older = OLDER.replace("(5, 10)", "(6, 1)")
    text = f"{START}\nstarted(200)\ntime.sleep(30)"
    made = as_nobody(
        "strict",
        [("x", Program(text), Limits())],
        f"import raysweep.execution.slot as slot; slot._START_CODE = {older!r}",
    )
    if kernel.version() < (5, 14):
        pytest.skip("this kernel counts all processes of the user")
    assert made["verdicts"]["x"] == ["memory", "RuntimeError: can't start new thread"]


def test_a_soak_of_an_ordinary_user_leaves_nothing():
    """tests/behaviour/execution/test_soak.py runs more programs, as the user who runs the tests."""
    home = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folders are closed to others
    home.chmod(0o777)
    packages = Path(PACKAGES)
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(home), "PYTHONPATH": str(packages)}
    command = [*AS_NOBODY, PYTHON, "-B", "-m", "tests.behaviour.execution.soak", "200", "--slots", "1", "--kills", "2"]
    try:
        made = subprocess.run(command, capture_output=True, text=True, cwd=REPO, env=environment, timeout=PATIENCE)
    finally:
        shutil.rmtree(home)
    if "ModuleNotFoundError" in made.stderr:
        pytest.skip(f"{PYTHON} can't use the packages of {packages}: {made.stderr.splitlines()[-1]}")
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    assert made.stdout.splitlines()[-1].endswith("nothing grew")


def with_all(*names: str) -> list[object]:
    """Return the cases of `make test-long`, which run all programs."""
    return [pytest.param(name, True, marks=pytest.mark.long) for name in names]


@pytest.mark.parametrize(("language", "in_full"), [("cpp", False), *with_all("java", "cpp")])
def test_an_ordinary_users_compiled_programs_end_as_they_should_and_hostile_ones_are_held_off(language, in_full):
    """The hostile ones run at the level strong only. In `make test` all tests run outside."""
    needs(language)
    path = f"import sys; sys.path.append({PACKAGES!r})"
    readers = [*AS_NOBODY, PYTHON, "-c", f"{path}; from tree_sitter import Parser; import tree_sitter_{language}"]
    tried = subprocess.run(readers, capture_output=True, text=True, cwd="/", env={})
    if tried.returncode:
        pytest.skip(f"{PYTHON} can't use the packages of {PACKAGES}: {tried.stderr.splitlines()[-1]}")
    work = [
        (f"{outcome} {oracle}", program(language, outcome, oracle), LIMITS)
        for outcome in BODIES[language]
        for oracle in (Oracle if in_full else [Oracle.OUTSIDE])
    ]
    right = {key: key.split()[:1] for key, *_ in work}
    level = as_nobody("strict", [("x", Program("pass"), Limits())])["level"]
    if level == Level.STRONG:
        texts = {name: next((FOLDER / language).glob(f"{name}.*")).read_text() for name in HELD_OFF}
        texts = {name: text.replace("@SECRET@", "/etc/passwd") for name, text in texts.items()}
        right |= {name: text.partition(":")[0].removeprefix("//").split() for name, text in texts.items()}
        work += [(name, hostile_program(language, text), LIMITS) for name, text in texts.items()]
    verdicts = as_nobody("strict", work, path)["verdicts"]
    assert {name: told for name, told in verdicts.items() if told[0] not in right[name]} == {}
    if level != Level.STRONG:
        pytest.skip(f"the hostile programs run at the level strong, and an ordinary user has {level} here")


@pytest.mark.parametrize(("lane", "in_full"), [("strict", False), *with_all("strict", "shared")])
def test_an_ordinary_user_holds_off_what_its_level_says(lane, in_full):
    """In `make test` one program of each group, in one lane."""
    with World() as world, survivors() as left:
        level = Level(as_nobody(lane, [("x", Program("pass"), Limits())])["level"])
        entries = [one for one in corpus.load(world.places) if one.held(level)]
        entries = [one for one in entries if not any(name in one.program.source for name in corpus.PACKAGES)]
        entries = [one for one in entries if one.group not in SLOW]
        entries = entries if in_full else corpus.sample(entries)
        work = [(entry.id, entry.program, entry.limits) for entry in entries]
        work += [(f"witness {n}", program, Limits()) for n in range(3) for program in corpus.witnesses(n)]
        world.effects()
        verdicts = as_nobody(lane, work)["verdicts"]
        assert world.effects() == []
    assert left == []
    wrong = {one.id: verdicts[one.id] for one in entries if verdicts[one.id][0] not in one.outcomes}
    assert wrong == {}
    assert [verdict for key, verdict in verdicts.items() if key.startswith("witness") and verdict[0] != "passed"] == []


def test_scripts_have_disks_processes_and_a_network_of_their_own():
    cases = "import unittest\nclass TestCases(unittest.TestCase):\n    def test_f(self): self.assertTrue(f())"
    scripts = {name: Program(text, cases, cases=True) for name, text in SCRIPTS.items() if "numpy" not in text}
    found = as_nobody("strict", [(name, one, Limits(timeout=10, memory_mib=4096)) for name, one in scripts.items()])
    if Level(found["level"]) < Level.STRONG:
        pytest.skip("an ordinary user has no namespaces here, in which a script has these")
    assert {name: outcome for name, (outcome, _) in found["verdicts"].items()} == dict.fromkeys(scripts, "passed")
