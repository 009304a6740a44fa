"""Models with an encoder and a decoder: how rows are encoded, what the loss is, and that all trainers train them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from raysweep.errors import HopelessError, UnfitModel, UsageError
from raysweep.models.loading import adapter_misfit, load_model, load_tokenizer
from raysweep.models.versions import ModelVersions
from raysweep.records import ModelKind, ModelRef, TrainingRow
from raysweep.rows.parquet import read_rows
from raysweep.trainers.base import TRAINERS, TrainJob
from raysweep.trainers.batching import collate
from raysweep.trainers.encoding import EncodedSet, encode_set
from raysweep.trainers.full import load_for_training
from raysweep.trainers.loop import TrainingLoop
from raysweep.trainers.objectives.sft import Sft
from tests.models.configs import make_random
from tests.models.test_traits import rewrite
from tests.models.tiny import cases
from tests.services import FolderServices
from tests.tiny import make_tiny
from tests.trainers.conftest import difference, encoded, loop_of, tensors_of, train, train_and_resume
from tests.trainers.test_distributed import train_together
from tests.trainers.test_loop import flat_gradient, relative
from tests.trainers.test_validation import validated

pytestmark = pytest.mark.slow

BATCH = {"input_ids": torch.arange(5, 25)[None], "decoder_input_ids": torch.arange(7, 17)[None]}
TRAINERS_OF_MODELS = ("full", "lora", "ia3")


def own_losses(model: Any, data: EncodedSet, count: int) -> torch.Tensor:
    """Transformers' own loss of the first rows, one by one."""
    rows = [{name: torch.tensor([row[name].tolist()]) for name in ("input_ids", "labels")} for row in data.rows[:count]]
    return torch.stack([model(**row).loss for row in rows])


def test_the_encoder_reads_the_prompt_and_the_decoder_writes_the_response_and_its_end(make_job):
    job = make_job("t5")
    tokenizer, data = load_tokenizer(job.base), encoded(job)[1]
    rows = sorted(read_rows(job.training_set, TrainingRow), key=lambda row: row.row_id)
    assert len(data.rows) == 40
    for row, made in zip(rows, data.rows, strict=True):
        assert tokenizer.decode(made["input_ids"]) == row.instruction
        assert tokenizer.decode(made["labels"]) == row.output + tokenizer.eos_token
        fix = tokenizer(row.output)["input_ids"]
        assert len(made["labels"]) == len(fix) + 1 == int((made["weights"] > 0).sum())
    assert data.lengths == [len(row["input_ids"]) + len(row["labels"]) for row in data.rows]


def test_what_a_tokenizer_puts_around_a_text_is_put_around_prompts_alone(make_job):
    from tokenizers.processors import TemplateProcessing

    job = make_job("t5")
    model, tokenizer = load_model(job.base)
    plain = encode_set(job, tokenizer, model.config).rows[0]
    one = (tokenizer.eos_token, tokenizer.eos_token_id)
    processor = TemplateProcessing(single=f"$A {one[0]}", special_tokens=[one])
    tokenizer.backend_tokenizer.post_processor = processor  # as T5's and CodeT5's do
    ended = encode_set(job, tokenizer, model.config).rows[0]
    assert ended["input_ids"].tolist() == [*plain["input_ids"].tolist(), tokenizer.eos_token_id]
    assert ended["labels"].tolist() == plain["labels"].tolist()


def test_too_long_prompts_and_too_long_responses_are_left_out_and_counted(make_job):
    job = make_job("t5")
    model, tokenizer = load_model(job.base)
    model.config.n_positions = 1  # as in CodeT5's config, where it limits nothing
    widths = [max(len(row["input_ids"]), len(row["labels"])) for row in encode_set(job, tokenizer, model.config).rows]
    most = sorted(widths)[20]
    found = encoded(job, max_tokens=most)[1]
    assert len(widths) == 40 and len(found.rows) == sum(width <= most for width in widths)
    assert found.dropped == {f"over {most} tokens": sum(width > most for width in widths)}


@pytest.mark.parametrize("reduction", ["per_row", "per_token"])
def test_the_loss_is_transformers_own(reduction, make_job):
    model, data = encoded(make_job("t5", objective_args={"reduction": reduction}))
    rows, batch = data.rows[:5], collate(data.rows[:5], 512)
    with torch.no_grad():
        ours = data.objective.loss(model, batch) / data.objective.normaliser(rows)
        if reduction == "per_row":
            theirs = own_losses(model, data, 5).mean()
        else:
            labels = batch["labels"].masked_fill(batch["weights"] == 0, -100)
            theirs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
    assert float(ours) == pytest.approx(float(theirs), abs=1e-6)


