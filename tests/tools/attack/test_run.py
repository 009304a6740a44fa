"""`raysweep attack`: stored problem by problem, resumed, compared with random perturbations, printed."""

import json
import math
from dataclasses import replace

import pytest

from raysweep.cli.app import main
from raysweep.cli.views.attack import attack_lines, change_of, print_attack, write_findings
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
from raysweep.tools.attack.queries import AttackLimits, AttackOutcome, AttackResult
from raysweep.tools.attack.run import AttackJob, failures_under, rate_of_one_draw, rate_under, run_attack
from tests.models.scripted import byte_tokenizer, write_scripted
from tests.models.tiny import make_chat_model
from tests.problems.bigcodebench_tasks import write_rows

ROW = AttackResult("T/1", "greedy", AttackOutcome.SUCCEEDED, 9, 7, "text", 1, 0.1, 0.05)


def job(model="fake", **more) -> AttackJob:
    settings = {
        "problem_set": PROBLEMS.create(Spec("minicode", {"world": 1, "count": 6})),
        "methods": (Spec("C1"), Spec("C3")),
        "limits": AttackLimits(12, 0.2),
        "search": "random",
    }
    return AttackJob(model=model, **{**settings, **more})


def no_progress(done: int) -> None:
    """Show no progress."""


@pytest.mark.slow
def test_without_textattack_the_way_without_it_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^textattack isn't installed; .*; --search greedy needs no package"):
        run_attack(job(search="beam"), Store(tmp_path), no_progress)
    assert not list(tmp_path.iterdir())
    assert run_attack(job(), Store(tmp_path), no_progress)


@pytest.mark.slow
def test_both_strategies_see_the_same_clean_model(tmp_path):
    rows = run_attack(job(search="greedy"), Store(tmp_path), no_progress)
    by_strategy = {name: [row for row in rows if row.strategy == name] for name in ("greedy", "random")}
    skipped = [[row.task_id for row in rows_of if row.outcome == "skipped"] for rows_of in by_strategy.values()]
    assert len(rows) == 12 and skipped[0] == skipped[1] and 0 < len(skipped[0]) < 6
    assert all(row.outcome == "succeeded" for row in by_strategy["greedy"] if row.task_id not in skipped[0])


