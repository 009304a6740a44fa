"""`raysweep doctor` on this machine: what it tries, and that nothing it meets stops it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.cli.app import main
from raysweep.cli.views.doctor import NAME_WIDTH
from raysweep.config.document import Document
from raysweep.config.loading import validate
from raysweep.tools.doctor import examine as doctor
from raysweep.tools.doctor import machine_checks, part_checks
from raysweep.tools.doctor.check import State
from tests.problems.test_packages import problem_set


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("RAYSWEEP_STORAGE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ended(capsys, *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main(["doctor", *arguments])
    return int(end.value.code or 0), capsys.readouterr().out


@pytest.mark.slow
def test_a_good_machine_fits_on_a_screen_and_exits_with_0(capsys, tmp_path):
    code, out = ended(capsys)
    assert code == 0, out
    assert len(out.splitlines()) <= 20
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind, no store either"
    assert part_checks.ray(None, None).state is State.OK, "without an address no Ray is asked"
    found = machine_checks.store(str(tmp_path))
    assert found.state is not State.ERROR and str(tmp_path) in found.found


@pytest.mark.slow
def test_every_subject_is_shown_once_and_all_that_is_wrong_has_a_way_out(capsys):
    code, out = ended(capsys, "--address", f"127.0.0.1:{closed_port()}", "--storage", "/proc/nowhere", "--json")
    found = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 1 and len(json.loads(out)["checks"]) == 13
    judged, stops = {"versions", "accelerators", "isolation", "language"}, {"memory", "Ray", "storage", "temp folder"}
    assert set(found) == judged | stops | {"vLLM", "openai", "bitsandbytes", "pylint", "compilers"}
    assert {found["Ray"]["state"], found["storage"]["state"]} == {"error"}
    for check in found.values():
        assert check["found"] and bool(check["advice"]) == (check["state"] in ("warning", "error")), check
    assert max(map(len, found)) == NAME_WIDTH


@pytest.mark.slow
def test_a_package_that_breaks_while_it_is_imported_is_an_error_among_the_others(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    root = Path(doctor.__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    command = [sys.executable, "-m", "raysweep", "doctor", "--json"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert "libcudart.so.13" in found["accelerators"]["found"]
    assert found["isolation"]["state"] != "error" and found["storage"]["state"] != "error"


def test_of_a_served_model_it_is_told_that_there_is_a_key_but_not_which(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://here:1/v1")
    found = part_checks.openai().found
    assert re.fullmatch(r"openai \S+; OPENAI_API_KEY is set; openai:NAME asks http://here:1/v1", found)


@pytest.mark.parametrize("package", ["openai", "bitsandbytes", "pylint"])
def test_a_package_that_few_sweeps_need_is_absent_with_the_extra_that_brings_it(package, monkeypatch):
    check = {"openai": part_checks.openai, "bitsandbytes": part_checks.quantizer, "pylint": part_checks.pylint}[package]
    assert check().state is State.OK
    monkeypatch.setattr("raysweep.machine.versions", lambda names: {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert check().state is State.ABSENT and f"pip install '{package}" in check().found


def test_programs_are_really_run_and_limited():
    found = machine_checks.isolation()
    assert re.match("level (partial|filtered|strong)", found.found)
    assert found.state is (State.OK if "strong" in found.found else State.WARNING)


def test_a_store_that_cannot_be_is_an_error_with_its_name_but_not_its_password(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for storage in (str(tmp_path / "file"), str(tmp_path / "file" / "below"), "s9://nowhere"):
        found = doctor._done("storage", lambda storage=storage: machine_checks.store(storage))
        assert found.state is State.ERROR and storage in found.found and found.advice
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")  # which counts when no address is given
    checks = {check.name: check for check in doctor.examine("s9://user:secret@nowhere/x")}
    found = checks["storage"]
    assert "s9://nowhere/x" in found.found and "secret" not in found.found + found.advice
    assert checks["Ray"].state is State.ERROR and "ray://head:10001" in checks["Ray"].found


def test_the_environments_of_a_config_are_asked_for_the_packages_of_their_problems(tmp_path, monkeypatch):
    path = str(problem_set(tmp_path, "import json", "import absent_a").path)
    sets = [{"name": "jsonl", "as": f"set-{name}", "environment": name, "path": path} for name in ("here", "gone")]
    evaluation = {"problems": [*sets, "minicode"]}
    value = {"name": "s", "models": [{"name": "m", "generator": "fake"}], "evaluation": evaluation}
    value["execution"] = {"environments": {"here": sys.executable, "gone": "/gone/python"}}
    config = validate(Document("test", value, {}, {}), missing=[])
    done = doctor._done
    monkeypatch.setattr(doctor, "_done", lambda name, check: done(name, check) if name == "environment" else None)
    here, gone = filter(None, doctor.examine(config=config))
    assert (here.state, gone.state) == (State.WARNING, State.ERROR)
    assert here.found.startswith("set-here: environment 'here' (") and "left out: 1 of 2" in here.found
    assert here.advice.startswith("install the packages") and gone.found == "there is no /gone/python on this machine"


def test_sockets_are_tried_where_ray_would_make_them(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    assert machine_checks.temp_folder(Path("/tmp")).state is not State.ERROR
    long = tmp_path / ("x" * 80)
    long.mkdir()
    for folder in (long, tmp_path / "nowhere"):
        found = machine_checks.temp_folder(folder)
        assert found.state is State.ERROR and str(folder) in found.found and "TMPDIR" in found.advice
    assert list(long.iterdir()) == []
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    found = machine_checks.temp_folder(Path("/tmp"))
    assert found.state is State.WARNING and f"RAY_TMPDIR {long} can't hold" in found.found
