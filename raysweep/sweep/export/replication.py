"""Writes the replication package of a sweep: a folder from which `raysweep report` recomputes every table.

The package holds a small store, so no other code than that of every sweep reads it. In it lie the artefacts with rows
that tables and report are made from: training and test sets, completions (the tables of outcomes count those that were
cut), verdicts, and what localizations of edits found of each block. Models, and the rows that training sets were made
from, are recorded by their manifests alone.

The package is written beside its place, ``DIR.partial``, and moved there when it is whole, so a killed export leaves no
package, and the next one begins again. A package of the same sweep is replaced; anything else is left alone.

Not covered: packages in an object store; copy the folder there. The sweep's own store may be one.
"""

from __future__ import annotations

import csv
import io
import json
import platform
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.resources import files
from pathlib import Path
from typing import Any

from raysweep.config.loading import to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError, unwritable_named
from raysweep.hashing import describe
from raysweep.machine import VERSION
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.problems.base import PROBLEMS
from raysweep.records import CLEAN
from raysweep.rows.parquet import frame_of
from raysweep.rows.rated_sheets import KEY, answer_files, read_rated
from raysweep.stages.editing import BLOCKS
from raysweep.storage.artefacts import DROPPED, MANIFEST, folder_of
from raysweep.storage.backends import full_disk_named, write_atomically
from raysweep.storage.store import Store
from raysweep.storage.uses import USES, Use, read_uses
from raysweep.sweep.export.formats import Exported, missing_results
from raysweep.sweep.folder import LEDGER, SweepFolder
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.report import write as report
from raysweep.sweep.report.notes import limit_text
from raysweep.sweep.report.records import signature_of
from raysweep.sweep.report.scoring import by_cell
from raysweep.training_sets.base import SOURCES
from raysweep.units import count

SUMS, TABLES, RECOMPUTED, STORE = "SHA256SUMS", "tables", "recomputed", "store"
RECORDED = ("source_rows", "perturbed_rows", "encoded_pairs", "base_model", "model")
"""Stages whose artefacts are in the package by their manifests, under the name of those of dropped artefacts. Those of
other stages are there with their files."""
UNITS = ("evaluation",)
"""Stages of units of work, which a sweep uses and which are no artefacts."""
PAIRS = ("completions", "results")
"""Stages with an artefact for each evaluation pair."""
SWEEP_FILES = ("grid.parquet", USES, "runs.jsonl", LEDGER)
MARK = "replication.json"
"""Written first, and again when all is known: a folder with it is a package, or the beginning of one."""
SHEET = "rated"
"""The package's folder with the rated sheet that the config names."""
KEPT, RECORD, GONE = "files", "manifest only", "missing"


@dataclass(frozen=True)
class _Entry:
    """An artefact of the sweep and what of it is in the package. `manifest` is empty if it is missing."""

    use: Use
    state: str
    manifest: Mapping[str, Any]


def replicate(folder: SweepFolder, target: Path, progress: Callable[[int], None] = lambda done: None) -> Exported:
    """Write a sweep's replication package.

    `target`: the package's folder, which is new, empty, or an older package of this sweep. `progress`: called with the
    number of artefacts that are done.

    Raises:
        UsageError: the folder holds something else or can't be written, or the sweep has no results yet.
        StoreError: an artefact can't be read.
    """
    target = target.resolve()
    uses = read_uses(folder.store, folder.name)
    if not any(folder.store.has(row.results) for row in folder.grid()):
        raise UsageError(f"the sweep {folder.name!r} has no results yet, so there are no tables to recompute; run it")
    _require_replaceable(target, folder.name)
    draft, former = (target.with_name(f"{target.name}.{what}") for what in ("partial", "former"))
    for path in (draft, former):
        if path.exists() and _packaged_sweep(path) != folder.name:
            raise UsageError(f"{path}, which is needed while the package is made, holds something else; move it away")
    with unwritable_named(target, "give another folder"), full_disk_named(str(target)):
        if draft.exists():  # of a killed export
            shutil.rmtree(draft)
        draft.mkdir(parents=True)
        write_atomically(draft / MARK, json.dumps({"sweep": folder.name}))
        notes = _fill(draft, folder, uses, progress)
        if target.exists() and any(target.iterdir()):
            if former.exists():
                shutil.rmtree(former)
            target.replace(former)
        draft.replace(target)
        if former.exists():
            shutil.rmtree(former)
    return Exported(target, tuple(_names(target)), tuple(notes))


