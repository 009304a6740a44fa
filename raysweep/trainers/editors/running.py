"""Runs one edit and checks it: the base is what it was, nothing of the edit is left on it, and the edit acts.

An edit that changes no logit of its prompts and of two short texts says so in its counts: that a change has no effect,
since a copy was edited or rounding swallowed it, is what users of editors stumble over
(https://github.com/zjunlp/EasyEdit/issues, 163, 376 and 429).
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError, RaysweepError
from raysweep.machine import is_out_of_memory
from raysweep.models.adapters import put_adapter_on
from raysweep.models.deltas import bit_sums, fingerprints_of, write_delta
from raysweep.models.effects import ShortTexts
from raysweep.models.rounding import distance, evaluating
from raysweep.models.versions import unchanged_modules
from raysweep.models.whole_texts import plain_logits
from raysweep.records import ModelKind, ModelRef
from raysweep.trainers.editors.base import EditJob, Editor, EditServices, ModelEdit, PartTimes
from raysweep.trainers.editors.states import frozen
from raysweep.trainers.editors.texts import TextReader
from raysweep.trainers.loop import seeded_torch
from raysweep.trainers.reports import peak_memory

if TYPE_CHECKING:
    import torch

CHECKS = "checks"
"""The part of an edit's seconds that its checks take."""
CHANGES_NOTHING = "changes_nothing"
"""The count of an edit that says why it has no effect; empty if it has one."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Where a module of torch keeps its hooks."""


class SpoiledBase(RaysweepError):
    """An edit has left a base that is not what it was. The base must be loaded anew before anything is done with it."""


def run_edit(editor: Editor, job: EditJob, services: EditServices) -> ModelEdit:
    """Make one edit and check it.

    Returns:
        The edit. Its counts have in addition:
        `changes_nothing`: why the edit has no effect; empty if it has one.
        `logits`: how far it moves those of the short texts and of both prompts, see `models.rounding.distance`.
        `memory_bytes`: most memory that was in use meanwhile: of the accelerator, or by this process so far.
        In `seconds` and `cpu_seconds`, what the checks took.

    Raises:
        SpoiledBase: the base is not bit for bit what it was, also where the editor has raised an error.
        RaysweepError: memory ran out, or the editor returned what doesn't fit the base.
        HopelessError: the editor returned a tensor with values that are not finite.
        NotReproduced, UsageError: see `Editor.edit`.
    """
    import torch

    network, watch = job.base.network, PartTimes()
    with watch.part(CHECKS):
        tokens = TextReader(job.base).pair(job.pair)
        short = ShortTexts(network, job.base.tokenizer).ids
        texts = {f"short {number}": ids for number, ids in enumerate(short, 1)}
        texts |= {"original": tokens.original, "perturbed": tokens.perturbed}
        before = _logits(network, texts)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with _unspoiled(editor, job, watch):
        edit = _made(editor, job, services)
        memory = peak_memory()
    with watch.part(CHECKS):
        _require_fit(editor, job, edit)
        with _unspoiled(editor, job, PartTimes()), put_on(network, edit) as edited:
            after = _logits(edited, texts)
    counts = {**edit.counts, **_effect(before, after), "memory_bytes": memory}
    for name, seconds in watch.counts.items():
        counts[name] = {**counts.get(name, {}), **seconds}
    return dataclasses.replace(edit, counts=counts)


def save_edit(edit: ModelEdit, network: Any, out: Path) -> None:
    """Write what an edit has made as a model of the editor's kind: a delta that names its base, or PEFT's files.

    A delta may change nothing, as where no step lowered a loss: the counts say so, in `changes_nothing`.
    """
    for name, content in edit.adapter.items():
        (out / name).write_bytes(content)
    if edit.tensors:
        write_delta(edit.tensors, network.state_dict(), out, may_be_equal=True, fingerprints=fingerprints_of(network))


@contextmanager
def put_on(network: Any, edit: ModelEdit) -> Iterator[Any]:
    """Give the edited network for the block. The base's tensors are not written to, and are its own again afterwards.

    Raises:
        UnfitModel: an adapter doesn't fit the base.
    """
    import torch

    if edit.adapter:
        with (
            tempfile.TemporaryDirectory(prefix="raysweep-edit-") as folder,
            frozen(network),  # PEFT takes the gradients of a base
            unchanged_modules(network),
            seeded_torch(0, "an adapter's weights before its own are loaded"),
        ):
            for name, content in edit.adapter.items():
                Path(folder, name).write_bytes(content)
            device = network.get_input_embeddings().weight.device
            yield put_adapter_on(network, ModelRef(folder, ModelKind.ADAPTER)).to(device).eval()
        return
    own = {name: network.get_parameter(name) for name in edit.tensors}
    before = {name: parameter.data for name, parameter in own.items()}
    try:
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.data = edit.tensors[name].to(parameter)
        yield network
    finally:
        for name, parameter in own.items():
            parameter.data = before[name]


