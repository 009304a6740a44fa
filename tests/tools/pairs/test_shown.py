"""Pairs as `raysweep show-pairs` shows them, in a terminal and as a page."""

import dataclasses
import json
from pathlib import Path

import pytest
from rich.console import Console

from raysweep.cli.app import main
from raysweep.cli.views import sets as view
from raysweep.cli.views.sets import print_pairs
from raysweep.errors import UsageError
from raysweep.models.loading import load_tokenizer
from raysweep.records import TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.tools.pairs.shown import MarkedToken, read_pairs, write_page


def row(row_id: str, output: str, rejected: str | None, meta: str | None = None) -> TrainingRow:
    return TrainingRow(row_id, row_id, "Do it.", "", output, "", "clean", False, "Do it.", "", rejected, None, meta)


@pytest.fixture
def training(tmp_path) -> Path:
    rows = [
        row("a", "def f(i):\n    return i\n", "def f(i):\n    return i-1\n", json.dumps({"rejected": "off by one"})),
        row("b", "x = '<b>ü→𝄞</b>\x1b[1m'\r\n\ty\n", "x = '<b>ü→𝄟</b>\x1b[1m'\r\n\ty\n"),
        row("c", "x\n", "x\n"),
        row("d", "x\ny\n", "x\n"),
        row("e", "x\n", "x\ny\n"),
        row("f", "x\n", None),
    ]
    path = tmp_path / "training-clean.parquet"
    write_rows(path, TrainingRow, rows, ["row_id"])
    write_rows(tmp_path / "training-C1.parquet", TrainingRow, rows, ["row_id"])
    return path


def test_each_token_has_its_mark_and_edge_cases_are_counted(training, tiny):
    tokenizer = load_tokenizer(tiny["llama"])
    for found, counts in (read_pairs(training, 2), read_pairs(training.parent, 2, tokenizer, "instruct")):
        assert dataclasses.astuple(counts) == (1, 5, 1, 1, 1, 1, 0)
        assert [pair.row_id for pair in found] == ["a", "b"] and found[0].reason == "off by one"
        assert 0.9 < found[0].similarity < 1 and found[1].reason == "given"
        for pair, (output, rejected) in zip(found, texts(training), strict=False):
            assert "".join(piece.text for piece in pair.response) == output
            assert "".join(piece.text for piece in pair.rejected) == rejected
        assert {piece.mark for piece in found[0].response} == {0, 1}
        assert "".join(piece.text for piece in found[0].rejected if piece.mark == 2).endswith("-1")
    assert len(found[0].response) < len("def f(i):\n    return i\n")  # tokens, not characters


def test_a_pair_in_turns_is_shown_with_them(tmp_path, tiny):
    turns = dataclasses.replace(row("a", "x = 1\n", "x = 2\n"), system="Be terse.", history=("Hello.", "Hi."))
    write_rows(tmp_path / "training-clean.parquet", TrainingRow, [turns], ["row_id"])
    ((shown,), _) = read_pairs(tmp_path, 1, load_tokenizer(tiny["llama"]), "instruct")
    assert shown.task == "Be terse.\nHello.\nHi.\nDo it."
    assert "".join(piece.text for piece in shown.response) == "x = 1\n"


def test_json_has_the_pairs_beside_a_page_and_a_system_prompt_needs_a_tokenizer(training, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["show-pairs", str(training), "--json", "--out", str(tmp_path / "pairs.html"), "--n", "2"])
    assert len(json.loads(capsys.readouterr().out)["pairs"]) == 2 and (tmp_path / "pairs.html").exists()
    with pytest.raises(SystemExit):
        main(["show-pairs", str(training), "--system", "Be brief."])
    assert "--system says how prompts are cut into tokens; give --model" in capsys.readouterr().err


def test_prompts_have_the_system_prompt(training, tiny):
    tokenizer = load_tokenizer(tiny["llama"])
    template = "{{ instruction }}{{ 1 // system|length }}"  # fails without one
    ((shown,), _) = read_pairs(training, 1, tokenizer, template, "Be brief.")
    assert "".join(piece.text for piece in shown.response) == texts(training)[0][0]
    with pytest.raises(ZeroDivisionError):
        read_pairs(training, 1, tokenizer, template)


def texts(path: Path) -> list[tuple[str, str]]:
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(path).to_pylist()
    return [(row["output"], row["rejected"]) for row in rows]


def test_a_terminal_without_colours_shows_brackets_and_obeys_no_text(training, capsys, monkeypatch):
    found, counts = read_pairs(training, 9)
    print_pairs(found, counts, as_json=False)
    printed = capsys.readouterr().out
    assert "{    return i}[[-1]]{\n}" in printed and "{mark 1: its line differs}" in printed
    assert "\x1b" not in printed and r"\x1b[1m" in printed and r"\r" in printed
    assert "5 preference pairs\n1 row without a rejected response\n" in printed
    colours = Console(force_terminal=True, color_system="truecolor", markup=False, highlight=False, width=80)
    monkeypatch.setattr(view, "new_console", lambda: colours)
    print_pairs(found, counts, as_json=False)
    assert "\x1b[1;4;30;101m-1" in capsys.readouterr().out
    print_pairs(found[:1], counts, as_json=True)
    assert json.loads(capsys.readouterr().out)["pairs"][0]["rejected"][-2] == dataclasses.asdict(MarkedToken("1", 2))
    print_pairs([dataclasses.replace(found[0], task="\x9b31m\u202e red\x7f")], counts, as_json=False)
    assert r"\x9b31m\u202e red\x7f" in capsys.readouterr().out, "controls beyond ASCII are shown as codes"


def test_rows_of_two_sources_with_the_same_ids_are_counted_apart(tmp_path):
    for name, text in (("training-evol", "x\n"), ("training-oss", "z\n")):
        rows = [row("0", text, "y\n"), row("1", text, None)]
        write_rows(tmp_path / f"{name}.parquet", TrainingRow, rows, ["row_id"])
    found, counts = read_pairs(tmp_path, 9)
    assert (counts.rows, counts.pairs, len(found)) == (2, 2, 2)


def test_the_page_escapes_every_text(training, tmp_path):
    found, counts = read_pairs(training, 9)
    write_page(found, counts, tmp_path / "pairs.html")
    page = (tmp_path / "pairs.html").read_text()
    assert "<b>" not in page and "&lt;" in page and 'class="m2" title="mark 2"' in page
    with pytest.raises(UsageError, match="nothere/x can't be written"):
        write_page(found, counts, tmp_path / "nothere/x")


def test_a_sets_name_without_its_files_ending_is_answered_with_the_file(training):
    with pytest.raises(UsageError, match=rf"did you mean {training}\?"):
        read_pairs(training.with_suffix(""), 1)
    write_rows(training, TrainingRow, [row("f", "x\n", None)], ["row_id"])
    with pytest.raises(UsageError, match="no row has a rejected response"):
        read_pairs(training, 1)