def _require_replaceable(target: Path, sweep: str) -> None:
    if Path.cwd().is_relative_to(target):
        raise UsageError(f"{target} is the folder in which you are, and would be replaced; give the command elsewhere")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file; give a new folder for the package")
    packaged = _packaged_sweep(target)
    if packaged != sweep:
        what = f"the package of the sweep {packaged!r}" if packaged else "files that are no replication package"
        raise UsageError(f"{target} holds {what}; give a new or an empty folder")
    sums = target / SUMS
    listed = {line.partition("  ")[2] for line in sums.read_text().splitlines()} if sums.is_file() else set()
    made_from_it = (f"{STORE}/", RECOMPUTED)
    strange = [name for name in _names(target) if name not in {*listed, SUMS} and not name.startswith(made_from_it)]
    if strange:
        raise UsageError(
            f"{target} holds {count(len(strange), 'file')} that the package didn't bring, such as {strange[0]}; move "
            "them, or give a new folder"
        )


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _packaged_sweep(path: Path) -> str:
    try:
        return str(json.loads((path / MARK).read_text(encoding="utf-8"))["sweep"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _fill(draft: Path, folder: SweepFolder, uses: Sequence[Use], progress: Callable[[int], None]) -> list[str]:
    store = Store(draft / STORE)
    store.require_writable()
    entries = []
    for entry in _copy_artefacts(folder.store, store, uses):
        entries.append(entry)
        progress(len(entries))
    config = _with_sheet(folder.config(), draft)
    copy = SweepFolder(store, folder.name)
    copy.path.mkdir(parents=True)
    for name in (*SWEEP_FILES, *(f"progress/{name}" for name in folder.progress.infos())):
        if (content := folder.files.read(name)) is not None:
            copy.files.write(name, content)
    copy.files.write("config.yaml", to_yaml(config))
    report.write_numbers(folder, copy)
    numbers = SavedNumbers(copy)
    numbers.write_signature(signature_of(folder))
    (draft / TABLES).mkdir()
    report.export(folder, "csv", draft / TABLES)
    for path in numbers.files:
        (draft / "numbers").mkdir(exist_ok=True)
        frame_of(path).to_csv(draft / "numbers" / f"{path.stem}.csv", index=False)
    notes = _notes(folder, entries)
    write_atomically(draft / "artefacts.csv", _index(entries))
    write_atomically(draft / "LICENCES.md", _licences(config))
    write_atomically(draft / "README.md", _readme(config, notes, entries))
    write_atomically(draft / MARK, _replication_json(folder.name, entries, notes))
    sums = [f"{entry['sha256']}  {name}\n" for name, entry in describe(draft).items()]
    write_atomically(draft / SUMS, "".join(sums))
    return notes


def _copy_artefacts(source: Store, target: Store, uses: Sequence[Use]) -> Iterator[_Entry]:
    """Yield each artefact with what was copied, without units of work; raise StoreError if one is damaged."""
    artefacts = {use.key: use for use in uses if use.stage not in UNITS}  # a model may have several uses
    for use in sorted(artefacts.values(), key=lambda use: (use.stage in RECORDED, use.stage, use.label, use.key)):
        if use.stage in RECORDED:
            texts = (source.files.read(f"{folder_of(use)}/{name}") for name in (MANIFEST, DROPPED))
            text, name, state = next((text for text in texts if text is not None), None), DROPPED, RECORD
            if (blocks := source.files.read(f"{folder_of(use)}/{BLOCKS}")) is not None:
                target.files.write(f"{folder_of(use)}/{BLOCKS}", blocks)
        elif source.has(use):
            path, there = source.use(use), Path(target.folder(use))
            for file in source.manifest(use)["files"]:
                (there / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path / file, there / file)
            text, name, state = source.files.read(f"{folder_of(use)}/{MANIFEST}"), MANIFEST, KEPT
        else:
            text, name, state = None, "", GONE
        if text is not None:
            target.files.write(f"{folder_of(use)}/{name}", text)
        yield _Entry(use, GONE if text is None else state, json.loads(text or b"{}"))


def _with_sheet(config: SweepConfig, draft: Path) -> SweepConfig:
    """Copy the rated sheet that a config names; return the config with the copy's path, from the package's folder."""
    if config.evaluation.audit is None:
        return config
    sheet = Path(config.evaluation.audit).expanduser()
    try:
        read_rated(sheet)
    except UsageError:  # it is gone: the numbers are without it, here and in the sweep's own report
        return config
    answers = answer_files(sheet)
    (draft / SHEET).mkdir()
    for file in [answers[0].parent / KEY, *answers]:
        shutil.copyfile(file, draft / SHEET / file.name)
    audit = SHEET if sheet.is_dir() else f"{SHEET}/{answers[0].name}"
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"audit": audit})})


