import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.analysis.page.sample_viewer import choose_results, choose_tasks, safe_json, samples_json
from raysweep.analysis.sections.base import ShownResult, ShownText
from raysweep.records import PromptRow, Result
from tests.analysis.examples import HOSTILE, pair, realistic_samples

ANY_TEXT = st.text(st.characters(), max_size=40)  # lone surrogates and astral characters included


def units(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def rebuilt(clean: str, edits: list[int | str]) -> str:
    """What the page shows: the edits applied to the clean prompt, counted as JavaScript counts."""
    before, position, after = units(clean), 0, b""
    for edit in edits:
        if isinstance(edit, str):
            after += units(edit)
        else:
            after += before[2 * position : 2 * (position + edit)] if edit > 0 else b""
            position += abs(edit)
    assert 2 * position == len(before)
    return after.decode("utf-16-le", "surrogatepass")


def prompt_pair(clean: str, after: str):
    row = PromptRow("minicode/0", after, clean, "C1", clean != after, True)
    return replace(pair(tasks=1), prompts=[row])


@given(ANY_TEXT, ANY_TEXT)
def test_a_prompt_comes_back_from_its_edits_whatever_its_characters(clean: str, after: str):
    data = json.loads(samples_json([prompt_pair(clean, after)]))
    assert data["sets"][0]["clean"] == [clean]
    assert rebuilt(clean, data["tests"][0]["edits"][0]) == after


@given(st.lists(ANY_TEXT))
def test_json_loads_back_equal_and_holds_nothing_that_ends_a_script(texts: list[str]):
    embedded = safe_json(texts + list(HOSTILE))
    assert json.loads(embedded) == texts + list(HOSTILE)
    assert re.fullmatch(r"[ -~]*", embedded)
    assert not set("<>&") & set(embedded)


def test_a_row_holds_task_draw_outcome_and_its_texts():
    data = json.loads(samples_json([pair(tasks=2, texts=["    return x\n"], fails=[1])]))
    first, second = data["pairs"][0]["rows"][:6], data["pairs"][0]["rows"][6:]
    assert [data["texts"][n] for n in first[3:]] == ["    return x\n", "", ""]
    assert [data["texts"][n] for n in second[3:]] == ["    return x\n", "assert candidate(1) == 0", ""]
    assert [data["outcomes"][row[2]] for row in (first, second)] == ["passed", "failed"]
    assert [data["sets"][0]["tasks"][row[0]] for row in (first, second)] == ["minicode/0", "minicode/1"]


def test_prompts_and_equal_completions_stand_once_for_all_models():
    samples = [pair(model, "C", name, 5, ["same"]) for model in ("llama", "gpt_bigcode") for name in ("clean", "C")]
    data = json.loads(samples_json(samples))
    assert len(data["pairs"]) == 4
    assert [test["name"] for test in data["tests"]] == ["clean", "C"]
    assert len(data["sets"][0]["clean"]) == 5
    assert data["texts"].count("same") == 1


def test_a_cap_keeps_the_same_tasks_in_every_pair_and_says_how_many_there_were():
    samples = [pair("llama", "base", "clean", 50), pair("gpt_bigcode", "C", "C", 50, fails=[1, 2])]
    data = json.loads(samples_json(samples, max_per_pair=7))
    tasks = [p["rows"][::6] for p in data["pairs"]]
    assert tasks[0] == tasks[1] == list(range(7))
    assert [p["total"] for p in data["pairs"]] == [50, 50]
    assert samples_json(samples, 7) == samples_json(samples, 7)


def test_a_cap_takes_first_draws_first_and_not_the_first_tasks():
    rows = [Result(f"t/{task}", draw, "passed", "", "", 0.0, "") for task in range(40) for draw in range(3)]
    kept = choose_results(rows, 10)
    assert {row.sample for row in kept} == {0}
    assert [row.task_id for row in kept] != [f"t/{task}" for task in range(10)]
    assert choose_results(list(reversed(rows)), 10) == kept


def test_a_pair_without_the_results_that_a_cap_leaves_out_is_shown_alike():
    whole = [pair("llama", "base", "clean", 50), pair("gpt_bigcode", "C", "C", 50, fails=[1, 2])]
    tasks = choose_tasks([prompt.task_id for prompt in whole[0].prompts], 7)
    some = [
        replace(
            one,
            completions=[ShownText(row.task_id, 0, row.text) for row in one.completions if row.task_id in tasks],
            results=[
                ShownResult(row.task_id, 0, row.outcome, row.detail, row.stderr)
                for row in one.results
                if row.task_id in tasks
            ],
            total=50,
        )
        for one in whole
    ]
    assert samples_json(some, max_per_pair=7) == samples_json(whole, max_per_pair=7)


def test_tasks_are_listed_as_people_count():
    kept = choose_results([Result(f"HumanEval/{n}", 0, "passed", "", "", 0.0, "") for n in (10, 9, 100)], 3)
    assert [row.task_id for row in kept] == ["HumanEval/9", "HumanEval/10", "HumanEval/100"]


def test_prompts_of_pairs_with_different_tasks_are_all_there():
    data = json.loads(samples_json([pair(tasks=2), pair("gpt_bigcode", tasks=4)]))
    assert len(data["sets"][0]["tasks"]) == 4
    assert None not in data["tests"][0]["edits"]


def test_a_result_without_its_completion_shows_an_empty_one():
    data = json.loads(samples_json([replace(pair(tasks=1), completions=[])]))
    assert data["texts"][data["pairs"][0]["rows"][3]] == ""


@pytest.mark.slow
def test_a_sweep_of_14400_samples_stays_small():
    embedded = samples_json(realistic_samples())
    data = json.loads(embedded)
    assert sum(len(p["rows"]) // 6 for p in data["pairs"]) == 14_400
    assert len(embedded) < 5_000_000


def test_the_program_that_was_taken_out_of_an_answer_stands_beside_it():
    plain, chat = pair(tasks=2, texts=["answer"]), pair("chat", tasks=2, texts=["answer"])
    chat = replace(chat, results=[replace(chat.results[0], found="fence", program="code"), chat.results[1]])
    data = json.loads(samples_json([plain, chat]))
    assert data["pairs"][0]["programs"] == []
    assert [data["texts"][text] for text in data["pairs"][1]["programs"]] == ["code", ""]