def test_padding_changes_no_row(make_job):
    model, data = encoded(make_job("t5"))
    with torch.no_grad():
        for row in data.rows[:6]:
            alone = data.objective.loss(model, collate([row], 512, pad_to=1))
            padded = data.objective.loss(model, collate([row], 512, pad_to=96))
            assert float(padded) == pytest.approx(float(alone), abs=1e-6)


def test_any_batching_gives_the_gradient_of_single_rows(make_job):
    model, data = encoded(make_job("t5"))
    own_losses(model, data, 16).mean().backward()
    expected = flat_gradient(model)
    for fields in ({"micro_batch_size": 1}, {"micro_batch_size": 5}, {"gradient_checkpointing": True}, {}):
        loop = loop_of(make_job("t5", batch_size=16, **fields))
        loop.add_gradients(sorted(range(16), key=lambda row: -loop.data.lengths[row]))
        assert relative(flat_gradient(loop.model), expected) < 1e-5


@pytest.mark.parametrize("trainer", cases(TRAINERS_OF_MODELS, ("full",)))
def test_a_training_learns_reloads_and_resumes_bit_for_bit(trainer, make_job, tmp_path):
    rate = {"full": 1e-2, "lora": 5e-2, "ia3": 0.3}[trainer]
    whole = validated(make_job("t5", "whole", trainer=trainer, lr=rate, steps=12, checkpoint_every=4), tmp_path)
    counts = train_and_resume(whole, tmp_path, 8)
    assert counts["losses"][-1][1] < counts["losses"][0][1]
    rows = encoded(whole)[1].validation.rows
    with torch.no_grad():
        loss = float(Sft().loss(loaded(whole), collate(rows, 512))) / len(rows)
    assert counts["validation_losses"][-1][1] == pytest.approx(loss, rel=1e-5)
    assert counts["held_out"]["curves"]["validation_cross_entropy"][-1][1] > 0


def loaded(job: TrainJob) -> Any:
    kind = TRAINERS.get(job.recipe.trainer).kind
    base = None if kind is ModelKind.FULL else job.base
    return load_model(ModelRef(str(job.out), kind, base, architecture="seq2seq"))[0]


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = model(**BATCH).logits
    return out


@pytest.mark.long
@pytest.mark.parametrize("parallel", ["ddp", "zero2", "zero3"])
def test_two_workers_train_the_models_that_one_trains_and_resume_them(parallel, make_job, tmp_path):
    """In small: test_any_batching_gives_the_gradient_of_single_rows, since two workers share the rows of a step."""
    if parallel != "ddp":
        pytest.importorskip("deepspeed")
    jobs: list[tuple[TrainJob, int]] = []
    for trainer in TRAINERS_OF_MODELS:
        lora = {"dropout": 0.0} if trainer == "lora" else {}
        alone = make_job("t5", trainer, trainer=trainer, steps=3, checkpoint_every=1, lora=lora)
        TRAINERS.get(trainer)().train(alone, FolderServices(tmp_path / f"{trainer}-state"))
        recipe = dataclasses.replace(alone.recipe, workers=2, parallel=parallel)
        jobs.append((dataclasses.replace(alone, out=tmp_path / f"{trainer}-both", recipe=recipe), 2))
    train_together(2, jobs, tmp_path / "work")
    for job, _ in jobs:
        trainer = job.recipe.trainer
        assert difference(tmp_path / trainer, job.out) < 2e-4


@pytest.mark.parametrize("trainer", ["lora", "ia3"])
def test_an_adapter_starts_as_its_base_bit_for_bit(trainer, make_job):
    job = make_job("t5", trainer=trainer)
    model, _ = load_for_training(job.base)
    before = logits_of(model)
    adapted = TRAINERS.get(trainer)().add_adapter(model, job).eval()
    assert torch.equal(logits_of(adapted), before)
    assert adapted.active_peft_config.task_type == "SEQ_2_SEQ_LM"


@pytest.mark.parametrize("trainer", ["lora", "ia3"])
def test_one_loaded_base_serves_its_adapters_and_stays_as_it_was(trainer, make_job):
    job = make_job("t5", steps=10, lr=5e-2, trainer=trainer)
    train(job)
    adapter = ModelRef(str(job.out), ModelKind.ADAPTER, job.base, architecture="seq2seq")
    assert adapter_misfit(adapter) == ""
    versions = ModelVersions(torch.device("cpu"), merge=lambda dtype: True)
    versions.become(job.base)
    before = logits_of(versions.network)
    assert not torch.allclose(logits_of(loaded(job)), before, atol=1e-3)
    versions.become(adapter)  # whose merged logits are compared with those beside the base
    assert versions.is_merged and not versions.remark
    torch.testing.assert_close(logits_of(versions.network), logits_of(loaded(job)), atol=2e-5, rtol=0)
    versions.become(job.base)
    assert torch.equal(logits_of(versions.network), before) and versions.loads == 1