def _notes(folder: SweepFolder, entries: Sequence[_Entry]) -> list[str]:
    lines = ["the sweep was still running: the package has what was there"] if folder.is_running() else []
    lines += missing_results(folder, by_cell(folder.grid()))
    judged = {row.completions_key for row in folder.grid() if folder.store.has(row.results)}
    gone = [entry.use for entry in entries if entry.state == GONE and entry.use.stage not in RECORDED]
    lines += [
        f"{use.stage.replace('_', ' ')}: {use.label} is not in the store"
        for use in gone
        if use.stage not in PAIRS or use.key in judged
    ]
    return lines


def _index(entries: Sequence[_Entry]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["stage", "label", "key", "rows", "in the package", "path"])
    for entry in entries:
        counts = entry.manifest.get("counts") or {}
        path = f"{STORE}/{folder_of(entry.use)}" if entry.manifest else ""
        writer.writerow([entry.use.stage, entry.use.label, entry.use.key, counts.get("rows", ""), entry.state, path])
    return file.getvalue()


def _commands(sweep: str) -> list[str]:
    """Return the lines that check a package and recompute its tables, given in its folder."""
    return [
        f"sha256sum --check --quiet {SUMS}",
        f"raysweep report {shlex.quote(sweep)} --storage {STORE} --format csv --out {RECOMPUTED}",
        f"diff -r {TABLES} {RECOMPUTED}",
    ]


def _readme(config: SweepConfig, notes: Sequence[str], entries: Sequence[_Entry]) -> str:
    copied = Counter(entry.use.stage for entry in entries if entry.state == KEPT)
    return _rendered(
        "README.md.jinja",
        title=config.report.title or config.name,
        version=VERSION,
        sweep=config.name,
        limit=limit_text(config),
        commands="\n".join(_commands(config.name)),
        stages=", ".join(f"{number:,} in `{stage}`" for stage, number in copied.items()),
        missing="\n".join(f"- {note}" for note in notes) or "Nothing: every planned evaluation has results.",
        store=STORE,
        recomputed=RECOMPUTED,
        tables=TABLES,
        sums=SUMS,
    )


def _licences(config: SweepConfig) -> str:
    data = list(_data(config))
    unknown = ", ".join(what for what, _, licence in data if not licence)
    return _rendered("LICENCES.md.jinja", data=data, unknown=unknown)


def _rendered(name: str, **values: object) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    source = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return environment.from_string(source).render(values)


def _data(config: SweepConfig) -> Iterator[tuple[str, str, str]]:
    """Yield the data of a sweep: what it is, its address, its licence; both are empty if they are not known."""
    for problems in config.evaluation.problems:
        kind = PROBLEMS.get(problems.name)
        yield f"problem set {problems.label}", kind.origin, kind.licence
    of_sets = config.training.row_sources if config.training else ()
    sources = [(f"training rows{f' {source.name}' * bool(source.name)}", source.rows) for source in of_sets]
    sources += [(f"pre-training rows of {m.name}", m.pretrain.source) for m in config.models if m.pretrain]
    for what, source in sources:
        path = (source.model_extra or {}).get("path")
        kind_of_source = SOURCES.get(source.name)
        yield f"{what}: {path or source.name}", kind_of_source.origin, kind_of_source.licence
    sets = config.training.sets if config.training else []
    names = [*config.evaluation.perturbations, *(entry.perturbation for entry in sets)]
    names += [m.pretrain.damage.perturbation for m in config.models if m.pretrain and m.pretrain.damage]
    for name in dict.fromkeys(name for name in names if name != CLEAN):
        method = PERTURBATIONS.get(config.perturbation(name).name)
        if method.licence:
            yield f"texts of the perturbation {name}", method.origin, method.licence
    for model in config.models:
        if model.path:
            yield f"completions of the model {model.name}", model.path, ""


def _replication_json(sweep: str, entries: Iterable[_Entry], notes: Sequence[str]) -> str:
    machines = Counter(
        json.dumps({name: made[name] for name in ("python", "machine", "versions") if name in made}, sort_keys=True)
        for made in (entry.manifest.get("made") or {} for entry in entries if entry.manifest)
    )
    content = {
        "sweep": sweep,
        "raysweep": VERSION,
        "commands": _commands(sweep),
        "missing": list(notes),
        "exported_with": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "packages": dict(sorted({part.metadata["Name"]: part.version for part in distributions()}.items())),
        },
        "artefacts_made_with": [{"artefacts": number, **json.loads(made)} for made, number in machines.most_common()],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