@pytest.mark.slow
def test_a_stopped_attack_resumes_and_a_finished_one_is_read_from_the_store(tmp_path, monkeypatch):
    attacked, real = [], attack_run.attack

    def stopping(target, *args, **more):
        if len(attacked) == 3:
            raise KeyboardInterrupt
        attacked.append(target.task_id)
        return real(target, *args, **more)

    monkeypatch.setattr(attack_run, "attack", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_attack(job(), Store(tmp_path), no_progress)
    monkeypatch.setattr(
        attack_run, "attack", lambda target, *a, **more: attacked.append(target.task_id) or real(target, *a, **more)
    )
    rows = run_attack(job(), Store(tmp_path), no_progress)
    assert attacked == [row.task_id for row in rows] and len(attacked) == 6
    assert run_attack(job(), Store(tmp_path), no_progress) == rows and len(attacked) == 6
    assert run_attack(job(), Store(tmp_path / "other"), no_progress) == rows


@pytest.mark.slow
def test_other_settings_have_another_key_and_a_model_that_always_passes_gets_every_query(tmp_path):
    run_attack(job(), Store(tmp_path), no_progress)
    for other in (job(seed=1), job(limits=AttackLimits(11, 0.2)), job(methods=(Spec("C1"),)), job(limit=2)):
        run_attack(other, Store(tmp_path), no_progress)
    rows = run_attack(job("reference"), Store(tmp_path), no_progress)
    assert len(list((tmp_path / "artefacts/attack").glob("*/*"))) == 6
    assert {row.outcome for row in rows} == {"failed"} and {row.queries for row in rows} == {12}
    assert rate_under(rows, 12).value == 1 and failures_under(rows, 12) == 0


def test_problems_that_ask_in_words_need_a_template(tmp_path):
    asking = BigCodeBench(write_rows(tmp_path / "tasks.jsonl"), split="instruct")
    with pytest.raises(UsageError, match=r"bigcodebench asks in words for a program, .*; give --prompt-format chat"):
        job("m", problem_set=asking)
    for model, more in (("reference", {}), ("m", {"prompt_format": "chat"})):
        assert job(model, problem_set=asking, **more).problem_set is asking


def test_one_run_gives_the_rates_of_every_smaller_budget():
    rows = [ROW, replace(ROW, found_after=2), *(replace(ROW, found_after=0, outcome=o) for o in ("failed", "skipped"))]
    assert [rate_under(rows, budget).value for budget in (1, 2, 6, 7)] == [0.75, 0.5, 0.5, 0.25]
    assert [failures_under(rows, budget) for budget in (1, 2, 7)] == [0, 1, 2]
    rate = rate_under(rows, 7)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1
    rows = [replace(ROW, found_after=queries) for queries in (2, 3, 0, 40)]  # one draw: the first after the clean one
    assert rate_of_one_draw(rows, 50).value == 0.75 and math.isnan(rate_of_one_draw(rows, 1).value)


@pytest.mark.slow
def test_a_larger_budget_leaves_the_first_draw_as_it_is(tmp_path):
    few, many = (run_attack(job(limits=AttackLimits(n, 0.2)), Store(tmp_path), no_progress) for n in (2, 8))
    assert rate_of_one_draw(few, 2) == rate_of_one_draw(many, 8)
    assert rate_under(many, 8).value <= rate_of_one_draw(many, 8).value <= rate_under(many, 0).value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search": "gredy"}, "did you mean 'greedy'"),
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
    with pytest.raises(UsageError, match="C3 writes other descriptions, and an attack changes single words"):
        job()


def test_the_view_shows_rates_failures_and_changes(tmp_path, capsys):
    sort, srot = (f"def f():\n    '''{word} the list.\n    '''" for word in ("Sort", "Srot"))
    assert change_of(sort, srot) == "'''S[-or-]{+ro+}t the list."
    attack_job = job(search="greedy")
    problem = attack_job.problems[0]
    first = replace(ROW, task_id=problem.task_id, prompt=problem.prompt.replace('\n    """\n', ' now\n    """\n'))
    rows = [first, replace(first, strategy="random", outcome="failed", found_after=0, prompt="")]
    text = "\n".join(attack_lines(attack_job, rows))
    assert "clean pass@1                     1.000" in text and "robust pass@1 (search greedy)    0.000" in text
    assert "one random perturbation a prompt 1.000" in text and "random ones up to the budget     1.000" in text
    assert "failures found: search 1, random 0" in text and "smallest changes, 1 of 1" in text
    print_attack(attack_job, rows, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert list(shown["pass@1"]) == ["clean", "one_draw", "greedy", "random"]
    assert shown["pass@1"]["one_draw"]["low"] is shown["pass@1"]["one_draw"]["high"] is None, "one problem"
    assert shown["failures"] == {"greedy": 1, "random": 0} and shown["ratio"] is None
    write_findings(attack_job, rows, tmp_path / "rows.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert "{+" in lines[0]["change"] and lines[1]["change"] == ""


@pytest.mark.slow
def test_the_command_prints_json(tmp_path, capsys):
    arguments = ["attack", "fake", "--problems", "minicode", "--search", "random", "--budget", "4", "--limit", "3"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--storage", str(tmp_path), "--json", "--allow-code-execution"])
    output = json.loads(capsys.readouterr().out)
    assert end.value.code == 0 and output["budget"] == 4 and len(output["rows"]) == 3


@pytest.mark.slow
def test_a_chat_model_is_attacked_in_its_chat_template(tmp_path):
    model = make_chat_model("chatml", tmp_path / "model").location
    attacked = job(model, prompt_format="chat", search="random", max_new_tokens=2, limit=2)
    assert {row.strategy for row in run_attack(attacked, Store(tmp_path / "store"), no_progress)} == {"random"}
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


def test_tokens_without_embeddings_are_an_error_before_work(tmp_path):
    model = write_scripted(tmp_path / "model", byte_tokenizer(pieces=["one", "two"]), rows=257).location
    with pytest.raises(UsageError, match=r"can't be run: its tokenizer has 259 tokens, and it has embeddings for 257"):
        run_attack(job(model), Store(tmp_path / "store"), no_progress)
