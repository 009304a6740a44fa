"""HumanEval-X in C++ on a machine without the headers of boost and OpenSSL: an empty disk covers them here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.errors import MissingInput
from raysweep.execution.compiled.toolchains import HEADERS, missing_headers
from raysweep.execution.isolation import kernel
from raysweep.execution.pool import Executor
from raysweep.problems.humaneval_x import HumanEvalX
from raysweep.problems.runtimes import check_runtime
from raysweep.programs import CPP, DEFAULT_SANDBOX, Level, Limits, Outcome, Sandbox
from tests.apart import REPORTS
from tests.conftest import shared_data
from tests.execution.compiled.processes import needs

pytestmark = [pytest.mark.slow, pytest.mark.apart]
NEED_HEADERS = {"CPP/22", "CPP/137", "CPP/162"}


@pytest.fixture
def without_headers() -> Iterator[None]:
    """Cover the folders of the headers, in this process's own mount namespace."""
    if REPORTS not in os.environ:
        pytest.skip("needs a mount namespace of its own")
    folders = {str(folder) for name in HEADERS for folder in Path("/usr/include").glob(f"{name.partition('/')[0]}/")}
    for folder in folders:
        kernel.mount("tmpfs", folder, kernel.MS_RDONLY)
    yield
    for folder in folders:
        kernel.unmount(folder)


@pytest.mark.usefixtures("without_headers")
@pytest.mark.parametrize(
    "others",
    [pytest.param({"CPP/0"}, id="one"), pytest.param(None, id="all", marks=pytest.mark.long)],
)
def test_the_problems_that_need_headers_are_named_and_the_references_of_all_others_pass(others):
    """The short case has one of the others; the long one all 161."""
    needs(CPP)
    assert missing_headers() == HEADERS
    problems = HumanEvalX(str(shared_data("humaneval_x", "humaneval_cpp.jsonl.gz"))).problems()
    asked = [problem for problem in problems if others is None or problem.task_id in NEED_HEADERS | others]
    with pytest.raises(MissingInput, match=r"^CPP/22, CPP/137, CPP/162 include boost/any.hpp, openssl/md5.h, which "):
        check_runtime(CPP, asked, DEFAULT_SANDBOX)
    left = [problem for problem in asked if problem.task_id not in NEED_HEADERS]
    check_runtime(CPP, left, DEFAULT_SANDBOX)
    with Executor(2 if others is None else 1, Sandbox(require=Level.LIMITS)) as executor:
        verdicts = executor.run([problem.assemble(problem.reference or "") for problem in asked], Limits(timeout=5))
    passed = {
        problem.task_id for problem, verdict in zip(asked, verdicts, strict=True) if verdict.outcome is Outcome.PASSED
    }
    assert passed == {problem.task_id for problem in left}
    assert len(left) == (161 if others is None else 1)
