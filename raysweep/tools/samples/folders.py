"""Finds the samples of a folder, which EvalPlus and BigCodeBench save: ``TASK/0.py``, a folder of programs for a task.

Source: https://github.com/evalplus/evalplus (evalplus/data/utils.py, ``load_solutions``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.hashing import canonical_json, text_sha
from raysweep.rows.json_files import check_file, content_sha, read_content, stream_json_values

SHAPES = (
    'samples are read as rows of human-eval, EvalPlus, BigCodeBench or mxeval, one for each program ({"task_id": ..., '
    '"completion": ...}, which continues the prompt, or with "solution", a whole program); as the results or the '
    "folder (TASK/0.py, ...) of EvalPlus or BigCodeBench; and as bigcode's generations.json, a list of whole programs "
    "for each problem"
)
"""The shapes that are read, for messages about others."""


def sample_files(samples: Path) -> Sequence[Path]:
    """Return the files that hold samples: the file itself, or those of a folder.

    Raises:
        UsageError: there is no such file, or the folder is of another shape.
    """
    if not samples.is_dir():
        check_file(samples)
        return [samples]
    if programs := sorted(samples.glob("*/*.py"), key=_in_order):
        return programs
    raise UsageError(f"{samples} is a folder without TASK/0.py; {SHAPES}")


def check_samples(samples: Path, out: Path | None) -> None:
    """Raise UsageError if there are no samples, or if results would lie among them and be read as samples later."""
    sample_files(samples)
    if out is not None and samples.is_dir() and samples.resolve() in out.resolve().parents:
        raise UsageError(f"--out {out} lies in the folder of samples, which is read; name a file beside it")


def samples_sha(samples: Path) -> str:
    """Return the SHA-256 of a file's content, or of all of a folder's, as 64 hex digits."""
    if not samples.is_dir():
        return content_sha(samples)
    shas = {str(file.relative_to(samples)): content_sha(file) for file in sample_files(samples)}
    return text_sha(canonical_json(shas))


def stream_sample_values(samples: Path) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of each row or list of programs; see `stream_json_values`."""
    for file in sample_files(samples):
        if file.suffix != ".py" or file == samples:
            yield from stream_json_values(file)
            continue
        try:
            program = read_content(file).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"{file}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
        task_id, name = "/".join(file.parent.name.rsplit("_", 1)), str(file.relative_to(samples))
        yield f"{file}:1", {"task_id": task_id, "solution": program, "file": name}


def _in_order(program: Path) -> tuple[tuple[bool, int, str], ...]:
    """Sort HumanEval_2/10.py behind HumanEval_2/9.py, and that behind HumanEval_1."""
    numbers = [(name.rpartition("_")[2], name) for name in (program.parent.name, program.stem)]
    return tuple((not number.isdecimal(), int(number) if number.isdecimal() else 0, name) for number, name in numbers)
