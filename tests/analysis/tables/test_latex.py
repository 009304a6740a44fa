r"""LaTeX: escaping, and tables whose rows are whole. A small reader checks what TeX would trip over; TeX does if it is
there.

In such a text a backslash begins one of the commands that are used, braces are balanced, and `%`, `_`, `#`, `&`, `$`,
`~` and `^` stand only where they mean something.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.table import ESCAPES, Column, Row, Table, TableCell, escape_latex, to_latex
from tests.analysis.exhibits.examples import EXHIBITS, curve_evidence, study
from tests.analysis.linted import ORDER, linted_cells
from tests.patience import PATIENCE

COMMANDS = {
    "begin", "end", "caption", "label", "toprule", "midrule", "bottomrule",
    "multicolumn", "textsuperscript", "par", "smallskip", "footnotesize", "textbackslash", "textasciicircum",
    "textasciitilde", "textless", "textgreater", "textbar", "times", "pm", "leq", "geq", "cdot", "rightarrow", "ldots",
    "linewidth", "textheight", "noindent", "setlength", "tabcolsep",
}  # fmt: skip


def fields(row: str) -> list[str]:
    return re.split(r"(?<!\\)&", row.removesuffix(r"\\"))


def assert_compiles(text: str) -> None:
    """What TeX's tokenizer and booktabs ask of a table."""
    code = re.sub(r"^% .*\n", "", text, flags=re.MULTILINE)  # comments
    bare = re.sub(r"\\[\\{}$&#%_]", "", code.replace(r" % needs \usepackage{booktabs,adjustbox}", ""))
    assert set(re.findall(r"\\([a-z]+)", bare)) <= COMMANDS
    assert not re.search(r"\\(?![a-z])|[%_#^]", bare)
    assert bare.isascii() or re.fullmatch(r"[\x00-\x7fÀ-ÿ]*", bare)
    assert bare.count("$") % 2 == 0
    depth = 0
    for char in bare:
        depth += {"{": 1, "}": -1}.get(char, 0)
        assert depth >= 0
    assert depth == 0
    blocks = re.findall(r"\\begin\{tabular\}\{(l*r*)\}\n\\toprule(.*?)\\bottomrule", text, flags=re.DOTALL)
    assert blocks
    for columns, line in ((columns, line) for columns, body in blocks for line in filter(None, body.split("\n"))):
        if line.endswith(r"\\"):
            spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert len(fields(line)) + sum(spans) == len(columns), line
            assert not line.lstrip().startswith(("[", "*"))  # an argument of the row's end before it
        else:
            assert line == r"\midrule", line


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("50 % of mix_all & more #1", r"50 \% of mix\_all \& more \#1"),
        ("−3.52 [−4, ×2]", r"$-$3.52 {[}$-$4, $\times$2{]}"),
        (r"C:\a{b}$x^2~", r"C:\textbackslash{}a\{b\}\$x\textasciicircum{}2\textasciitilde{}"),
        ("--limit", "-{}-limit"),
        ("2–3 café", "2--3 café"),
        ("a\nb\tc", "a b c"),
        ("p < .05 | 中", r"p \textless{} .05 \textbar{} (cjk unified ideograph-4e2d)"),
    ],
)
def test_a_text_is_escaped_so_that_latex_prints_it(text, latex):
    assert escape_latex(text) == latex


def test_no_character_leaves_a_command_or_a_letter_that_pdflatex_lacks():
    every = "".join(map(chr, range(32, 0x3000))) + "".join(ESCAPES)
    assert_compiles(to_latex(Table(every, every, ("a",), (Column("b"),), (Row((every,), (TableCell(every),)),))))


def test_every_table_of_the_study_is_whole():
    linted = Evidence(ScoreFrame.of([], ORDER), linted=linted_cells())
    of_messages = [id for id, exhibit in EXHIBITS.items() if exhibit.name == "lint-messages"]
    evidence = [(linted if id in of_messages else study(), id) for id in EXHIBITS if id.startswith("table")]
    evidence += [
        (curve_evidence(), id)
        for id, exhibit in EXHIBITS.items()
        if exhibit.name == "curves" and id.startswith("figure")
    ]
    drawn = [table for found, id in evidence for table in EXHIBITS[id].draw(found).tables]
    assert len(drawn) > 10
    for table in drawn:
        assert_compiles(to_latex(table))


def wide(columns: int) -> Table:
    cells = tuple(TableCell("51.7 [39.6, 63.6] SD 4.4") for _ in range(columns))
    heads = tuple(Column(f"{n} %") for n in range(columns))
    return Table(f"A{columns}", "b < c × d", ("model", "set"), heads, (Row(("llama", "C"), cells),) * 3)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex: apt-get install texlive-latex-extra")
def test_latex_itself_prints_tables_no_wider_than_the_text_and_no_higher_than_a_page(tmp_path):
    tables = [wide(1), wide(4), wide(40), replace(wide(2), rows=wide(2).rows * 40)]
    head = [r"\documentclass[twocolumn]{article}", r"\usepackage{booktabs,adjustbox}", r"\begin{document}"]
    (tmp_path / "doc.tex").write_text("\n".join([*head, *map(to_latex, tables), r"\end{document}"]))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "doc.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout and "Float too large" not in done.stdout


def test_a_table_wider_than_a_column_takes_both():
    assert to_latex(wide(1)).startswith(r"\begin{table} ")
    assert to_latex(wide(3)).startswith(r"\begin{table*} ")


def test_a_table_has_groups_labels_notes_and_failed_rows(snapshot):
    table = Table(
        "RD on a_b",
        "In 5 % of rows.",
        ("model", "quantity"),
        (Column("x", "one"), Column("y", "one"), Column("z")),
        (
            Row(("m", "RD"), (TableCell("1.0", "[0.5, 2.0]"), TableCell("–", note="clean is 0"), TableCell())),
            Row(("m", "drop"), (TableCell("failed", state="failed"),) * 3),
            Row(("n", "RD"), (TableCell("−1"), TableCell("2"), TableCell("3"))),
        ),
        label="table-4",
        signature="greedy; raysweep 0.1.0",
    )
    assert_compiles(to_latex(table))
    assert to_latex(table) == snapshot
