"""Results files while they are written: one writer, renamed when complete, and resumed after an interruption."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.errors import RaysweepError, UsageError
from raysweep.programs import Outcome, Verdict
from raysweep.tools.samples.results import check_results_out, part_of, writing_results
from tests.patience import PATIENCE, eventually

SETTINGS = {"timeout": 5.0, "lane": "shared", "samples": "a" * 64}
KEY = bytes(range(16))
VERDICT = Verdict(Outcome.FAILED, "assert 1 == 2", "", 0.25, 5.0, "strong", "shared", "same")


def interrupted(out: Path, *rows: bytes) -> None:
    """Write some rows and a verdict, and end by Ctrl-C."""
    with pytest.raises(KeyboardInterrupt), writing_results(out, SETTINGS) as part:
        part.save_verdict(KEY, VERDICT)
        part.save_verdict(bytes(15) + b"x", Verdict(Outcome.HARNESS_ERROR, "lost"))  # which is not saved
        for row in rows:
            part.write(row)
        raise KeyboardInterrupt


def write_settings(folder: Path, settings: bytes) -> None:
    (folder / "o.jsonl.part.verdicts").mkdir()
    (folder / "o.jsonl.part.verdicts" / "settings.json").write_bytes(settings)


def blocks(out: Path) -> list[Path]:
    return sorted((out.parent / f"{out.name}.part.verdicts" / "blocks").glob("*.json"))


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o"])
def test_the_part_becomes_the_file_when_it_is_complete(tmp_path, name):
    out = tmp_path / name
    out.write_text("earlier results")
    with writing_results(out, SETTINGS) as part:
        part.write(b"1\n")
        part.flush()
        assert out.read_text() == "earlier results"
        assert names(tmp_path) == [name, f"{name}.part", f"{name}.part.verdicts"]
        part.write(b"2\n")
    assert names(tmp_path) == [name]
    content = out.read_bytes()
    assert (gzip.decompress(content) if name.endswith(".gz") else content) == b"1\n2\n"
    assert not name.endswith(".gz") or content[3:8] == bytes(5), "no name and no time: the same bytes each time"


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "far").mkdir()
    out = tmp_path / "o.jsonl"
    out.symlink_to(tmp_path / "far" / "real.jsonl")
    with writing_results(out, SETTINGS) as part:
        assert part.path == part_of(out) == tmp_path / "far" / "real.jsonl.part"
        part.write(b"1\n")
    assert out.is_symlink() and out.read_bytes() == b"1\n"


def test_the_same_command_finds_the_saved_verdicts_and_writes_all_rows_again(tmp_path):
    out = tmp_path / "o.jsonl"
    interrupted(out, b"1\n", b"2\n", b"torn")
    assert names(tmp_path) == ["o.jsonl.part", "o.jsonl.part.verdicts"]
    with pytest.raises(UsageError, match="no isolation"), writing_results(out, SETTINGS):
        raise UsageError("no isolation")  # before the verdicts were read
    with writing_results(out, SETTINGS) as part:
        assert list(part.saved_verdicts()) == [(KEY, VERDICT)]
        part.write(b"1\n")
    assert out.read_bytes() == b"1\n"


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: b"", lambda data: data.replace(b"f", b"g")])
def test_a_damaged_block_of_verdicts_is_dropped(tmp_path, damage):
    out = tmp_path / "o.jsonl"
    interrupted(out, b"1\n")
    (block,) = blocks(out)
    block.write_bytes(damage(block.read_bytes()))
    other = bytes(16)
    with pytest.raises(KeyboardInterrupt), writing_results(out, SETTINGS) as part:
        part.save_verdict(other, VERDICT)
        raise KeyboardInterrupt
    with writing_results(out, SETTINGS) as part:
        assert [key for key, _ in part.saved_verdicts()] == [other]


def test_verdicts_are_saved_a_block_at_a_time_while_the_command_runs_and_when_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("raysweep.tools.samples.results.BLOCK_SECONDS", 0.01)
    out = tmp_path / "o.jsonl"
    with pytest.raises(KeyboardInterrupt), writing_results(out, SETTINGS) as part:
        part.save_verdict(KEY, VERDICT)
        assert eventually(lambda: blocks(out) != [])
        first = blocks(out)
        pauses, wait = [], part._ending.wait
        monkeypatch.setattr(part._ending, "wait", lambda seconds: pauses.append(seconds) or wait(seconds))
        monkeypatch.setattr("raysweep.tools.samples.results.BLOCK_SECONDS", PATIENCE)
        assert eventually(lambda: PATIENCE in pauses)
        part.save_verdict(bytes(16), VERDICT)
        assert blocks(out) == first
        raise KeyboardInterrupt
    assert len(blocks(out)) == 2
    with writing_results(out, SETTINGS) as part:
        assert dict(part.saved_verdicts()) == {KEY: VERDICT, bytes(16): VERDICT}


def test_a_part_of_a_command_with_other_settings_is_refused_with_the_ways_out(tmp_path):
    out = tmp_path / "o.jsonl"
    interrupted(out, b"1\n")
    before = content(tmp_path)
    other = {**SETTINGS, "timeout": 3.0, "samples": "b" * 64}
    with pytest.raises(UsageError) as error, writing_results(out, other):
        pass
    ways_out = (f"remove {out}.part to start over", "another --out")
    for text in ("begun with other samples, timeout 5.0 (now 3.0)", *ways_out):
        assert text in str(error.value)
    assert content(tmp_path) == before
    part_of(out).unlink()
    with writing_results(out, other) as part:
        assert list(part.saved_verdicts()) == []


@pytest.mark.parametrize("settings", [None, b"", b'{"timeout', b"[]\n", b"\xff"])
def test_a_part_of_an_unknown_command_is_refused_and_left_unchanged(tmp_path, settings):
    out = tmp_path / "o.jsonl"
    part_of(out).write_text("a row\n")
    if settings is not None:
        write_settings(tmp_path, settings)
    with pytest.raises(UsageError, match="says what it was begun for; remove"), writing_results(out, SETTINGS):
        pass
    assert part_of(out).read_text() == "a row\n"


@pytest.mark.parametrize("settings", [None, b"", b'{"timeout'])
def test_a_kill_before_the_settings_were_written_is_no_obstacle(tmp_path, settings):
    out = tmp_path / "o.jsonl"
    part_of(out).touch()
    if settings is not None:
        write_settings(tmp_path, settings)
    with writing_results(out, SETTINGS) as part:
        assert list(part.saved_verdicts()) == []
    assert names(tmp_path) == ["o.jsonl"]


def test_a_second_writer_is_refused_and_the_first_continues(tmp_path):
    out = tmp_path / "o.jsonl"
    code = (
        "import sys; from pathlib import Path; from raysweep.tools.samples.results import writing_results\n"
        f"with writing_results(Path(sys.argv[1]), {json.dumps(SETTINGS)}) as part: pass"
    )
    with writing_results(out, SETTINGS) as part:
        part.write(b"1\n")
        second = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=False)
        assert second.returncode and "is being written by another process; wait, or choose" in second.stderr
    assert out.read_bytes() == b"1\n"


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_full_disk_is_one_error_and_saved_verdicts_stay(tmp_path, monkeypatch, at_the_end):
    out = tmp_path / "o.jsonl"
    monkeypatch.setattr("raysweep.tools.samples.results.BLOCK_SECONDS", 0.01)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(RaysweepError, match=r"can't be written \(No space left on device\); the same"),
        writing_results(out, SETTINGS) as part,
    ):
        part.save_verdict(KEY, VERDICT)
        assert eventually(lambda: blocks(out) != [])
        monkeypatch.setattr("os.fsync", full)
        if not at_the_end:
            eventually(lambda: part.save_verdict(bytes(16), VERDICT) is not None)
    assert names(tmp_path) == ["o.jsonl.part", "o.jsonl.part.verdicts"]


def test_an_out_that_cannot_be_written_or_would_overwrite_an_input_is_refused(tmp_path):
    samples = tmp_path / "s.jsonl"
    samples.write_text("{}\n")
    link = tmp_path / "link.jsonl"
    link.symlink_to(samples)
    part = tmp_path / "o.jsonl.part"
    part.write_text("{}\n")
    inside = tmp_path / "o.jsonl.part.verdicts" / "s.jsonl"
    inside.parent.mkdir()
    inside.write_text("{}\n")
    for out, read, message in (
        (samples, samples, "would overwrite"),
        (link, samples, "would overwrite"),
        (tmp_path / "o.jsonl", part, "would overwrite"),
        (tmp_path / "o.jsonl", inside, "would overwrite"),
        (tmp_path, samples, "is a folder"),
        (tmp_path / "none" / "o.jsonl", samples, "doesn't exist; make it"),
        (Path("/dev/null"), samples, "is no file but a pipe or a device"),
    ):
        with pytest.raises(UsageError, match=message):
            check_results_out(out, [read])
    check_results_out(tmp_path / "fine.jsonl", [samples])
