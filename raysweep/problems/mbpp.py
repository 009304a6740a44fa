"""Problem set `mbpp`: MBPP (Austin et al. 2021), from a file or from the hub.

Three shapes of rows are known: HumanEval's (ReCode's mbpp_wtest), EvalPlus's (MbppPlus) and Google's (mbpp.jsonl,
sanitized-mbpp.json, the hub's rows, and DeepSeek-Coder's mbpp_test.jsonl, which calls the list of tests `test`). The
first two have prompts, which stay as they are. Google's rows {text, code, tests} have none, so they get prompts in
SafeCoder's form. MBPP's own asserts judge all of them.

A prompt for Google's row is the code before its functions, the tested function's signature, and a docstring: the text
up to a URL, "Test examples:" and the tests. For 414 of the 427 sanitised problems this equals SafeCoder's own prompt
byte for byte; 11 of the others begin another function than the tested one there, 2 lay out a constant differently.
The reference is the code in `ast`'s normal form with helpers inside the function, so that no stop string cuts it.

Not covered: EvalPlus's further inputs, which the problem set `mbpp-plus` has.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.problems.base import PROBLEMS
from raysweep.problems.file_problems import (
    STOP,
    FileSet,
    ScriptedProblem,
    full_path,
    with_helpers,
    with_names,
)
from raysweep.problems.jsonl import humaneval_problem
from raysweep.records import Problem
from raysweep.rows.hub import DataSetRef
from raysweep.rows.json_files import JsonRow

T = TypeVar("T")

STOP_AFTER_FUNCTION = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n```")
"""Stop strings for prompts that are a docstring alone, whose completions begin with ``def``. They are those of
https://github.com/bigcode-project/bigcode-evaluation-harness/blob/main/bigcode_eval/tasks/mbpp.py."""

_SIGNATURE = re.compile(r"^def\s+(\w+)\s*\([^\n]*:[ \t]*$", re.MULTILINE)


@PROBLEMS.register("mbpp")
class Mbpp(FileSet):
    """MBPP's problems, from a file or from the hub.

    Args:
        path: a file in one of the three shapes; None: the hub's set, which this machine's cache keeps.
        config: the hub's configuration, ``full`` or ``sanitized``.
        split: the hub's split; ``train+test+validation+prompt`` holds all problems.
        revision: a branch, tag or commit on the hub.

    Raises:
        UsageError: the file doesn't exist.
    """

    licence = "CC-BY-4.0"
    origin = "https://github.com/google-research/google-research/tree/master/mbpp"
    hub = "google-research-datasets/mbpp"
    file = "a file: Google's mbpp.jsonl, ReCode's mbpp_wtest.jsonl, EvalPlus's MbppPlus.jsonl"

    def __init__(
        self, path: str | None = None, config: str = "full", split: str = "test", revision: str | None = None
    ) -> None:
        super().__init__(None if path is None else full_path(path), DataSetRef(self.hub, split, config, revision))

    @classmethod
    @override
    def recognises(cls, row: Mapping[str, Any]) -> bool:
        """Google's rows, and EvalPlus's without further inputs."""
        is_googles = _is_googles(row) and not isinstance(row.get("test"), str)  # MBPP+ of the hub has such a text
        is_humanevals = isinstance(row.get("test"), str)  # with an assertion beside it
        return is_googles or ("assertion" in row and "base_input" not in row and not is_humanevals)

    @override
    def problem(self, row: JsonRow) -> Problem:
        if _is_googles(row.fields):
            return _google_problem(row)
        if "assertion" in row.fields:
            return ScriptedProblem(
                task_id=row.text("task_id"),
                prompt=row.text("prompt"),
                entry_point=row.text("entry_point"),
                test="import math\n" + row.text("assertion").strip(),  # Mbpp/120's needs it and doesn't say so
                reference=row.text("canonical_solution"),
                stop=STOP_AFTER_FUNCTION,
                fields=row.fields,
            )
        if "entry_point" in row.fields:
            return humaneval_problem(row)
        raise UsageError(
            f"{row.place}: has no list of tests (`test_list` or `test`, Google's), `assertion` (EvalPlus's) or "
            f"`entry_point` (HumanEval's shape), so it is no row of MBPP; it has {', '.join(row.fields) or 'nothing'}"
        )


def _is_googles(row: Mapping[str, Any]) -> bool:
    return "test_list" in row or ("code" in row and isinstance(row.get("test"), list))


def _google_problem(row: JsonRow) -> Problem:
    task_id = row.fields.get("task_id")
    setup = [row.text("test_setup_code", ""), *_texts(row, "test_imports")]
    listed = _texts(row, "test_list" if "test_list" in row.fields else "test")
    tests = [line for line in [*setup, *listed] if line.strip()]
    text = row.text("text" if "text" in row.fields else "prompt")
    prompt, entry_point, reference = _prompt_and_reference(text, row.text("code"), tests, row.place)
    return ScriptedProblem(
        task_id=f"MBPP/{task_id}" if isinstance(task_id, int) else row.text("task_id"),
        prompt=prompt,
        entry_point=entry_point,
        test=with_names(prompt + (reference or ""), None, with_helpers(prompt, entry_point, "\n".join(tests))),
        reference=reference,
        stop=STOP,
        fields=row.fields,
    )


def _texts(row: JsonRow, name: str) -> list[str]:
    value = row.fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UsageError(f"{row.place}: `{name}` must be a list of texts, not {value!r:.60}")
    return value


def _prompt_and_reference(text: str, code: str, tests: Sequence[str], place: str) -> tuple[str, str, str | None]:
    """Return (prompt, entry point, reference body) for Google's row; None for code that isn't Python 3."""
    called = "\n".join(tests)
    docstring = _docstring([text.split(" https://")[0].strip(), "Test examples:", *tests])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape sequence gives a SyntaxWarning
            tree = ast.parse(code)
    except (SyntaxError, ValueError):
        signatures = [(match[1], (match[1], match[0].strip())) for match in _SIGNATURE.finditer(code)]
        name, signature = _tested_function(signatures, called, place)
        return f"{signature}\n{docstring}", name, None
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    function = _tested_function([(node.name, node) for node in functions], called, place)
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    before = [node for node in tree.body[: tree.body.index(function)] if not isinstance(node, definitions)]
    inside = [node for node in tree.body if node is not function and node not in before]
    body = "\n".join(ast.unparse(node) for node in [*inside, *function.body])
    head = "".join(ast.unparse(node) + "\n" for node in before) + "\n\n" * bool(before)
    signature = f"def {function.name}({ast.unparse(function.args)}):"
    return f"{head}{signature}\n{docstring}", function.name, textwrap.indent(body, "    ") + "\n"


def _tested_function(functions: Sequence[tuple[str, T]], called: str, place: str) -> T:
    """Return, of (name, function), the last function that the tests call, or the last one if they call none."""
    if not functions:
        raise UsageError(f"{place}: `code` defines no function; remove the row")
    tested = [function for name, function in functions if re.search(rf"\b{name}\s*\(", called)]
    return (tested or [function for _, function in functions])[-1]


def _docstring(lines: Sequence[str]) -> str:
    """Return a docstring of these lines, with escapes only if Python can't read it without them."""
    text = "\n".join(f"    {line}" for line in "\n".join(lines).split("\n"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(f'"""\n{text}\n"""')
    except (SyntaxError, ValueError):
        text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'    """\n{text}\n    """\n'
