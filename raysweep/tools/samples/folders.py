"""Finds the samples of a folder: EvalPlus's, with a folder of programs for each task, and MultiPL-E's, a file for each.

Sources: https://github.com/evalplus/evalplus (evalplus/data/utils.py, ``load_solutions``; BigCodeBench has the same),
https://github.com/nuprl/MultiPL-E (evaluation/src/main.py: ``TASK.json.gz``, and ``TASK.results.json.gz`` beside it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.hashing import canonical_json, text_sha
from raysweep.rows.json_files import check_file, content_sha, read_content, stream_json_values

_SHOWN = 6
_RESULTS = (".results.json", ".results.json.gz")


def sample_files(samples: Path) -> Sequence[Path]:
    """Return the files that hold samples: the file itself, or those of a folder.

    Raises:
        UsageError: there is no such file, or the folder is none of a known tool; the message names files in it.
    """
    if not samples.is_dir():
        check_file(samples)
        return [samples]
    if programs := sorted(samples.glob("*/*.py"), key=_in_order):
        return programs
    data = sorted([*samples.glob("*.json"), *samples.glob("*.json.gz")])
    tasks = [file for file in data if not file.name.endswith(_RESULTS)]
    if data and not tasks:
        raise UsageError(
            f"{samples} has MultiPL-E's results, whose programs have its tests in them; give the folder of "
            "completions, whose names have no `.results`"
        )
    if tasks and all(map(_is_multipl_e, islice(tasks, _SHOWN))):
        return tasks
    if any(samples.glob("*.yaml")):
        raise UsageError(
            f"{samples} has YAML, as SafeCoder and MultiPL-E's first version save it, which isn't read; write each "
            "file as a line of JSON, with its `name`, `language`, `prompt` and `completions`"
        )
    inner = sorted({file.parents[1] for file in samples.glob("*/*/*.py")})
    files = [*inner, *tasks, *sorted(samples.glob("*.jsonl*")), *sorted(samples.glob("*/*.jsonl*"))]
    named = [str(file.relative_to(samples)) for file in files[:_SHOWN]]
    raise UsageError(
        f"{samples} is a folder, and not one of EvalPlus's (TASK/0.py, ...) or MultiPL-E's (TASK.json.gz, ...); name "
        f"samples in it: {', '.join(named) or 'there are none that are known'}"
    )


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


def _is_multipl_e(file: Path) -> bool:
    _, value = next(stream_json_values(file))
    return isinstance(value, dict) and {"name", "completions"} <= value.keys()
