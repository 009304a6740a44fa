"""What a process keeps of one batch for the next, with several threads at work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from raysweep.engine import jobs
from raysweep.engine.base import EditRun, GenerateJob
from raysweep.engine.jobs import KeptGenerator
from raysweep.generators.base import Generator, LiveModel
from raysweep.generators.transformers import Transformers
from raysweep.models.loading import load_tokenizer
from raysweep.prompts.answers.extraction import Extract, extracted
from raysweep.prompts.answers.found import Found
from raysweep.prompts.templates import Prompter, PromptTemplate
from raysweep.records import Completion, Decoding, GenerationRequest, Problem, Spec
from tests.models.scripted import EOS, chat_bytes, write_scripted
from tests.patience import PATIENCE, eventually

JOB = GenerateJob("", None, Spec("fake"), Decoding(), [])


class Breaking(Generator):
    """Fails at its first batch when it is told to, unless it is sound."""

    name = "breaking"
    at_once = 2

    def __init__(self, is_sound: bool) -> None:
        super().__init__(None, Decoding())
        self.fails, self.begun = threading.Event(), threading.Event()
        if is_sound:
            self.begun.set()

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        if not self.begun.is_set():
            self.begun.set()
            assert self.fails.wait(PATIENCE)
            raise RuntimeError("broken")
        return []


def test_a_generator_that_fails_while_another_batch_takes_it_up_is_not_kept(monkeypatch):
    made: list[Breaking] = []

    def make(job: GenerateJob) -> Breaking:
        made.append(Breaking(is_sound=bool(made)))
        return made[-1]

    monkeypatch.setattr(jobs, "make_generator", make)
    kept, failed = KeptGenerator(), threading.Event()

    def fail() -> None:
        with pytest.raises(RuntimeError, match="broken"):
            kept.generate(JOB, [], lambda: None)
        failed.set()

    thread = threading.Thread(target=fail)
    thread.start()
    assert eventually(lambda: bool(made))
    assert made[0].begun.wait(PATIENCE)
    suits = kept._suits

    def slow(generator: Generator, job: GenerateJob) -> bool:
        made[0].fails.set()
        assert failed.wait(PATIENCE), "the first batch fails while the second one takes the generator up"
        return suits(generator, job)

    monkeypatch.setattr(kept, "_suits", slow)
    kept.generate(JOB, [], lambda: None)
    thread.join()
    monkeypatch.setattr(kept, "_suits", suits)
    kept.generate(JOB, [], lambda: None)
    assert len(made) == 2, "the third batch gets another one"


class Live(Breaking):
    """Has a model in memory."""

    def __init__(self) -> None:
        super().__init__(is_sound=True)
        self.network = torch.nn.Linear(2, 2)

    def live(self) -> LiveModel:
        return LiveModel(self.network, "tokenizer")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Live]:
    """The generators with a model in memory that were made in a test."""
    made: list[Live] = []

    def make(job: GenerateJob) -> Live:
        made.append(Live())
        return made[-1]

    monkeypatch.setattr(jobs, "make_generator", make)
    return made


def test_nothing_is_generated_while_a_model_is_edited_and_a_failed_edit_costs_the_generator(made):
    kept, generated = KeptGenerator(), threading.Event()
    kept.generate(JOB, [], lambda: None)

    def generate() -> None:
        kept.generate(JOB, [], lambda: None)
        generated.set()

    thread = threading.Thread(target=generate)

    def edit(model: LiveModel, alive: Callable[[], None]) -> dict[str, Any]:
        thread.start()
        assert not generated.wait(0.05)
        return {"of": type(model.network).__name__}

    assert kept.edit(EditRun(edit, JOB), lambda: None) == {"of": "Linear"}
    assert generated.wait(PATIENCE) and len(made) == 1
    thread.join()

    def fail(model: LiveModel, alive: Callable[[], None]) -> dict[str, Any]:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        kept.edit(EditRun(fail, JOB), lambda: None)
    kept.generate(JOB, [], lambda: None)
    assert len(made) == 2


def test_a_base_that_an_edit_leaves_changed_is_loaded_anew_and_one_that_was_put_back_is_not(made, caplog):
    def put_back(model: LiveModel, alive: Callable[[], None]) -> dict[str, Any]:
        weight = model.network.weight.data
        model.network.weight.data = weight + 1
        model.network.weight.data = weight
        return {}

    def leave(model: LiveModel, alive: Callable[[], None]) -> dict[str, Any]:
        model.network.weight.data += 1
        return {"kept": 1}

    kept = KeptGenerator()
    for _ in range(3):
        kept.edit(EditRun(put_back, JOB), lambda: None)
    assert len(made) == 1 and not caplog.text
    assert kept.edit(EditRun(leave, JOB), lambda: None) == {"kept": 1}
    assert "left its base changed" in caplog.text
    kept.generate(JOB, [], lambda: None)
    assert len(made) == 2


THOUGHT, ANSWER = "```python\ndef f():\n    return 0\n```\n</think>\n\n", "```python\ndef f():\n    return 1\n```\n"
TASK = Problem("t", 'def f():\n    """Return 1."""\n', "f", "")


@pytest.mark.parametrize(("tokens", "found"), [(9, "return 1"), (1, None)])
def test_a_text_whose_prompt_opened_reasoning_begins_with_it_so_that_a_cut_one_has_no_program(tokens, found, tmp_path):
    """The piece ends with the closing tag; a model that is cut within it has written a draft alone."""
    draft, rest = THOUGHT[:-10], THOUGHT[-10:]
    pieces = [draft, rest, ANSWER]
    model = write_scripted(tmp_path / "model", chat_bytes("opens reasoning", (), pieces), [*pieces, EOS])
    prompter = Prompter("chat", False, PromptTemplate("chat", "", load_tokenizer(model)))
    asked = prompter.request("0", TASK, TASK.prompt)
    (completion,) = jobs.generate(Transformers(model, Decoding(tokens)), [asked])
    assert completion.text.startswith(f"<think>\n{draft}") and completion.tokens == min(tokens, 4)
    taken = extracted(TASK, completion.text, Extract.AUTO)
    assert (found in taken.program.text) if found else (taken.found is Found.NOTHING)
