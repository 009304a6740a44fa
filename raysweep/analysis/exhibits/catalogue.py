"""Finds the tables and figures that files and kinds define, and draws those that a sweep has numbers for.

Each file is YAML with one definition: an `id`, a `title`, a `kind` and the kind's own keys. raysweep's own files lie in
a folder for each study, beside this one. A kind that has a value for each of its keys needs no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, Exhibit, FileKeys, NothingToDraw, Unasked
from raysweep.analysis.exhibits.selections import unasked
from raysweep.analysis.tables.table import Table
from raysweep.errors import UsageError, did_you_mean
from raysweep.registry import validation_message

ENDING = ".yaml"


def read_exhibits(more: Sequence[Path] = ()) -> dict[str, Exhibit]:
    """Return the tables and figures that files define, by id: raysweep's own, tables first, then others.

    `more`: files, or folders of them.

    Raises:
        UsageError: a file can't be read or is no definition, or two have one id; the message names the file.
    """
    exhibits: dict[str, Exhibit] = {}
    origins: dict[str, str] = {}
    own_figures: list[str] = []
    given = ((str(path), False, read_exhibit(path)) for path in _named(more))
    for origin, is_own, exhibit in (*_installed(), *given):
        near = [id for id in own_figures if exhibit.has_figure and exhibit.id.startswith(f"{id}-")]
        if near and not is_own:
            raise UsageError(
                f"{origin}: the id {exhibit.id!r} begins with {near[0]!r}, an id of raysweep's, which would take its "
                "figures for stale ones; take another id"
            )
        if exhibit.id in exhibits:
            raise UsageError(f"{origin}: the id {exhibit.id!r} is that of {origins[exhibit.id]}, too; take another one")
        exhibits[exhibit.id], origins[exhibit.id] = exhibit, origin
        own_figures += [exhibit.id] if is_own and exhibit.has_figure else []
    return exhibits


@cache  # a report reads them several times
def _installed() -> list[tuple[str, bool, Exhibit]]:
    """Return raysweep's own tables and figures, then those of installed packages.

    Each with where it is defined, and whether it is raysweep's own.
    """
    folder = Path(str(files("raysweep.analysis.exhibits")))
    own = [(path.relative_to(folder), str(path), read_exhibit(path)) for path in folder.rglob(f"*{ENDING}")]
    others: list[tuple[str, bool, Exhibit]] = []
    for name in EXHIBITS.names():
        kind = EXHIBITS.get(name)
        if any(key.is_required() for key in kind.model_fields.values()):
            continue
        origin = f"the kind {name}"
        if kind.place:
            own.append((Path(f"{kind.place}{ENDING}"), origin, _made(kind, {}, origin)))
        else:
            others.append((origin, False, _made(kind, {}, origin)))
    own.sort(key=lambda one: (one[0].parent, one[0].stem.startswith("figure"), one[0]))
    return [*((origin, True, exhibit) for _, origin, exhibit in own), *others]


def _named(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if not place.exists():
            raise UsageError(f"{place} doesn't exist; name a file that defines a table or figure, or a folder of them")
        named = sorted(place.glob(f"*{ENDING}")) if place.is_dir() else [place]
        if not named:
            raise UsageError(f"{place} has no file *{ENDING} that defines a table or figure")
        yield from named


def read_exhibit(path: Path) -> Exhibit:
    """Return the table or figure that a file defines; raise UsageError, which lists all mistakes, for a broken one."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: a definition is a mapping of keys, such as id, title and kind")
    kind = values.pop("kind", None)
    if not isinstance(kind, str):
        raise UsageError(f"{path}: key 'kind' is missing; it is one of {', '.join(EXHIBITS.names())}")
    try:
        exhibit = EXHIBITS.get(kind)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return _made(exhibit, values, str(path))


def _made(kind: type[Exhibit], values: Mapping[Any, Any], origin: str) -> Exhibit:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        mistakes = [_mistake(dict(detail), kind) for detail in error.errors()]
        raise UsageError(f"{origin}: {'; '.join(mistakes)}") from None


def draw(exhibits: Sequence[Exhibit], evidence: Evidence, *, required: bool = False) -> Drawn:
    """Return all tables and figures whose question can be asked of a sweep, and for which it has numbers.

    `required`: whether they are asked for by name: then they are drawn wherever there are numbers, and one without any
    is an error.

    Raises:
        UsageError: some are required, and the sweep lacks what they show; it says what.
    """
    drawn, left_out = [], []
    groups: dict[str, list[Table]] = {}
    for exhibit in exhibits:
        try:
            if not required and (why := unasked(exhibit, evidence.frame)):
                raise NothingToDraw(why)
            if not exhibit.subject.is_met(evidence):
                raise NothingToDraw(exhibit.subject.lacking)
            drawn.append(exhibit.draw(evidence.for_kind(type(exhibit))))
        except NothingToDraw as reason:
            left_out.append(Unasked(exhibit.id, str(reason) if required else reason.why))
        else:
            if exhibit.group:
                groups.setdefault(exhibit.group, []).extend(drawn[-1].tables)
    if required and left_out:
        raise UsageError(f"this sweep has nothing to show in {'; '.join(f'{one.id}: {one.why}' for one in left_out)}")
    return Drawn(
        tuple(table for of_exhibit in drawn for table in of_exhibit.tables),
        tuple(figure for of_exhibit in drawn for figure in of_exhibit.figures),
        tuple(conclusion for of_exhibit in drawn for conclusion in of_exhibit.conclusions),
        groups,
        tuple(task for of_exhibit in drawn for task in of_exhibit.side_by_side),
        tuple(page for of_exhibit in drawn for page in of_exhibit.pairs),
        sum(of_exhibit.pairs_left_out for of_exhibit in drawn),
        tuple(left_out),
    )


def _mistake(detail: dict[str, Any], kind: type[Exhibit]) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _keys_beside(detail["loc"], kind)
        hint = did_you_mean(str(detail["loc"][-1]), known) or f"; the keys are {', '.join(known)}"
        return f"unknown key {place!r}{hint}"
    if detail["type"] == "missing":
        return f"key {place!r} is missing"
    return f"{place}: {validation_message(detail)}" if place else validation_message(detail)


def _keys_beside(place: Sequence[str | int], kind: type[FileKeys]) -> list[str]:
    """Return the keys of the mapping in which a key stands: `more.0.test_sets` is one of a block of scores."""
    for name in place[:-1]:
        if isinstance(name, str) and name in kind.model_fields:
            kind = _mapping_in(kind.model_fields[name].annotation) or kind
    return list(kind.model_fields)


def _mapping_in(annotation: Any) -> type[FileKeys] | None:
    if isinstance(annotation, type) and issubclass(annotation, FileKeys):
        return annotation
    return next(filter(None, map(_mapping_in, get_args(annotation))), None)
