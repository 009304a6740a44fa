"""`raysweep attack`: stored problem by problem, resumed, compared with random changes, printed."""

import json
from dataclasses import replace

import pytest

from raysweep.cli.app import main
from raysweep.cli.views.attack import change_of, print_attack, write_rows
from raysweep.errors import UsageError
from raysweep.models.finding import resolve
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.textattack import loading
from raysweep.problems.base import PROBLEMS
from raysweep.problems.bigcodebench import BigCodeBench
from raysweep.prompts.answers.ways import Extract
from raysweep.records import Spec
from raysweep.storage.store import Store
from raysweep.tools.attack import run as attack_run
from raysweep.tools.attack.run import AttackJob, rates_of, run_attack
from raysweep.tools.attack.search import SEARCHES, AttackResult
from tests.models.scripted import byte_tokenizer, write_scripted
from tests.models.tiny import make_chat_model
from tests.problems.bigcodebench_tasks import write_rows as write_tasks

ROW = AttackResult("T/1", "greedy", "succeeded", 9, "text", 1, 0.1)


def job(model="fake", **more) -> AttackJob:
    settings = {
        "problem_set": PROBLEMS.create(Spec("minicode", {"world": 1, "count": 6})),
        "methods": (Spec("C1"), Spec("C3")),
        "budget": 12,
        "max_changed": 0.2,
    }
    return AttackJob(model=model, **{**settings, **more})


@pytest.fixture
def textattack():
    pytest.importorskip("nltk", reason="textattack isn't installed")
    loading.load_textattack()


def no_progress(done: int) -> None:
    """Show no progress."""


@pytest.mark.slow
def test_without_textattack_the_way_to_install_it_is_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^textattack isn't installed; .*attack"):
        run_attack(job(), Store(tmp_path), no_progress)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_both_searches_see_the_same_clean_model(textattack, tmp_path):
    rows = run_attack(job(), Store(tmp_path), no_progress)
    skipped, same = ([row.task_id for row in rows if (row.search, row.outcome) == (s, "skipped")] for s in SEARCHES)
    assert len(rows) == 12 and skipped == same and 0 < len(skipped) < 6
    assert {row.outcome for row in rows if row.task_id not in skipped} == {"succeeded"}, "fake fails at any change"


@pytest.mark.slow
def test_a_stopped_attack_resumes_and_a_finished_one_is_read_from_the_store(textattack, tmp_path, monkeypatch):
    asked, real = [], attack_run.ModelJudge.__call__

    def stopping(judge, prompts):
        if len(asked) == 9:
            raise KeyboardInterrupt
        asked.append((judge._problem.task_id, *prompts))
        return real(judge, prompts)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(attack_run.ModelJudge, "__call__", stopping)
        run_attack(job("reference"), Store(tmp_path), no_progress)
    finished = {task for task, *_ in asked[:-2]} - {asked[-1][0]}
    again = []
    monkeypatch.setattr(
        attack_run.ModelJudge, "__call__", lambda judge, p: again.append(judge._problem.task_id) or real(judge, p)
    )
    rows = run_attack(job("reference"), Store(tmp_path), no_progress)
    assert finished and not finished & {*again} and finished | {*again} == {row.task_id for row in rows}
    again.clear()
    assert run_attack(job("reference"), Store(tmp_path), no_progress) == rows and not again
    assert run_attack(job("reference"), Store(tmp_path / "other"), no_progress) == rows


@pytest.mark.slow
def test_other_settings_have_another_key_and_a_model_that_always_passes_gets_every_query(textattack, tmp_path):
    run_attack(job(), Store(tmp_path), no_progress)
    for other in (job(seed=1), job(budget=11), job(max_changed=0.3), job(methods=(Spec("C1"),)), job(limit=2)):
        run_attack(other, Store(tmp_path), no_progress)
    rows = run_attack(job("reference"), Store(tmp_path), no_progress)
    assert len(list((tmp_path / "artefacts/attack").glob("*/*"))) == 7
    assert {(row.outcome, row.queries) for row in rows} == {("failed", 12)}


def test_problems_that_ask_in_words_need_a_template(tmp_path):
    asking = BigCodeBench(write_tasks(tmp_path / "tasks.jsonl"), split="instruct")
    with pytest.raises(UsageError, match=r"bigcodebench asks in words for a program, .*; give --prompt-format chat"):
        job("m", problem_set=asking)
    for model, more in (("reference", {}), ("m", {"prompt_format": "chat"})):
        assert job(model, problem_set=asking, **more).problem_set is asking


