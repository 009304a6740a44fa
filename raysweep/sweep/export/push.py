"""Sends a sweep's models, their cards and its results to a repository of the Hugging Face hub.

One model lies at the top of the repository, where every library looks for it; several lie in a folder each, named as
their cells. Models that only raysweep loads (deltas of edits) aren't sent, only their numbers. Of a whole sweep its
config, its report and all its numbers are sent too.

Each model is a commit, and all else the last one, so an interrupted command sends what is missing when it is given
again: huggingface_hub leaves out files that the repository has. Nothing in the repository is removed. The token is that
of huggingface_hub's own login.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from raysweep.errors import RaysweepError, UsageError, last_line
from raysweep.models.deltas import DELTA_FILE
from raysweep.rows.hub import hub_is_reachable, network_errors
from raysweep.sweep.export.formats import chosen_cells, missing_results, nothing_to_export
from raysweep.sweep.export.model_card import CARD, card_file, is_hub_id, sweep_card
from raysweep.sweep.export.scores import CellScores, cell_scores
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridArtefact, GridRow
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.overview.status import base_of_adapter
from raysweep.sweep.report.facts import sweep_signature
from raysweep.units import count, size

log = logging.getLogger("raysweep")

ADAPTER = "adapter_config.json"
PASSING = (408, 429, 500, 502, 503, 504)
"""Status codes of a hub that answers otherwise later; 429: more commits within an hour than it allows."""
AGAIN = "give the same command again, and what is missing there is sent"
CONFIG, REPORT, SCORES = "config.yaml", "report.html", "scores.csv"


@dataclass(frozen=True)
class HubCommit:
    """What one commit sends.

    Attributes:
        title: the commit's.
        texts: contents by the file's name in the repository.
        weights: the artefact whose files are sent, below `folder`; None: there are none, or only raysweep loads them.
        files: sizes of the artefact's files in bytes, by their names in it.
        folder: empty for the repository's top, else with a slash at its end.
    """

    title: str
    texts: Mapping[str, str]
    weights: GridArtefact | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    folder: str = ""

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each file by its name in the repository."""
        sizes = {f"{self.folder}{name}": length for name, length in self.files.items()}
        return sizes | {name: len(text.encode()) for name, text in self.texts.items()}


@dataclass(frozen=True)
class Push:
    """What goes to a repository, or went there. `card`: the content of its README.md; `url`: empty before."""

    repo: str
    private: bool
    card: str
    parts: tuple[HubCommit, ...]
    notes: tuple[str, ...]
    url: str = ""

    def sizes(self) -> dict[str, int]:
        return {name: length for part in self.parts for name, length in part.sizes().items()}


def prepare_push(folder: SweepFolder, repo: str, model: str | None = None, *, private: bool = True) -> Push:
    """Return what would be sent; nothing is sent, and the hub isn't asked. `model`: see `export_format`.

    Raises:
        UsageError: the repository's name is none, there is no such model, or nothing has results yet.
        StoreError: an artefact can't be read.
    """
    _require_repo(repo)
    cells = chosen_cells(folder, model)
    notes = missing_results(folder, cells)
    scores = {cell.id: cell for cell in cell_scores(folder) if cell.id in cells}
    if not scores:
        raise nothing_to_export(folder, notes)
    parts: list[HubCommit] = []
    rest = _sweep_files(folder, notes) if model is None else {}
    described: dict[str, tuple[CellScores, str, str]] = {}
    caveats: dict[str, list[str]] = {}
    for cell, numbers in scores.items():
        signature, weights = sweep_signature(folder, cells[cell]), cells[cell][0].weights
        below = f"{cell}/" if len(scores) > 1 else ""
        name, text = card_file(folder, numbers, signature)
        named = {below + name: text}
        files, what = _files_of_model(folder, cells[cell][0], caveats)
        if files:
            parts.append(HubCommit(f"{cell} of {folder.name}", named, weights, files, below))
        else:
            rest |= named
        described[cell] = numbers, signature, what
    if len(scores) > 1:
        rest[CARD] = sweep_card(folder, repo, described)
    if rest:
        parts.append(HubCommit(f"results of {folder.name}", rest))
    notes += [_told(caveat, names) for caveat, names in caveats.items()]
    if not private:
        notes += _paths_told(folder, rest)
    (card,) = {part.texts[CARD] for part in parts if CARD in part.texts}
    return Push(repo, private, card, tuple(parts), tuple(notes))


