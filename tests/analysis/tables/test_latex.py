r"""LaTeX: escaping, and tables whose rows are whole. A small reader checks what TeX would trip over; TeX does if it is
there.

In such a text a backslash begins one of the commands that are used, braces are balanced, and `%`, `_`, `#`, `&`, `$`,
`~` and `^` stand only where they mean something.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.tables.latex import ESCAPES, escape_latex
from raysweep.analysis.tables.score_book import ScoreBook
from raysweep.analysis.tables.table import Column, Row, Table, TableCell, to_latex
from tests.analysis.exhibits.examples import EXHIBITS, curve_evidence, study
from tests.analysis.linted import ORDER, linted_cells
from tests.patience import PATIENCE

COMMANDS = {
    "begin", "end", "caption", "label", "toprule", "midrule", "bottomrule", "addlinespace", "cmidrule",
    "multicolumn", "textsuperscript", "par", "smallskip", "footnotesize", "textbackslash", "textasciicircum",
    "textasciitilde", "textless", "textgreater", "textbar", "times", "pm", "leq", "geq", "cdot", "rightarrow", "ldots",
    "resizebox", "ifdim", "width", "linewidth", "else", "fi", "centerline", "noindent", "setlength", "tabcolsep",
}  # fmt: skip


def fields(row: str) -> list[str]:
    return re.split(r"(?<!\\)&", row.removesuffix(r"\\"))


def assert_compiles(text: str) -> None:
    """What TeX's tokenizer and booktabs ask of a table."""
    code = re.sub(r"^% .*\n", "", text, flags=re.MULTILINE)  # comments
    bare = re.sub(
        r"\\[\\{}$&#%_]", "", code.replace(r" % needs \usepackage{booktabs,graphicx}", "").replace("{%\n", "{\n")
    )
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
            assert re.fullmatch(r"(\\(midrule|addlinespace|cmidrule\(lr\)\{\d+-\d+\}))+", line), line


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
    linted = Evidence(ScoreBook.of([], ORDER), linted=linted_cells())
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


def latex(tmp_path, tables: Iterable[Table], preamble: str = "") -> str:
    """Return what pdflatex prints of a two-column paper that shows tables."""
    head = [r"\documentclass[twocolumn]{article}", r"\usepackage{booktabs,graphicx}", preamble, r"\begin{document}"]
    (tmp_path / "doc.tex").write_text("\n".join([*head, *map(to_latex, tables), r"\end{document}"]))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "doc.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout
    return done.stdout


def wide(columns: int, text: str = "51.7 [39.6, 63.6] SD 4.4") -> Table:
    cells = tuple(TableCell(text) for _ in range(columns))
    heads = tuple(Column(f"{n} %") for n in range(columns))
    return Table(f"A{columns}", "b < c × d", ("model", "set"), heads, (Row(("llama", "C"), cells),) * 3)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex: apt-get install texlive-latex-base")
def test_latex_itself_shrinks_no_table_of_a_two_column_paper(tmp_path):
    paper = r"\setlength{\textwidth}{500pt}\setlength{\columnwidth}{245pt}\setlength{\hoffset}{-50pt}"
    spy = r"\renewcommand{\resizebox}[3]{\sbox0{#3}\typeout{width \the\wd0 of \the\linewidth;}\usebox0}"
    tables = [wide(1), wide(2), wide(4), wide(9), wide(60, "1"), *EXHIBITS["table-4"].draw(study()).tables]
    printed = latex(tmp_path, tables, paper + spy)
    assert "Overfull" not in printed and "Float too large" not in printed
    widths = re.findall(r"width ([\d.]+)pt\s*of\s*([\d.]+)pt", printed)
    assert len(widths) == sum(to_latex(table).count(r"\begin{tabular}") for table in tables)
    assert all(float(width) <= float(room) for width, room in widths), widths


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex: apt-get install texlive-latex-base")
def test_latex_itself_prints_tables_no_wider_than_a_narrow_text(tmp_path):
    printed = latex(tmp_path, [wide(1, "x" * 300), wide(4)], r"\setlength{\textwidth}{345pt}")
    assert "Overfull" not in printed and "Float too large" not in printed


def test_a_table_wider_than_a_column_takes_both_and_one_wider_than_the_text_has_blocks():
    narrow, both, blocks = (to_latex(wide(columns)) for columns in (1, 3, 9))
    assert narrow.startswith(r"\begin{table} ") and narrow.count(r"\begin{tabular}") == 1
    assert both.startswith(r"\begin{table*} ") and both.count(r"\begin{tabular}") == 1
    assert blocks.startswith(r"\begin{table*} ") and blocks.count(r"\begin{tabular}") == 3
    assert blocks.count(r"\caption") == 1 and blocks.count("llama & C & ") == 3
    assert [head for head in re.findall(r"(\d) \\%", blocks)] == list("012345678")
    for text in (narrow, both, blocks):
        assert_compiles(text)


def test_parts_keep_the_rows_of_a_model_together():
    rows = tuple(Row((f"m{at}", name), (TableCell("1"),)) for at in range(15) for name in ("pass@1", "p", "p (Holm)"))
    first, second = to_latex(Table("A", "", ("model", "number"), (Column("x"),), rows)).split("\n\n")
    assert [text.count("pass@1 & 1") for text in (first, second)] == [8, 7]
    assert [text.count("p (Holm) & 1") for text in (first, second)] == [8, 7]
    one = to_latex(
        Table("A", "", ("model", "number"), (Column("x"),), tuple(replace(r, labels=("m", r.labels[0])) for r in rows))
    )
    assert [text.count(" & 1 ") for text in one.split("\n\n")] == [25, 20]


def test_blocks_keep_groups_whole_and_failures_and_footnotes_in_each():
    cells = tuple(TableCell("51.7 [39.6, 63.6] SD 4.4", note=f"note {n}") for n in range(6))
    columns = tuple(Column(f"c{n}", f"g{n // 3}") for n in range(6))
    failed = Row(("n",), (TableCell("failed", state="failed"),) * 6)
    text = to_latex(Table("A", "", ("model",), columns, (Row(("m",), cells), failed)))
    assert re.findall(r"\\multicolumn\{(\d)\}\{c\}\{(g\d)\}", text) == [("3", "g0"), ("3", "g1")]
    assert text.count("n & failed &  &  ") == 2
    assert re.findall(r"textsuperscript\{(\d)\} note", text) == list("123456")


def test_a_caption_is_one_sentence_and_of_parts_only_the_first_explains():
    rows = tuple(Row((f"m{at}",), (TableCell("1", n=12),)) for at in range(30))
    first, second = to_latex(Table("RD", "It is a share. Of what?", ("model",), (Column("x"),), rows)).split("\n\n")
    assert r"\caption{RD (1 of 2), n = 12 problems.}" in first and "It is a share. Of what?" in first
    assert r"\caption{RD (2 of 2), n = 12 problems.}" in second and "share" not in second


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
