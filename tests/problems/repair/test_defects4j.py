"""Defects4J's single hunks: the developers' lines are the exact match."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.errors import MissingInput, UsageError
from raysweep.problems.repair.defects4j import Defects4J
from raysweep.problems.runtimes import check_runtime
from raysweep.programs import DEFAULT_SANDBOX
from raysweep.prompts.repair.hunks import hunk_in
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.prompts.repair.styles import MASK, MASK_END, RepairAnswer, shown
from tests.conftest import shared_data

PROMPT = "int f() {\n// buggy lines start:\n    b();\n// buggy lines end:\n    c();\n}\n// fixed lines: \n"
PATCH = (
    "diff --git a/src/A.java b/src/A.java\n--- a/src/A.java\n+++ b/src/A.java\n"
    "@@ -5,4 +5,4 @@ class A {\n int f() {\n-    b(1);\n-    if (a())\n+    b();\n     c();\n }\n"
)


def written(folder: Path, position: str = "Chart\t4\tsrc/A.java\t6-7\t6-8\n", patch: str = PATCH) -> dict[str, str]:
    (folder / "prompts.json").write_text(json.dumps({"data": {"Chart_4_src/A.java_6-7": {"input": PROMPT}}}))
    (folder / "loc.txt").write_text(position)
    (folder / "Chart" / "patches").mkdir(parents=True, exist_ok=True)
    (folder / "Chart" / "patches" / "4.src.patch").write_text(patch)
    with tarfile.open(folder / "patches.tar.gz", "w:gz") as archive:
        archive.add(folder / "Chart", "Chart")
    return {"path": str(folder / "prompts.json"), "positions": str(folder / "loc.txt"), "patches": str(folder)}


def only(problem_set: Defects4J) -> RepairProblem:
    (problem,) = problem_set.problems()
    assert isinstance(problem, RepairProblem)
    return problem


def test_the_fix_is_what_the_patch_takes_out(tmp_path: Path) -> None:
    paths = written(tmp_path)
    folder, archive = Defects4J(**paths), Defects4J(**{**paths, "patches": str(tmp_path / "patches.tar.gz")})
    problem = only(folder)
    assert (problem.task_id, problem.hunk.buggy, problem.entry_point) == ("Defects4J/Chart-4", "    b();\n", "f")
    assert problem.reference == "    b(1);\n    if (a())\n"
    assert (only(archive), archive.fingerprint()) == (problem, folder.fingerprint())
    exact = problem.patch("b(1); if (a()) // so", RepairAnswer.HUNK)
    assert exact is not None and exact.is_exact and not exact.program.tests


def test_hunks_without_tests_need_no_jdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem_set = Defects4J(**written(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    check_runtime(problem_set.language, problem_set.problems(), DEFAULT_SANDBOX)
    with pytest.raises(MissingInput, match="the package default-jdk-headless"):
        check_runtime(problem_set.language, [replace(only(problem_set), test="tests")], DEFAULT_SANDBOX)


@pytest.mark.parametrize("position", ["7-7\t7-8", "7-8\t7-8"])
def test_a_line_that_the_developers_kept_stays_at_its_place(tmp_path: Path, position: str) -> None:
    patch = PATCH.split("@@")[0] + "@@ -5,4 +5,3 @@ class A {\n int f() {\n     a();\n-    b();\n     c();\n }\n"
    paths = written(tmp_path, f"Chart\t4\tsrc/A.java\t{position}\n", patch)
    assert only(Defects4J(**paths)).reference == "    b();\n    c();\n"
    paths = written(tmp_path, "Chart\t4\tsrc/A.java\t6-7\t6-7\n", patch)
    assert only(Defects4J(**paths)).reference == "    a();\n    b();\n"


@pytest.mark.parametrize(
    "position, message",
    [
        ("Chart 4\n", r"loc.txt:1: a position is PROJECT, ID, FILE"),
        ("Chart\t5\tsrc/A.java\t6-7\t6-8\n", r"prompt Chart_4_src/A.java_6-7: .*loc.txt has nothing on Chart 4"),
        ("Chart\t4\tsrc/A.java\t60-61\t6-7\n", r"Chart 4: the hunk lies outside of the patch of src/A.java.* 60"),
        ("Chart\t4\tsrc/A.java\t8-8\t8-9\n", r"Chart 4: the hunk lies outside .* which changes nothing at line 8"),
    ],
)
def test_what_does_not_fit_together_is_one_clear_error(tmp_path: Path, position: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Defects4J(**written(tmp_path, position)).check(judged=True)


@pytest.mark.slow
def test_all_217_hunks_are_read_as_clm_shows_them() -> None:
    prompts = shared_data("clm_apr", "defects4j", "codegen_finetune_result", "codegen_input.json")
    problems = Defects4J(
        str(prompts),
        str(shared_data("clm_apr", "defects4j", "defects4j_loc.txt")),
        str(shared_data("defects4j", "src_patches.tar.gz")),
    ).problems()
    inputs = [one["input"] for one in json.loads(prompts.read_text())["data"].values()]
    texts = [text.replace("fixed lines: \n", "fixed lines:\n") for text in inputs]
    assert [shown("repair_clm_buggy_line", problem.prompt) for problem in problems] == texts
    without_fix = [problem.task_id for problem in problems if problem.reference is None]
    assert without_fix == ["Defects4J/Closure-46", "Defects4J/Closure-77"]
    unmatched = set()
    for problem in problems:
        assert isinstance(problem, RepairProblem)
        faulty = problem.patch(problem.hunk.buggy, RepairAnswer.HUNK)
        assert faulty is None or not faulty.is_exact
        if problem.reference is not None:
            filled = f"{MASK}{problem.reference}{MASK_END}"
            for answer, way in ((problem.reference, RepairAnswer.HUNK), (filled, RepairAnswer.SPAN)):
                exact = problem.patch(answer, way)
                assert exact is not None and exact.is_exact
            rest = problem.patch(f"{problem.reference}{hunk_in(problem.prompt)[0].after}", RepairAnswer.REST)
            unmatched |= set() if rest is not None and rest.is_exact else {problem.task_id}
    assert unmatched == {"Defects4J/Chart-4", "Defects4J/Chart-26"}  # docs/repair.md


def test_every_change_of_a_patch_is_one_that_nobody_is_trained_on(tmp_path: Path) -> None:
    paths = written(tmp_path)
    (tmp_path / "Chart" / "patches" / "9.src.patch").write_text(
        "diff --git a/src/B.java b/src/B.java\nindex 1..2 100644\n--- a/src/B.java\n+++ b/src/B.java\n"
        "@@ -1,5 +1,4 @@ class B {\n void g() {\n-    guard();\n     call();\n-    last();\n+    first();\n }\n"
    )
    found = [(id, fault.hunk.before, fault.hunk.buggy, fault.fixed, fault.hunk.after)
             for id, fault in Defects4J(**paths).developer_patches()]  # fmt: skip
    before = " void g() {\n".removeprefix(" ")
    assert found[1:] == [
        ("Defects4J/Chart-9", before, "", "    guard();\n", "    call();\n    first();\n}\n"),
        ("Defects4J/Chart-9", f"{before}    call();\n", "    first();\n", "    last();\n", "}\n"),
    ]
    assert found[0][0] == "Defects4J/Chart-4" and found[0][3] == "    b(1);\n    if (a())\n"


def test_whatever_the_patches_leave_of_the_hunks_is_in_the_references() -> None:
    files = {"positions": ("clm_apr", "defects4j", "defects4j_loc.txt"), "patches": ("defects4j", "src_patches.tar.gz")}
    prompts = shared_data("clm_apr", "defects4j", "codegen_finetune_result", "codegen_input.json")
    problem_set = Defects4J(str(prompts), **{name: str(shared_data(*parts)) for name, parts in files.items()})
    with tarfile.open(shared_data(*files["patches"])) as archive:
        patches = {name: archive.extractfile(name) for name in archive.getnames() if name.endswith(".src.patch")}
        texts = {"-".join(name.split("/")[-3::2]).split(".")[0]: file.read().decode("utf-8", "replace")
                 for name, file in patches.items() if file}  # fmt: skip
    kept = 0
    for key, problem in zip(json.loads(prompts.read_text())["data"], problem_set.problems(), strict=True):
        if problem.reference is None or not isinstance(problem, RepairProblem):
            continue
        path, first = key.split("_", 2)[2].rsplit("_", 1)
        start = int(first.split("-")[0])
        hunk = range(start, start + problem.hunk.buggy.count("\n"))
        patch = texts[problem.task_id.split("/")[1]]
        context = {line for number, line in context_lines(patch, path) if number in hunk}
        assert context <= set(problem.reference.splitlines()), problem.task_id
        kept += len(context)
    assert kept > 13


def context_lines(patch: str, path: str) -> list[tuple[int, str]]:
    """Return number in the faulty file, and text, of the lines of a file that a patch leaves as they are."""
    found = []
    file = next(part for part in patch.split("diff --git ")[1:] if part.partition("\n")[0].endswith(path))
    for section in file.split("\n@@ -")[1:]:
        heading, *lines = section.split("\n")
        number = int(heading.split("+")[1].split(",")[0].split()[0])
        for line in (line.rstrip("\r") for line in lines):
            found += [(number, line[1:])] if line.startswith(" ") else []
            number += not line.startswith("-")
    return found