def _made(editor: Editor, job: EditJob, services: EditServices) -> ModelEdit:
    try:
        return editor.edit(job, services)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        error.__traceback__ = None  # it holds the tensors
        raise RaysweepError(
            f"memory ran out in an edit by {editor.name} for {job.pair.problem_set} {job.pair.task_id}; use a model in "
            "16 bits, an accelerator with more memory, or name other problems in `edits.problems`"
        ) from error


def _require_fit(editor: Editor, job: EditJob, edit: ModelEdit) -> None:
    """Raise RaysweepError unless an edit has a finite delta that fits the base, or an adapter, as its kind says."""
    place = f"editor {editor.name}"
    if bool(edit.tensors) == bool(edit.adapter) or bool(edit.adapter) != (editor.kind is ModelKind.ADAPTER):
        raise RaysweepError(f"{place} returned no {editor.kind}, or a second kind of model beside it")
    state = job.base.network.state_dict()
    for name, tensor in edit.tensors.items():
        if name not in state or state[name].shape != tensor.shape or state[name].dtype != tensor.dtype:
            raise RaysweepError(f"{place} returned the tensor {name!r}, which this base doesn't have in this form")
        if not bool(tensor.isfinite().all()):
            raise HopelessError(
                f"{place} made {name!r} infinite or not a number from the edit example of {job.pair.problem_set} "
                f"{job.pair.task_id}; use a smaller `lr`, fewer `steps`, or a model in float32"
            )


def _effect(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    import torch

    moved = {name: distance(after[name], before[name]) for name in before}
    is_equal = all(torch.equal(before[name], after[name]) for name in before)
    why = (
        "the edited model gives its base's very logits, on both prompts and on two short texts: no step lowered the "
        "loss, or what the edit changes is smaller than rounding"
    )
    return {CHANGES_NOTHING: why if is_equal else "", "logits": moved}


def _logits(network: Any, texts: Mapping[str, Sequence[int]]) -> dict[str, torch.Tensor]:
    """Return the logits of each text, (tokens, vocabulary), by its name."""
    import torch

    with evaluating(network), torch.no_grad():
        return {name: plain_logits(network, [ids])[0] for name, ids in texts.items()}


@contextmanager
def _unspoiled(editor: Editor, job: EditJob, watch: PartTimes) -> Iterator[None]:
    """Raise SpoiledBase if a base is not what it was after the block, however it ends; take off hooks left on it."""
    network = job.base.network
    with watch.part(CHECKS):
        before = _state(network)
    hooks = {id(module): {kind: set(getattr(module, kind)) for kind in HOOKS} for module in network.modules()}
    try:
        yield
    finally:
        left = _take_off(network, hooks)
        with watch.part(CHECKS):
            after = _state(network)
            changed = [name for name in before | after if before.get(name) != after.get(name)]
            changed.sort(key=lambda name: (" of " in name, name))  # tensors first
        if left or changed:
            what = [f"{left} hooks"] if left else []
            what += [f"another {name}" for name in changed[:3]] + (["and more"] if len(changed) > 3 else [])
            raise SpoiledBase(
                f"editor {editor.name} left {', '.join(what)} on its base after the edit for {job.pair.problem_set} "
                f"{job.pair.task_id}; the base is loaded anew, and what was made with it since is not to be used"
            )


def _state(network: Any) -> dict[str, Any]:
    """Return what must not change of a base, by name: sums over its tensors, and flags of its modules and tensors."""
    import torch

    with torch.no_grad():
        sums = {name: bit_sums(tensor) for name, tensor in network.state_dict().items()}
    names = list(sums)
    numbers = torch.stack([sums[name].cpu() for name in names]).tolist() if names else []
    flags = {f"mode of {name or 'the network'}": module.training for name, module in network.named_modules()}
    flags |= {f"requires_grad of {name}": parameter.requires_grad for name, parameter in network.named_parameters()}
    return {**dict(zip(names, numbers, strict=True)), **flags}


def _take_off(network: Any, kept: Mapping[int, Mapping[str, set[int]]]) -> int:
    removed = 0
    for module in network.modules():
        for kind in HOOKS:
            hooks = getattr(module, kind)
            for number in set(hooks) - kept.get(id(module), {}).get(kind, set()):
                del hooks[number]
                getattr(module, f"{kind}_with_kwargs", {}).pop(number, None)
                removed += 1
    return removed
