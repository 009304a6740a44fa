"""The scripts for a machine with a GPU work on a CPU, benchmarks/gpu.py without packages that a bare machine lacks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.paths import REPO

pytestmark = pytest.mark.slow

LACKING = ("ray", "pydantic", "datasets", "deepspeed", "pyarrow", "pandas", "pytest", "hypothesis")
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({LACKING})); sys.path[0:0] = [{str(REPO / 'benchmarks')!r}]; "
"""Code that hides the packages and lets the script be imported."""


def measured(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """Run the script on tiny shapes; return what it wrote about each arm."""
    file = tmp_path / "gpu.json"
    code = WITHOUT + "import gpu; sys.exit(gpu.main())"
    subprocess.run([sys.executable, "-c", code, "--quick", "--out", str(file), *arguments], check=True)
    arms: dict[str, Any] = json.loads(file.read_text())["arms"]
    return arms


@pytest.mark.long
def test_arms_measure_and_missing_packages_are_named(tmp_path: Path) -> None:
    """In small: test_an_arm_that_fails_dies_or_hangs_is_named_with_what_it_has_measured."""
    zero = "train 1B, full, bf16, ZeRO-2"
    names = ["numbers", "generate 1B", "edits 7B", "memory runs out", zero]
    arms = measured(tmp_path, *(part for name in names for part in ("--arm", name)))
    status = {name: (arm["status"], arm.get("why")) for name, arm in arms.items()}
    missing = {zero: ("missing", "needs deepspeed"), "memory runs out": ("missing", "needs an accelerator")}
    assert status == dict.fromkeys(names, ("done", None)) | missing
    assert arms["numbers"] == arms["numbers"] | {
        "difference_of_losses": 0.0,
        "same_again": True,
        "same_resumed": True,
        "resumed_from": 15,
    }
    assert min(arms["generate 1B"]["tokens_per_second"].values()) > 0
    edits, localized = arms["edits 7B"], arms["edits 7B"]["localized_edit"]
    assert localized["most_rows"] == {"reading": 4, "writing": 20}  # two blocks, two choices of positions, five samples
    assert min(localized["seconds"][part] for part in ("localization", "edit", "checks")) > 0
    assert (edits["edits"]["number"], edits["base_is_bit_equal"]) == (3, True)
    assert measured(tmp_path, "--arm", "generate 1B") == arms, "what is done is not measured again"


@pytest.mark.long
def test_all_arms_measure(tmp_path: Path) -> None:
    """In small, a process for each arm: `test_arms_measure_and_missing_packages_are_named`."""
    arms = measured(tmp_path)
    assert {arm["status"] for name, arm in arms.items() if name != "memory runs out" and "ZeRO" not in name} == {"done"}
    assert arms["adapters"] == arms["adapters"] | {"different_texts": 3, "loads": 1, "base_is_bit_equal": True}
    assert min(arms["train 7B, LoRA, bf16"]["tokens_per_second"].values()) > 0
    greedy = arms["greedy 7B"]
    assert greedy["equal_share"] == round(1 - len(greedy["differing"]) / greedy["prompts"], 3)


@pytest.mark.long
def test_what_was_proven_without_a_gpu_can_be_seen_on_one(tmp_path: Path) -> None:
    """Of a script for GPU days, all of whose arms run in small."""
    file = tmp_path / "gpu_day.json"
    subprocess.run([sys.executable, "benchmarks/gpu_day.py", "--quick", "--out", str(file)], check=True, cwd=REPO)
    arms = json.loads(file.read_text())["arms"]
    missing = arms.pop("tf32: train 1B, full")
    assert (missing["status"], missing["why"]) == ("missing", "needs an accelerator with TF32")
    assert {arm["status"] for arm in arms.values()} == {"done"}
    assert all(arms["rows"][f"{name}, float32"]["difference_of_gradients"] < 1e-6 for name in ("1B", "7B"))
    assert all(arms["rows"][f"{name}, bfloat16"]["others_are_equal"] for name in ("1B", "7B"))


@pytest.mark.long
def test_kernels_are_counted_without_a_gpu(tmp_path: Path) -> None:
    """Of a script for GPU days; tests/trainers/passes tests what computes them.

    An H100's profile had 8,263 before masks were left out and adapters were converted once a step.
    """
    file = tmp_path / "kernels.json"
    names = [f"train 7B, {of}, bf16{how}" for of in ("LoRA", "QLoRA") for how in ("", ", fused")]
    arms = [part for name in names for part in ("--arm", name)]
    command = [sys.executable, "benchmarks/kernels.py", *arms, "--out", str(file)]
    subprocess.run(command, check=True, cwd=REPO)
    counts = [sum(arm["kernels"].values()) for arm in json.loads(file.read_text()).values()]
    assert counts == [pytest.approx(expected, rel=0.02) for expected in (7780, 5090, 10010, 6430)]


@pytest.mark.long
@pytest.mark.ray
def test_the_sweep_for_a_gpu_is_killed_and_ends_when_it_is_run_again(tmp_path: Path) -> None:
    """In small, without the script: tests/behaviour/chaos/test_one_kill.py."""
    environment = {**os.environ, "GPUS": "0", "PYTHON": sys.executable, "RAY_AUTH_MODE": "disabled"}
    subprocess.run(
        ["bash", "benchmarks/gpu_sweep.sh", "", str(tmp_path / "out")], check=True, cwd=REPO, env=environment
    )
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["devices"] == ["cpu"] and {step % 20 for step in summary["resumed_from_steps"]} == {0}


def test_an_arm_that_fails_dies_or_hangs_is_named_with_what_it_has_measured() -> None:
    arms = """