def test_the_trained_weights_are_as_many_as_the_closed_forms_say(make_job):
    # width 32, 4 heads of 8, inner width 48, 2 blocks in the encoder, and 2 with two attentions each in the decoder
    attentions, blocks, width, inner, rank = 2 + 2 * 2, 4, 32, 48, 8
    tokens = len(load_tokenizer(make_job("t5").base))
    matrices = attentions * 4 * width * width + blocks * 2 * width * inner + tokens * width
    norms, buckets = (2 * 2 + 2 * 3 + 2) * width, 2 * 32 * 4
    for trainer, expected in (
        ("lora", attentions * 2 * rank * (width + width)),
        ("ia3", attentions * 2 * width + blocks * inner),
        ("full", matrices + norms + buckets),
    ):
        counts = train(make_job("t5", trainer=trainer, steps=1, lora={"r": rank}))
        assert counts["trainable_weights"] == expected, trainer


def test_tied_embeddings_stay_tied_in_a_trained_model(make_job):
    job = make_job("t5")
    train(job)
    model = loaded(job)
    ends = (model.shared, model.encoder.embed_tokens, model.decoder.embed_tokens, model.lm_head)
    assert len({end.weight.data_ptr() for end in ends}) == 1 and model.config.tie_word_embeddings
    assert sum("shared" in name or "embed_tokens" in name for name in tensors_of(job.out)) == 1


@pytest.mark.parametrize(
    "lora",
    [
        {"train_embeddings": True},
        {"modules_to_save": ["shared"]},
        {"preset": "study"},
        {"targets": ["q", "lm_head"]},
        {"targets": ["shared"]},
    ],
)
def test_adapters_of_shared_embeddings_are_refused(lora, make_job):
    job = make_job("t5", trainer="lora", lora=lora)
    with pytest.raises(HopelessError, match="output layer of this t5 model share their embeddings, which no adapter"):
        train(job)


def test_an_output_layer_of_its_own_can_be_adapted(make_job, tmp_path):
    job = make_job("t5", trainer="lora", steps=5, lr=5e-2, lora={"preset": "study"})
    base = make_tiny("t5", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({**tensors, "lm_head.weight": tensors["shared.weight"] / 16}, tmp_path / "model.safetensors")
    rewrite(tmp_path / "config.json", tie_word_embeddings=False, scale_decoder_outputs=None)
    job = dataclasses.replace(job, base=base)
    train(job)
    assert any("lm_head" in name for name in tensors_of(job.out))
    torch.testing.assert_close(logits_of(loaded(job).merge_and_unload()), logits_of(loaded(job)), atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"batching": "packed"}, "an encoder-decoder model takes no packed rows; use `batching: padded`"),
        ({"objective_args": {"prompt_weight": 1.0}}, "an encoder-decoder model writes no prompt, so `prompt_weight`"),
        *(
            ({"objective": name}, f"objective {name} doesn't train encoder-decoder models; use")
            for name in ("dpo", "fait", "fixed")
        ),
    ],
)
def test_what_does_not_go_with_an_encoder_is_refused(fields, said, make_job):
    with pytest.raises(UsageError, match=said):
        loop_of(make_job("t5", **fields))


def test_a_config_without_a_first_token_of_decoders_is_refused(make_job):
    job = make_job("t5")
    model, tokenizer = load_model(job.base)
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id = config.bos_token_id = None
    with pytest.raises(UnfitModel, match="no `decoder_start_token_id`"):
        TrainingLoop(model, encode_set(job, tokenizer, model.config), job, FolderServices()).run()


def test_all_weights_of_a_bart_are_trained_beside_a_bias_that_stays_zero(make_job, tmp_path):
    job = dataclasses.replace(make_job("t5", steps=1), base=make_random("bart", tmp_path / "bart"), family="bart")
    train(job)
    trained = tensors_of(job.out)
    assert not trained["final_logits_bias"].any() and trained["model.shared.weight"].any()


def test_sixteen_bits_train_a_t5_too(make_job):
    losses = [train(make_job("t5", how, steps=5, precision=how))["final_loss"] for how in ("float32", "bf16")]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
