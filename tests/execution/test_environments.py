"""Environments beside raysweep's own: what keys name of them, what they lack, and programs that run in two of them."""

from __future__ import annotations

import sys
import tempfile
import venv
from pathlib import Path

import pytest

from raysweep.errors import MissingInput, UsageError
from raysweep.execution.environments import environment_at, missing_modules
from raysweep.execution.pool import Executor, execute
from raysweep.execution.runtimes import identities, identity
from raysweep.programs import Level, Limits, Outcome, Program, Sandbox


def an_environment(folder: Path, version: str) -> str:
    """Make an environment that has nothing but a package `versioned`, without pip."""
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "versioned.py").write_text(f"VERSION = {version!r}\n")
    (packages / f"versioned-{version}.dist-info").mkdir()
    metadata = f"Metadata-Version: 2.1\nName: versioned\nVersion: {version}\n"
    (packages / f"versioned-{version}.dist-info" / "METADATA").write_text(metadata)
    return str(folder / "bin" / "python")


@pytest.mark.slow
def test_programs_run_in_two_environments_with_other_versions_of_a_package(tmp_path):
    pythons = {name: an_environment(tmp_path / name, version) for name, version in (("one", "1.0"), ("two", "2.0"))}
    sandbox = Sandbox(require=Level.LIMITS, environments=tuple(pythons.items()))
    keys = dict(identities(pythons, sandbox))
    assert keys["one"] != keys["two"] and all("with 1 packages" in key for key in keys.values())
    assert missing_modules(pythons["one"], ["versioned", "numpy", "json"]) == {"numpy"}
    text, tests = "import versioned\ndef f(): return versioned.VERSION", "assert f() == '1.0'"
    cases = "import unittest\nclass T(unittest.TestCase):\n    def test_f(self): self.assertEqual(f(), '1.0')"
    programs = [
        Program(text, one, environment=name, cases=one is cases) for one in (tests, cases) for name in ("one", "two")
    ]
    others = [Program(text, tests), Program("import numpy\ndef f(): return '1.0'", tests, environment="one")]
    outcomes = [verdict.outcome for verdict in execute([*programs, *others], Limits(), 1, sandbox)]
    assert outcomes == [Outcome.PASSED, Outcome.FAILED] * 2 + [Outcome.EXCEPTION] * 2
    wrong = Sandbox(require=Level.LIMITS, environments=tuple(pythons.items()), compilers=(("two", keys["one"]),))
    with (
        Executor(1, wrong) as executor,
        pytest.raises(UsageError, match=r"the environment 'two' \(.*two/bin/python\) on "),
    ):
        executor.run(programs, Limits())


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_programs_write_in_the_folder_in_which_their_environment_lies(folder):
    text = "import subprocess\ndef f():\n    for name in ('/tmp/a', '/dev/shm/a'): open(name, 'x').write('a')\n"
    text += "    return subprocess.check_output([sys.executable, '-c', 'import versioned; print(versioned.VERSION)'])"
    body = "self.assertEqual(f(), b'1.0\\n'); self.assertRaises(OSError, open, sys.executable + '.new', 'w')"
    cases = f"import unittest\nclass T(unittest.TestCase):\n    def test_f(self): {body}"
    with tempfile.TemporaryDirectory(dir=folder) as made:
        sandbox = Sandbox(require=Level.LIMITS, environments=(("one", an_environment(Path(made, "one"), "1.0")),))
        with Executor(1, sandbox) as executor:
            if executor.level() < Level.STRONG:
                pytest.skip("this machine has no namespaces, in which a script has /tmp of its own")
            programs = [Program(f"{text}  # {at}", cases, environment="one", cases=True) for at in range(2)]
            verdicts = executor.run(programs, Limits(memory_mib=4096))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED] * 2, verdicts


@pytest.mark.parametrize(
    ("name", "says", "error"),
    [
        ("gone/bin/python", "there is no .*gone/bin/python on this machine; make the environment", MissingInput),
        ("", "is a folder; name the Python in it: .*/bin/python", UsageError),
        ("old", "is CPython 3.9.18; programs can run in CPython 3.10 or newer", UsageError),
        ("other", "can't be asked for its packages", UsageError),
    ],
)
def test_what_is_no_environment_is_named(tmp_path, name, says, error):
    answer = {"implementation": "CPython", "version": "3.9.18", "packages": {}, "folders": [], "prefixes": []}
    for script, prints in (("old", str(answer).replace("'", '"')), ("other", "hello")):
        (tmp_path / script).write_text(f"#!{sys.executable}\nprint({prints!r})\n")
        (tmp_path / script).chmod(0o755)
    with pytest.raises(error, match=says):
        environment_at(str(tmp_path / name))


def test_an_environment_that_nobody_named_is_told():
    with pytest.raises(UsageError, match="for the environment 'bcb', which nothing names; give its Python: `execution"):
        identity("bcb", "")


def test_the_own_environment_lacks_nothing():
    here = environment_at(sys.executable)
    assert here.version in here.identity and here.packages["numpy"] and Path(here.folders[0]).is_dir()
    assert missing_modules(sys.executable, ["numpy", "os", "no_such"]) == {"no_such"}