import json, os, time, gpu
def fails(bench, note): note(rate=1); raise ValueError("too bad")
def dies(bench, note): note(rate=2); os.kill(os.getpid(), 9)
def hangs(bench, note): time.sleep(3600)
for arm, seconds in ((fails, 600), (dies, 600), (hangs, 0.1)):
    told = []
    gpu.run_arm(gpu.Arm(arm, 1), gpu.Bench(quick=True), seconds, told.append)
    print(json.dumps(told[-1]))
"""
    done = subprocess.run([sys.executable, "-c", WITHOUT + arms], capture_output=True, text=True, check=True, cwd=REPO)
    failed, died, hung = map(json.loads, done.stdout.splitlines())
    assert failed == failed | {"status": "failed", "why": "ValueError: too bad", "rate": 1}
    assert died == died | {"status": "failed", "why": "its process ended by SIGKILL", "rate": 2}
    assert hung["status"] == "no time"


@pytest.mark.long
@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "Expecting value"),
        ("[]", "is no file that this script wrote"),
        ('{"format": 0, "arms": {}}', r"is of another run \(format: 0\); name a new file"),
    ],
)
def test_a_file_of_something_else_is_not_written_over(content: str, told: str, tmp_path: Path) -> None:
    """Of a script for GPU days, of which `make test` runs the arms that fail, above."""
    file = tmp_path / "gpu.json"
    file.write_text(content)
    command = [sys.executable, "benchmarks/gpu.py", "--quick", "--arm", "numbers", "--out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPO)
    assert done.returncode == 2 and re.search(f"error: --out {re.escape(str(file))}:? {told}", done.stderr)
    assert file.read_text() == content


@pytest.mark.long
def test_predictions_of_a_plan_are_shown_beside_what_was_measured(tmp_path: Path) -> None:
    """Of a script for GPU days: the predictions are tested in tests/planning/predictions, the table here alone."""
    file = tmp_path / "predictions.json"
    subprocess.run([sys.executable, "benchmarks/gpu.py", "--predict", str(file)], check=True, cwd=REPO)
    predicted = json.loads(file.read_text())
    plain, saving = (predicted["H100"][f"train 7B, LoRA, bf16{more}"] for more in ("", ", checkpointed"))
    assert saving["peak_bytes"] < plain["peak_bytes"] < 80e9
    assert predicted["H200"]["generate 7B"]["tokens_per_second"] > predicted["H100"]["generate 7B"]["tokens_per_second"]
    code = WITHOUT + "import gpu, json; print(gpu.table(*json.load(open(sys.argv[1]))))"
    arm = {"tokens_per_second": {"raysweep": 20_000, "SafeCoder": 5_000, "TRL": 8_000}, "mfu": 0.5, "peak_bytes": {}}
    result = {"card": "NVIDIA H100 80GB HBM3", "arms": {"train 7B, LoRA, bf16": arm, "numbers": {"status": "done"}}}
    (tmp_path / "both.json").write_text(json.dumps([result, predicted]))
    command = [sys.executable, "-c", code, str(tmp_path / "both.json")]
    table = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPO).stdout.splitlines()
    assert table[2] == (
        f"| train 7B, LoRA, bf16 | 20,000 | {plain['tokens_per_second']:,} | 50.0% |  | "
        f"{plain['peak_bytes'] / 2**30:.1f} | 4.00 x | 2.50 x TRL |"
    )
    assert len(table) == 3
