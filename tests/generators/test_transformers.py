from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.errors import UsageError
from raysweep.generators.base import GENERATORS, Generator, cut_at_stop
from raysweep.generators.transformers import left_pad
from raysweep.models.loading import load_model
from raysweep.records import Decoding, GenerationRequest, ModelKind, ModelRef, Spec, TrainingRow
from raysweep.tables import write_rows
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.full import Full
from raysweep.trainers.lora import Lora
from tests.models.tiny import FAMILIES, pairs
from tests.trainers.conftest import FolderServices

STOP = ("\ndef", "\n#", "\n\n\n")


@pytest.fixture(scope="module")
def trained(tiny: dict[str, ModelRef], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModelRef]:
    """Models that write bodies and end them, as a random one would not."""
    known: dict[str, ModelRef] = {}

    def train(family: str) -> ModelRef:
        if family not in known:
            out = tmp_path_factory.mktemp(f"{family}-trained")
            Full().train(job_of(family, tiny[family], out, steps=40), FolderServices())
            known[family] = ModelRef(str(out))
        return known[family]

    return train


def job_of(family: str, base: ModelRef, out: Path, **fields: Any) -> TrainJob:
    rows = [TrainingRow(f"{i:03d}", "", p, "", o, "", "clean", False, p, "") for i, (p, o) in enumerate(pairs())]
    write_rows(out / "rows.parquet", TrainingRow, rows, ["row_id"])
    recipe = Recipe(**{"lr": 1e-2, "batch_size": 8, "template": "raw", **fields})
    return TrainJob(base, family, recipe, out / "rows.parquet", out, 7, family)


def make(model: ModelRef | None, decoding: Decoding = Decoding(40), **args: Any) -> Generator:
    return GENERATORS.create(Spec("transformers", args), model=model, decoding=decoding)