def send(folder: SweepFolder, push: Push) -> Push:
    """Send what `prepare_push` returned, to a repository that is made if there is none; return it with its address.

    Raises:
        UsageError: huggingface_hub is offline or not logged in, the hub refuses, or the repository is public though a
            private one was asked for.
        RaysweepError: the network failed, or the hub takes no more for now.
        StoreError: an artefact can't be read.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        raise UsageError("HF_HUB_OFFLINE is set, so nothing can be sent to the hub; unset it")
    if huggingface_hub.get_token() is None:
        raise UsageError("this machine isn't logged in to the hub; give `hf auth login`, with a token that may write")
    if not hub_is_reachable():
        raise RaysweepError(f"the hub at {constants.ENDPOINT} can't be reached; {AGAIN}")
    hub = huggingface_hub.HfApi()
    try:
        url = hub.create_repo(push.repo, private=push.private, exist_ok=True)
        if push.private and not hub.repo_info(push.repo).private:
            raise UsageError(f"the repository {push.repo} is public; add --public, or name another one")
        for part in push.parts:
            log.info("sending %s, %s", part.title, size(sum(part.sizes().values())))
            hub.create_commit(push.repo, list(_operations(folder, part)), commit_message=part.title)
    except errors.HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in PASSING:
            raise RaysweepError(f"the hub can't take {push.repo} now ({last_line(error)}); {AGAIN}") from error
        raise UsageError(f"the hub refuses {push.repo}: {last_line(error)}") from error
    except network_errors(RuntimeError) as error:  # RuntimeError: of huggingface_hub, for the upload of one file
        why = last_line(error.__cause__ or error)
        raise RaysweepError(f"sending to the hub at {constants.ENDPOINT} failed ({why}); {AGAIN}") from error
    return Push(push.repo, push.private, push.card, push.parts, push.notes, str(url))


def _operations(folder: SweepFolder, part: HubCommit) -> Iterator[Any]:
    from huggingface_hub import CommitOperationAdd

    if part.weights is not None:
        local = folder.store.use(part.weights)
        for name in part.files:
            yield CommitOperationAdd(part.folder + name, local / name)
    for name, text in part.texts.items():
        yield CommitOperationAdd(name, text.encode())


def _require_repo(repo: str) -> None:
    from huggingface_hub import errors
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo)
        is_valid = "/" in repo
    except errors.HFValidationError:
        is_valid = False
    if not is_valid:
        raise UsageError(f"--push {repo!r} names no repository of the hub; give OWNER/NAME")


def _files_of_model(folder: SweepFolder, row: GridRow, caveats: dict[str, list[str]]) -> tuple[dict[str, int], str]:
    """Return the sizes of the files of a cell's model that are sent, by name, and what they are, in words.

    `caveats`: gets the cell below what is to be known of its weights, if anything.
    """
    weights = row.weights
    if weights is None:
        return {}, "not of this sweep"
    if not folder.store.has(weights):
        caveats.setdefault("no weights are in the store, so only numbers are sent", []).append(row.cell)
        return {}, "dropped"
    described = folder.store.manifest(weights)["files"]
    if DELTA_FILE in described:
        caveats.setdefault("only raysweep can load an edit's weights, so only numbers are sent", []).append(row.cell)
        return {}, "of an edit, not sent"
    files = {name: about["bytes"] for name, about in described.items() if name != CARD}
    total = size(sum(files.values()))
    if ADAPTER not in described:
        return files, total
    base = base_of_adapter(folder, weights)
    if is_hub_id(base):
        return files, f"adapter on {base}, {total}"
    path = f"{ADAPTER} names the base by a path of this machine, {base}; others must put the adapter on it themselves"
    caveats.setdefault(path, []).append(row.cell)
    return files, f"adapter, {total}"


def _paths_told(folder: SweepFolder, rest: Mapping[str, str]) -> list[str]:
    """Return that the sweep's own files name paths of this machine, if a model has one. `rest`: those files."""
    paths = [model.path for model in folder.config().models if model.path and not is_hub_id(model.path)]
    names = [name for name in (CONFIG, REPORT) if name in rest]
    if not paths or not names:
        return []
    name = "name" if len(names) > 1 else "names"
    return [f"{' and '.join(names)} {name} paths of this machine, such as {paths[0]}, for all to read"]


def _told(caveat: str, cells: list[str]) -> str:
    who = cells[0] if len(cells) == 1 else f"{count(len(cells), 'model')}, such as {cells[0]}"
    return f"{who}: {caveat}"


def _sweep_files(folder: SweepFolder, notes: list[str]) -> dict[str, str]:
    files = {CONFIG: (folder.path / CONFIG).read_text(encoding="utf-8")}
    if (folder.path / REPORT).is_file():
        files[REPORT] = (folder.path / REPORT).read_text(encoding="utf-8")
        files[SCORES] = SavedNumbers(folder).frame().to_csv(index=False)
    else:
        notes.append(
            f"there is no report, so neither it nor {SCORES} is sent; `raysweep report {folder.name}` writes it"
        )
    return files
