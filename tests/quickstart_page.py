"""Writes what the quickstart printed into README.md, and docs/numbers.md's example from the rows that stand there.

``raysweep run configs/quickstart.yaml | python -m tests.quickstart_page`` writes both anew.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

from tests.paths import REPO

README, NUMBERS = REPO / "README.md", REPO / "docs" / "numbers.md"
TABLE = re.compile(r"^minicode: pass@1 .*?^report: [^\n]*\n", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^In the quickstart the base model .*?\n(?=\n)", re.MULTILINE | re.DOTALL)


def table_of(text: str) -> str:
    """Return the table of a text, with the lines below it and a path that is nobody's."""
    match = TABLE.search(text)
    assert match, "this is not what `raysweep run configs/quickstart.yaml` prints"
    return re.sub(r"^report: .*/sweeps/", "report: .../raysweep-store/sweeps/", match[0], flags=re.MULTILINE)


def example_of(table: str) -> str:
    """Return the example of RD in words: llama as pre-trained, and fine-tuned on typos."""
    rows = {tuple(line.split()[:3]): line.split() for line in table.splitlines()}
    base, tuned = (rows["llama", *labels] for labels in (("none", "base"), ("full", "C")))
    clean, perturbed, rd = base[4], base[-2], base[-1].strip("()")
    tuned_rd = tuned[-1].strip("()")
    shares = [f"{100 * float(share):.1f} %" for share in (clean, perturbed, tuned[4], tuned[-2])]
    whole, of_tuned = (f"{100 * float(share):.0f} %" for share in (rd, tuned_rd))
    return textwrap.fill(
        f"In the quickstart the base model llama solves {shares[0]} of the clean prompts and {shares[1]} of those with "
        f"typos (C): its RD is ({clean} - {perturbed}) / {clean} = {rd}. Fine-tuned on typos it solves {shares[2]} and "
        f"{shares[3]}, an RD of {tuned_rd}. Reports and the study write it in percent: {whole} and {of_tuned}.",
        width=120,
    )


def write(printed: str, readme: Path = README, numbers: Path = NUMBERS) -> None:
    table = table_of(printed)
    for page, pattern, text in ((readme, TABLE, table), (numbers, EXAMPLE, example_of(table) + "\n")):
        before = page.read_text(encoding="utf-8")
        page.write_text(pattern.sub(lambda _, text=text: text, before), encoding="utf-8")


if __name__ == "__main__":
    write(sys.stdin.read())