def requests(count: int = 32, **fields: Any) -> list[GenerationRequest]:
    return [
        GenerationRequest(str(i), f"t{i}", prompt, **{"stop": STOP, **fields})
        for i, (prompt, _) in enumerate(pairs(count))
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_is_that_of_transformers_own_generate(family: str, trained: Callable[[str], ModelRef]) -> None:
    ours = make(trained(family)).generate(requests())
    model, tokenizer = load_model(trained(family))
    for request, completion in zip(requests(), ours, strict=True):
        ids = torch.tensor([tokenizer(request.prompt)["input_ids"]])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False)
        text = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        assert completion.text == cut_at_stop(text, STOP)[0]
    assert {completion.stop for completion in ours} >= {"eos"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_a_completion_does_not_depend_on_its_batch(
    family: str, temperature: float, trained: Callable[[str], ModelRef]
) -> None:
    decoding = Decoding(40, temperature)
    whole = make(trained(family), decoding, batch_size=32).generate(requests())
    alone = make(trained(family), decoding, batch_size=1).generate(requests())
    turned = make(trained(family), decoding, batch_size=7).generate(requests()[::-1])[::-1]
    assert whole == alone == turned
    assert [completion.task_id for completion in whole] == [request.task_id for request in requests()]


def test_draws_differ_and_repeat_and_follow_task_and_seed(trained: Callable[[str], ModelRef]) -> None:
    def texts(seed: int = 1, **fields: Any) -> list[str]:
        hot = make(trained("llama"), Decoding(30, 1.5, 1.0, seed=seed))
        return [c.text for c in hot.generate([dataclasses.replace(r, **fields) for r in requests(6)])]

    assert texts() == texts(request_id="x")
    assert texts() != texts(seed=2) and texts() != texts(draw=1) and texts() != texts(task_id="x")


def test_clean_and_perturbed_prompts_of_a_problem_share_random_numbers(trained: Callable[[str], ModelRef]) -> None:
    hot = make(trained("llama"), Decoding(30, 1.0, 1.0))
    clean = [c.text for c in hot.generate(requests())]
    typo = [dataclasses.replace(r, prompt=r.prompt.replace("numbers", "nunbers")) for r in requests()]

    def shared(perturbed: list[GenerationRequest]) -> int:
        """Characters that the texts have in common with the clean prompts', from the start."""
        again = [c.text for c in hot.generate(perturbed)]
        return sum(next((i for i, (a, b) in enumerate(zip(x, y)) if a != b), len(x)) for x, y in zip(again, clean))

    assert shared(typo) > 1.5 * shared([dataclasses.replace(r, task_id=f"other {r.task_id}") for r in typo])


def test_a_stop_string_ends_a_completion_and_is_cut_off(trained: Callable[[str], ModelRef]) -> None:
    generator = make(trained("llama"))
    whole = generator.generate(requests(stop=()))
    cut = generator.generate(requests(stop=("xs",)))
    for long, short in zip(whole, cut, strict=True):
        assert short.text == long.text.split("xs")[0]
        if "xs" in long.text:
            assert short.stop == "xs" and short.tokens < long.tokens


def test_the_earliest_stop_string_wins(trained: Callable[[str], ModelRef]) -> None:
    (completion,) = make(trained("llama")).generate(requests(1, stop=("xs", "return", "turn")))
    assert (completion.text, completion.stop) == ("    ", "return")


def test_stop_strings_in_the_prompt_do_not_count(trained: Callable[[str], ModelRef]) -> None:
    (completion,) = make(trained("llama")).generate(requests(1, stop=("def f0", '"""\n')))
    assert completion.text.startswith("    return") and completion.stop == "eos"


def test_a_completion_has_at_most_the_tokens_allowed(trained: Callable[[str], ModelRef]) -> None:
    (completion,) = make(trained("llama"), Decoding(3)).generate(requests(1))
    assert (completion.tokens, completion.stop) == (3, "length")
    assert pairs(1)[0][1].startswith(completion.text)


@pytest.mark.parametrize(("room", "tokens"), [(5, 5), (0, 0), (-3, 0)])
def test_a_learned_position_table_is_never_overrun(
    room: int, tokens: int, tiny: dict[str, ModelRef], tmp_path: Path
) -> None:
    generator: Any = make(tiny["gpt_bigcode"])
    longest = requests(3)[2]
    prompt = longest.prompt * 40
    ids = generator.tokenizer(prompt)["input_ids"][: 384 - room]
    cut = dataclasses.replace(longest, prompt=generator.tokenizer.decode(ids), stop=())
    (completion, short) = generator.generate([cut, requests(1)[0]])
    assert completion.tokens <= tokens and (completion.stop == "length" or completion.tokens < tokens)
    assert short.tokens > 0


def test_an_adapter_generates_what_its_unmerged_model_does(tiny: dict[str, ModelRef], tmp_path: Path) -> None:
    lora = {"r": 4, "alpha": 8, "dropout": 0, "train_embeddings": True}
    job = job_of("gpt_bigcode", tiny["gpt_bigcode"], tmp_path, steps=25, lora=lora)
    Lora().train(job, FolderServices())
    ref = ModelRef(str(tmp_path), ModelKind.ADAPTER, tiny["gpt_bigcode"])
    model, tokenizer = load_model(ref)
    for request, completion in zip(requests(6), make(ref).generate(requests(6)), strict=True):
        ids = torch.tensor([tokenizer(request.prompt)["input_ids"]])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False)
        text = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        assert completion.text == cut_at_stop(text, STOP)[0]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_models_generate_too(dtype: str, trained: Callable[[str], ModelRef]) -> None:
    ref = dataclasses.replace(trained("llama"), dtype=dtype)
    assert all(c.text.startswith("    return") for c in make(ref).generate(requests(4)))


def test_no_requests_give_no_completions(tiny: dict[str, ModelRef]) -> None:
    assert make(tiny["llama"]).generate([]) == []


def test_models_it_can_not_run_are_refused(tiny: dict[str, ModelRef]) -> None:
    with pytest.raises(UsageError, match="encoder-decoder"):
        make(dataclasses.replace(tiny["llama"], architecture="seq2seq"))
    with pytest.raises(UsageError, match="needs a model"):
        make(None)


def test_padding_is_on_the_left() -> None:
    ids, mask = left_pad([[7, 8, 9], [5]])
    assert ids.tolist() == [[7, 8, 9], [0, 0, 5]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
