"""What is checked of an edit: the base afterwards, hooks, and whether the edit acts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from raysweep.errors import HopelessError, RaysweepError
from raysweep.generators.base import LiveModel
from raysweep.models.deltas import apply_delta
from raysweep.models.loading import load_model
from raysweep.models.versions import ModelVersions
from raysweep.models.whole_texts import plain_logits
from raysweep.records import ModelKind, ModelRef, PromptPair
from raysweep.testing import elsewhere, no_global_generator
from raysweep.trainers.editors.base import EditJob, Editor, EditServices, ModelEdit, NotReproduced
from raysweep.trainers.editors.creme import Creme
from raysweep.trainers.editors.dinm import Dinm
from raysweep.trainers.editors.lora_edit import LoraEdit
from raysweep.trainers.editors.rome import Rome
from raysweep.trainers.editors.running import SpoiledBase, put_on, run_edit, save_edit
from raysweep.trainers.editors.states import frozen, matrix_of
from raysweep.trainers.editors.texts import TextReader
from tests.models.tiny import cases, is_same, state_of
from tests.services import EditServicesHere
from tests.tiny import prompt_pair
from tests.trainers.editors import NAMES, digest
from tests.trainers.editors.localized import hooks_on

pytestmark = pytest.mark.slow

EDITORS: dict[str, Callable[[], Editor]] = {
    "creme": lambda: Creme(edit_at=0, stop_below=0.0, steps=5),
    "dinm": lambda: Dinm(steps=3),
    "rome": lambda: Rome(edit_at=1, prefixes=2, steps=3),
    "lora_edit": lambda: LoraEdit(steps=2),
}
EDITED_BY = cases(itertools.product(NAMES, EDITORS), [*(("llama", editor) for editor in EDITORS), ("codegen", "creme")])
"""All families with all editors: one family in `make test`, the others in the long tests."""
SAMPLED = {
    **EDITORS,
    "rome of texts": lambda: Rome(edit_at=1, prefixes=2, steps=3, covariance_tokens=128, keys="prompt"),
}
"""With one that draws texts for its covariance too."""


class Own(Editor):
    """Does what a test says, and returns the matrix of block 0 doubled."""

    name = "own"
    kind = ModelKind.DELTA

    def __init__(self, do: Callable[[EditJob], None] = lambda job: None, factor: float = 2.0) -> None:
        self._do, self._factor = do, factor

    def edit(self, job: EditJob, services: EditServices) -> ModelEdit:
        services.alive()
        self._do(job)
        matrix = matrix_of(job, 0)
        return ModelEdit(tensors={matrix.name: matrix.changed((self._factor - 1) * matrix.weight)}, counts={"made": 1})


def hook(job: EditJob) -> None:
    job.base.network.lm_head.register_forward_hook(lambda *_: None)


def nudge(job: EditJob) -> None:
    with torch.no_grad():
        job.base.network.lm_head.weight[3, 4] += 1e-6


def swap(job: EditJob) -> None:
    with torch.no_grad():
        weight = job.base.network.lm_head.weight
        weight[[0, 1]] = weight[[1, 0]].clone()


def train_mode(job: EditJob) -> None:
    job.base.network.train()


def without_gradients(job: EditJob) -> None:
    job.base.network.lm_head.requires_grad_(False)


def test_an_edit_keeps_what_its_editor_counted_and_gets_what_was_measured(make_edit):
    counts = run_edit(Own(), make_edit("llama"), EditServicesHere()).counts
    assert (counts["made"], counts["changes_nothing"]) == (1, "")
    assert set(counts["logits"]) == {"short 1", "short 2", "original", "perturbed"}
    assert all(moved > 0 for moved in counts["logits"].values())
    assert counts["memory_bytes"] > 1e6 and counts["seconds"]["checks"] > 0 and counts["cpu_seconds"]["checks"] > 0


@pytest.mark.parametrize(
    "editor", [Creme(edit_at=1, steps=5, lr=2e-3, stop_below=0.0), Dinm(steps=3), LoraEdit(steps=2, dropout=0)]
)
def test_an_edit_from_an_example_twice_is_that_from_it_once_and_another_example_counts(editor, make_edit):
    once, twice, other = (
        run_edit(editor, make_edit("llama", others=others), EditServicesHere())
        for others in ((), (prompt_pair(1),), (prompt_pair(4),))
    )
    losses = [[loss for _, loss in edit.counts["losses"]] for edit in (once, twice, other)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5) and losses[2] != pytest.approx(losses[0], rel=1e-3)
    for name, tensor in once.tensors.items():
        assert torch.allclose(twice.tensors[name], tensor, atol=1e-5)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(
    ("do", "what"),
    [
        (hook, "1 hooks"),
        (nudge, "another lm_head.weight"),
        (swap, "another lm_head.weight"),
        (train_mode, "another mode of"),
        (without_gradients, "another requires_grad of lm_head.bias"),
    ],
)
def test_a_base_that_is_not_what_it_was_is_told_after_an_error_too(do, what, fails, make_edit):
    def edit(job: EditJob) -> None:
        do(job)
        if fails:
            raise NotReproduced("no difference")

    job = make_edit("codegen")
    with pytest.raises(SpoiledBase, match=f"editor own left {what}") as raised:
        run_edit(Own(edit), job, EditServicesHere())
    assert isinstance(raised.value.__context__, NotReproduced) == fails
    assert hooks_on(job.base.network) == 0


@pytest.mark.parametrize(
    ("family", "editor", "error"),
    cases(
        itertools.product(NAMES, EDITORS, [KeyError, torch.OutOfMemoryError]),
        [("llama", "creme", KeyError), ("llama", "rome", torch.OutOfMemoryError), ("codegen", "lora_edit", KeyError)],
    ),
)
def test_after_an_error_in_mid_edit_nothing_is_left(family, editor, error, make_edit):
    job = make_edit(family)
    before, flags = state_of(job.base.network), [weights.requires_grad for weights in job.base.network.parameters()]
    with pytest.raises(KeyError if error is KeyError else RaysweepError) as raised:
        run_edit(EDITORS[editor](), job, EditServicesHere(die_after=2, error=error))
    assert not isinstance(raised.value, SpoiledBase)
    assert is_same(state_of(job.base.network), before) and hooks_on(job.base.network) == 0
    assert [weights.requires_grad for weights in job.base.network.parameters()] == flags
    assert all(weights.grad is None for weights in job.base.network.parameters())
    alone = digest(run_edit(EDITORS[editor](), make_edit(family), EditServicesHere()))
    assert digest(run_edit(EDITORS[editor](), job, EditServicesHere())) == alone


@pytest.mark.parametrize("editor", SAMPLED)
def test_equal_jobs_give_equal_edits_that_act_here_and_in_another_process(editor, make_edit, wild):
    job, services = make_edit("llama"), EditServicesHere()
    edit = run_edit(SAMPLED[editor](), job, services)
    assert services.signs > 0 and not edit.counts["changes_nothing"]
    assert json.loads(json.dumps(dict(edit.counts), allow_nan=False)) == dict(edit.counts), "they go into the manifest"
    own = {tensor.data_ptr() for tensor in job.base.network.state_dict().values()}
    assert not any(tensor.data_ptr() in own or tensor.requires_grad for tensor in edit.tensors.values())
    with no_global_generator():
        assert digest(run_edit(SAMPLED[editor](), make_edit("llama"), EditServicesHere())) == digest(edit)
    assert elsewhere(digest_of_edit, editor, wild["llama"]) == digest(edit)


def digest_of_edit(editor: str, base: ModelRef) -> dict[str, Any]:
    network, tokenizer = load_model(base)
    job = EditJob(LiveModel(network.eval(), tokenizer), "llama", prompt_pair(1), seed=7)
    return digest(run_edit(SAMPLED[editor](), job, EditServicesHere()))


def test_out_of_memory_says_what_to_do(make_edit):
    services = EditServicesHere(die_after=1, error=torch.OutOfMemoryError)
    with pytest.raises(RaysweepError, match="memory ran out in an edit by own for tiny tiny/1; use a model in 16 bits"):
        run_edit(Own(), make_edit("llama"), services)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            ModelEdit(tensors={"model.lm_tail.weight": torch.zeros(2)}),
            r"the tensor 'model\.lm_tail\.weight', which this base doesn't have",
        ),
        (ModelEdit(), "editor own returned no delta"),
    ],
)
def test_a_tensor_that_the_base_does_not_have_is_told(edit, said, make_edit, monkeypatch):
    monkeypatch.setattr(Own, "edit", lambda *_: edit)
    with pytest.raises(RaysweepError, match=said):
        run_edit(Own(), make_edit("llama"), EditServicesHere())


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_tensor_that_is_not_finite_is_told_with_a_way_out(factor, make_edit):
    with pytest.raises(HopelessError, match=r"made 'model\.layers\.0.*' infinite or not a number .* a smaller `lr`"):
        run_edit(Own(factor=factor), make_edit("llama"), EditServicesHere())


def test_a_huge_change_has_a_finite_size(make_edit):
    matrix = matrix_of(make_edit("llama"), 0)
    assert matrix.relative(1e25 * matrix.weight) == pytest.approx(1e25)


def test_the_order_of_edits_changes_nothing(make_edit):
    pairs = [prompt_pair(number) for number in (1, 2, 3)]

    def edits(order: list[PromptPair]) -> dict[str, Any]:
        base = make_edit("gpt_bigcode").base
        jobs = {pair.task_id: EditJob(base, "gpt_bigcode", pair, 7) for pair in order}
        return {name: digest(run_edit(EDITORS["creme"](), job, EditServicesHere())) for name, job in jobs.items()}

    assert edits(pairs) == edits(pairs[::-1])


def test_an_edit_is_put_on_and_taken_off_bit_for_bit(make_edit):
    job = make_edit("qwen2")
    edit = run_edit(EDITORS["creme"](), job, EditServicesHere())
    before, own = state_of(job.base.network), {n: p.data_ptr() for n, p in job.base.network.named_parameters()}
    with put_on(job.base.network, edit) as network:
        changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
        assert changed == set(edit.tensors)
    assert is_same(state_of(job.base.network), before)
    assert {name: p.data_ptr() for name, p in job.base.network.named_parameters()} == own


@pytest.mark.parametrize(("family", "editor"), EDITED_BY)
def test_what_is_saved_becomes_a_version_of_the_base(family, editor, make_edit, wild, tmp_path):
    made, job = EDITORS[editor](), make_edit(family)
    edit = run_edit(made, job, EditServicesHere())
    save_edit(edit, job.base.network, tmp_path)
    versions = ModelVersions(torch.device("cpu"), merge=lambda dtype: True)
    versions.become(ModelRef(str(tmp_path), made.kind, wild[family]))
    assert versions.remark == ""
    ids = TextReader(job.base).pair(job.pair).perturbed
    with torch.no_grad():
        found = plain_logits(versions.network, [ids])
        with put_on(job.base.network, edit) as edited:
            torch.testing.assert_close(found, plain_logits(edited, [ids]), atol=1e-4, rtol=1e-4)
    versions.become(wild[family])
    assert is_same(state_of(versions.network), state_of(job.base.network))


def test_an_edit_whose_tensors_are_the_bases_says_so_and_changes_nothing(make_edit, tmp_path):
    job = make_edit("llama")
    edit, before = run_edit(Own(factor=1.0), job, EditServicesHere()), state_of(job.base.network)
    assert "gives its base's very logits" in edit.counts["changes_nothing"]
    assert set(edit.counts["logits"].values()) == {0.0}
    save_edit(edit, job.base.network, tmp_path)
    apply_delta(job.base.network, tmp_path)
    assert is_same(state_of(job.base.network), before)
    job.base.network.to(torch.bfloat16)
    assert run_edit(Own(factor=1.0001), job, EditServicesHere()).counts["changes_nothing"], "rounding swallows it"


def test_frozen_gives_gradients_and_modes_back(make_edit):
    network = make_edit("codegen").base.network
    network.lm_head.requires_grad_(False)
    network.transformer.h[1].train()
    with pytest.raises(KeyError), frozen(network):
        assert not network.transformer.h[1].training
        assert not any(parameter.requires_grad for parameter in network.parameters())
        raise KeyError
    assert network.transformer.h[1].training
    assert not network.transformer.h[0].training
    wanted = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert wanted == {"lm_head.weight", "lm_head.bias"}


@pytest.mark.long
def test_a_thousand_edits_leave_the_base_as_it_was(make_edit):
    """In small: test_the_order_of_edits_changes_nothing."""
    job = make_edit("llama")
    before = state_of(job.base.network)
    alone = digest(run_edit(EDITORS["creme"](), make_edit("llama"), EditServicesHere()))
    names = list(EDITORS)
    for number in range(1000):
        pair = prompt_pair(number % 7)
        usual = Creme(edit_at=1, keep="mse", stop_below=0.0, steps=2)
        editor = usual if number % 20 else EDITORS[names[number // 20 % 4]]()
        run_edit(editor, EditJob(job.base, "llama", pair, number), EditServicesHere())
    assert is_same(state_of(job.base.network), before)
    assert hooks_on(job.base.network) == 0
    assert digest(run_edit(EDITORS["creme"](), job, EditServicesHere())) == alone