def test_a_problem_that_fails_clean_fails_under_each_search():
    rows = [ROW, *(replace(ROW, outcome=outcome) for outcome in ("succeeded", "failed", "skipped"))]
    rows += [replace(ROW, search="random", outcome=o, queries=5) for o in ("failed", "succeeded", "failed", "skipped")]
    rates = {rate.under: rate for rate in rates_of(rows)}
    assert list(rates) == ["clean", *SEARCHES]
    assert [rates[name].value for name in ("clean", "random", "greedy")] == [0.75, 0.5, 0.25]
    assert [rates[name].failures for name in rates] == [0, 1, 2] and rates["greedy"].queries == 36
    assert 0 <= rates["greedy"].low <= 0.25 <= rates["greedy"].high <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 0}, "allows no query"),
        ({"max_changed": 0.0}, "is no share of words"),
        ({"max_changed": 1.5}, "is no share of words"),
        ({"methods": (Spec("mix_all"),)}, "S1 isn't about single words; name methods of characters or words"),
        ({"prompt_format": "rwa"}, "did you mean 'raw'"),
        ({"template": "instuct"}, "did you mean 'instruct'"),
        ({"template": r"{{ instruction }}\n"}, "a backslash and an n where a line end is meant"),
        ({"methods": ()}, "names no perturbation"),
        ({"methods": (Spec("C9"),)}, "unknown perturbation 'C9'"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_work_starts(settings, message):
    with pytest.raises(UsageError, match=message):
        job(**settings)


def test_a_method_that_writes_other_descriptions_is_refused(monkeypatch):
    monkeypatch.setattr(PERTURBATIONS.get("C3"), "keeps_segments", False)
    with pytest.raises(UsageError, match="C3 isn't about single words"):
        job()


def test_the_view_shows_rates_and_changes(tmp_path, capsys):
    sort, srot = (f"def f():\n    '''{word} the list.\n    '''" for word in ("Sort", "Srot"))
    assert change_of(sort, srot) == "'''S[-or-]{+ro+}t the list."
    attack_job = job()
    problem = attack_job.problems[0]
    found = replace(ROW, task_id=problem.task_id, prompt=problem.prompt.replace('\n    """\n', ' now\n    """\n'))
    rows = [found, replace(found, search="random", outcome="failed", prompt="")]
    print_attack(attack_job, rows, as_json=False)
    head, _, clean, random, greedy, change = capsys.readouterr().out.splitlines()
    assert "C1, C3, at most 20 % of the words (at least one), 12 queries a problem" in head
    assert [line.split()[:2] for line in (clean, random, greedy)] == [
        ["clean", "1.000"],
        ["random", "1.000"],
        ["greedy", "0.000"],
    ]
    assert greedy.split()[-2:] == ["1", "9"] and change.startswith(f"{problem.task_id}, greedy: ") and "{+" in change
    print_attack(attack_job, rows, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert [rate["under"] for rate in shown["rates"]] == ["clean", "random", "greedy"]
    assert shown["rates"][0]["low"] is None, "one problem"
    write_rows(rows, tmp_path / "rows.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert lines == shown["rows"] and [line["outcome"] for line in lines] == ["succeeded", "failed"]


@pytest.mark.slow
def test_the_command_prints_json(textattack, tmp_path, capsys):
    arguments = ["attack", "fake", "--problems", "minicode", "--budget", "4", "--limit", "3"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--storage", str(tmp_path), "--json", "--allow-code-execution"])
    output = json.loads(capsys.readouterr().out)
    assert end.value.code == 0 and output["budget"] == 4 and len(output["rows"]) == 6


@pytest.mark.slow
def test_a_chat_model_is_attacked_in_its_chat_template(textattack, tmp_path):
    model = make_chat_model("chatml", tmp_path / "model").location
    attacked = job(model, prompt_format="chat", max_new_tokens=2, limit=2)
    assert len(run_attack(attacked, Store(tmp_path / "store"), no_progress)) == 4
    request = attacked.prompter(resolve(model).ref()).request("0", attacked.problems[0], attacked.problems[0].prompt)
    assert request.prompt.startswith("<|im_start|>user\n") and request.stop == ("<|im_end|>",)
    assert attacked.extract is Extract.AUTO and job(model).extract is Extract.NONE
    with pytest.raises(UsageError, match="fake has no tokenizer, which the template 'chat' needs"):
        job(prompt_format="chat").prompter(None)


@pytest.mark.parametrize(("card", "is_told"), [("load_in_4bit: True", True), ("", False)])
def test_an_adapter_that_was_trained_on_a_base_in_few_bits_is_told(card, is_told, tmp_path, caplog):
    write_scripted(tmp_path / "base", byte_tokenizer(pieces=["one"]))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "base")}))
    (adapter / "adapter_model.safetensors").write_bytes(b"0")
    (adapter / "README.md").write_text(card)
    attack_run._model(job(str(adapter)))
    told = f"the adapter {adapter} was trained on a base in nf4, as its README.md says, and is put on one that is whole"
    assert caplog.messages == [f"{told}; an attack has no `quantize`"] * is_told


def test_tokens_without_embeddings_are_an_error_before_work(tmp_path, monkeypatch):
    monkeypatch.setattr(attack_run, "require_textattack", lambda: None)
    model = write_scripted(tmp_path / "model", byte_tokenizer(pieces=["one", "two"]), rows=257).location
    with pytest.raises(UsageError, match=r"can't be run: its tokenizer has 259 tokens, and it has embeddings for 257"):
        run_attack(job(model), Store(tmp_path / "store"), no_progress)
