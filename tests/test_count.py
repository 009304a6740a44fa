"""The counting script on packages that are small enough to count by hand."""

from __future__ import annotations

from pathlib import Path

from tests.count import folders, import_graph, lines, long_functions, longest_chain


def package(folder: Path, **modules: str) -> Path:
    for name, text in {"__init__": "", **modules}.items():
        path = folder / "raysweep" / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "raysweep"


def test_imports_count_wherever_they_stand_and_those_of_a_folder_count_as_one(tmp_path):
    made = package(
        tmp_path,
        cli="from raysweep import middle",
        middle__in____init__="",
        middle__in__part="def run():\n    from raysweep.middle.other import x\n    from raysweep.base import y",
        middle__in__other="from .. import __version__",
        base="import json",
    )
    assert import_graph(made) == {
        "__init__": set(),
        "cli": {"middle"},
        "middle": {"base", "__init__"},
        "base": set(),
    }
    assert lines(tmp_path / "raysweep") == (6, 6)


def test_floors_are_the_longest_chain_with_circles_merged():
    assert longest_chain({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"c"}}) == ["a", "b", "c"]
    assert longest_chain({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["a", "b,c", "d"]
    assert longest_chain({}) == []


def test_folders_and_functions_are_measured(tmp_path):
    made = package(
        tmp_path,
        part="class Large:\n    def one(self): ...\n    async def two(self): ...\nclass Small: ...",
        rooms__in____init__="",
        rooms__in__first="def short():\n    pass\nasync def long():\n    a = 1\n    return a",
    )
    assert folders(made) == {".": (1, 2, "Large"), "rooms": (1, 0, "")}
    assert long_functions(made, 2) == {"rooms/first.py:long": 3}
