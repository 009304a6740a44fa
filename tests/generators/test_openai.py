"""The generator `openai`, against a server here that limits, fails, hangs and cuts answers short."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from raysweep.cli.app import main
from raysweep.config.loading import load_config
from raysweep.errors import HopelessError, RaysweepError, UsageError
from raysweep.generators import openai as module
from raysweep.generators.base import GENERATORS, Generator, is_too_long, named_generator
from raysweep.planning.planner import build_plan
from raysweep.prompts.answers.reasoning import without_reasoning
from raysweep.records import Decoding, GenerationRequest, Spec
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.config.mistakes import findings
from tests.paths import NANO

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="needs the package openai")

Answer = tuple[int, dict[str, str], dict[str, Any]]


class Refused(Exception):
    """The server answers with status 400, and this text."""


@dataclass
class Server:
    """Answers each request by `answer`, in turns of `troubles` first; keeps what it was sent."""

    answer: Callable[[str, dict[str, Any]], dict[str, Any]]
    troubles: list[str] = field(default_factory=list)
    seen: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    url: str = ""
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)
    """Set when the test has ended: nobody hangs any longer."""


def text_answer(text: str, reason: str = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": reason, "logprobs": None, **more}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "1", "object": "text_completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def chat_answer(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {**text_answer(""), "object": "chat.completion", "choices": [choice]}


def handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.seen.append((self.path, body, self.headers["Authorization"]))
                trouble = server.troubles.pop(0) if server.troubles else ""
            with contextlib.suppress(OSError):  # the client may have gone
                self.respond(trouble, body)

        def respond(self, trouble: str, body: dict[str, Any]) -> None:
            kind, _, value = trouble.partition(" ")
            if kind == "status":  # of a server that repeats what it was sent
                code, _, wait = value.partition(" ")
                told = {"message": f"trouble {code}: you sent {self.headers['Authorization']!r}"}
                return self.send(
                    json.dumps({"error": told}).encode(), int(code), **{"Retry-After": wait} if wait else {}
                )
            if kind == "body":
                return self.send(value.encode())
            if kind == "hang":
                with server.lock:
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                server.released.wait(float(value))
                with server.lock:  # before the answer is sent, after which the client may ask again
                    server.at_once -= 1
            try:
                content = json.dumps({"choices": []} if kind == "empty" else server.answer(self.path, body)).encode()
            except Refused as refused:
                return self.send(json.dumps({"error": {"message": str(refused)}}).encode(), 400)
            if kind == "drip":
                self.send(b"")
                until = time.monotonic() + float(value)
                while time.monotonic() < until and not server.released.is_set():
                    self.wfile.write(b" ")
                    time.sleep(0.1)
                self.wfile.write(content)
                return None
            if kind == "cut":
                return self.send(content[: len(content) // 2], length=len(content))
            return self.send(content)

        def send(self, data: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
            """Send headers and data; without any data the length is left open."""
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            for name, value in headers.items():
                self.send_header(name, value)
            if data:
                self.send_header("Content-Length", str(length or len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextlib.contextmanager
def served(answer: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Iterator[Server]:
    """Run a server in a thread."""
    server = Server(answer)
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(server))
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.released.set()
        http.shutdown()
        http.server_close()


@pytest.fixture
def server():
    with served(lambda path, body: text_answer(f" {body['prompt']}!")) as server:
        yield server


@pytest.fixture
def pauses(monkeypatch):
    made: list[float] = []
    monkeypatch.setattr(module.OpenAI, "_sleep", lambda self, seconds: made.append(seconds))
    return made


def make(server: Server, decoding: Decoding = Decoding(20, 0.5), **args: Any) -> Generator:
    return GENERATORS.create(Spec("openai", {"served": "m", "url": server.url, **args}), model=None, decoding=decoding)


def request(number: int = 0, **more: Any) -> GenerationRequest:
    return GenerationRequest(f"{number}", f"t{number}", f"prompt {number}", **more)


@pytest.mark.slow
def test_each_request_gets_its_own_answer_with_its_tokens(server):
    completions = make(server).generate([request(n) for n in range(20)])
    assert [completion.text for completion in completions] == [f" prompt {n}!" for n in range(20)]
    assert {(c.stop, c.tokens, c.prompt_tokens) for c in completions} == {("eos", 3, 7)}
    assert {path for path, _, _ in server.seen} == {"/v1/completions"}


@pytest.mark.slow
def test_what_is_sent_is_the_decoding_with_a_seed_for_each_sample(server):
    stop = ("\ndef", "\n#", "\nif", "\nclass", "\nprint")
    make(server).generate([request(0, stop=stop), request(0, sample=1), request(1)])
    bodies = sorted((body for _, body, _ in server.seen), key=lambda body: (body["prompt"], body["seed"]))
    assert {(body["model"], body["max_tokens"], body["temperature"], body["top_p"]) for body in bodies} == {
        ("m", 20, 0.5, 0.95)
    }
    assert len({body["seed"] for body in bodies}) == 3
    assert sorted(len(body.get("stop", ())) for body in bodies) == [0, 0, 4]
    server.seen.clear()
    make(server, Decoding(20), extra={"seed": None, "top_k": 5}).generate([request(0)])
    ((_, body, _),) = server.seen
    assert body == {"model": "m", "max_tokens": 20, "temperature": 0.0, "top_k": 5, "prompt": "prompt 0"}


def test_no_more_requests_run_at_a_time_than_allowed(server):
    server.troubles = ["hang 0.1"] * 12
    make(server, concurrency=3).generate([request(n) for n in range(12)])
    assert server.most_at_once == 3


def test_a_limit_is_heeded_for_as_long_as_the_server_asks(server, pauses):
    server.troubles = ["status 429 17", "status 503", "status 429 900"]
    assert make(server, concurrency=1).generate([request(3)])[0].text == " prompt 3!"
    assert pauses == [17, 2, 900]


@pytest.mark.parametrize("trouble", ["status 500", "cut", "empty", pytest.param("hang 600", marks=pytest.mark.slow)])
def test_what_fails_on_the_way_is_tried_again_and_told_when_it_goes_on(server, pauses, trouble):
    server.troubles = [trouble]
    seconds = 2 if "hang" in trouble else 600
    assert make(server, timeout=seconds).generate([request()])[0].text == " prompt 0!"
    assert pauses == [1]
    server.troubles = [trouble] * 9
    with pytest.raises(RaysweepError, match=r"did not answer in 3 tries; the last one: \w") as error:
        make(server, timeout=seconds, retries=2).generate([request()])
    assert error.value.retry


WRONG = {
    "no text": ({"choices": [{"finish_reason": "stop"}]}, {"choices": [{"message": {"role": "assistant"}}]}),
    "null": ({"choices": [{"text": None, "finish_reason": "length"}]}, {"choices": [{"message": {"content": None}}]}),
    "aborted": ({"choices": [{"text": " x", "finish_reason": "abort"}]},) * 2,
    "failed": (
        {"choices": [{"text": "", "finish_reason": "error"}]},
        {"choices": [{"message": {"content": "x"}, "finish_reason": "error"}]},
    ),
    "a list": ([1, 2],) * 2,
    "a number": (7,) * 2,
    "choices of another kind": ({"choices": {"text": " x"}},) * 2,
    "a null among the choices": ({"choices": [None], "usage": None},) * 2,
    "a number for a text": ({"choices": [{"text": 1}]}, {"choices": [{"message": {"content": [1]}}]}),
    "a message that is a text": ({"choices": ["x"]}, {"choices": [{"message": "x"}]}),
    "an error as an answer": ({"error": {"message": "out of memory", "code": 500}},) * 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("api", ["completions", "chat"])
def test_an_answer_without_a_text_is_asked_for_again_and_never_an_empty_completion(server, pauses, api):
    server.answer = lambda path, body: chat_answer(" right") if api == "chat" else text_answer(" right")
    generator = make(server, api=api, retries=2)
    for name, bodies in WRONG.items():
        body = json.dumps(bodies[api == "chat"])
        server.troubles = [f"body {body}"]
        assert generator.generate([request()])[0].text == " right", name
        server.troubles = [f"body {body}"] * 3
        with pytest.raises(RaysweepError, match="did not answer in 3 tries") as error:
            generator.generate([request()])
        assert body in str(error.value) and error.value.retry, name


def test_half_a_character_becomes_the_sign_for_what_is_no_text(server):
    server.answer = lambda path, body: text_answer(" x = '\ud83d' + '\U0001f600'")
    assert make(server).generate([request()])[0].text == " x = '\ufffd' + '\U0001f600'"


@pytest.mark.parametrize("body", ["<html>\n<b>Bad gateway</b>", "", "[" * 5000, '{"choices": [{"text": " x"}'])
def test_a_body_that_is_no_json_is_shown_on_one_line(server, pauses, body):
    server.troubles = [f"body {body}"] * 2
    with pytest.raises(RaysweepError, match=r"the last one: no text in the answer: \S") as error:
        make(server, retries=1).generate([request()])
    assert "\n" not in str(error.value) and " ".join(body.split())[:200] in str(error.value)


@pytest.mark.parametrize(
    ("more", "stop"),
    [
        ({"content": ""}, "eos"),
        ({"content": None}, "length"),
        ({"content": None}, "content_filter"),
        ({"refusal": "no"}, "eos"),
    ],
)
def test_a_model_that_wrote_no_program_has_answered(server, pauses, more, stop):
    reason = "stop" if stop == "eos" else stop
    server.answer = lambda path, body: {"choices": [{"message": more, "finish_reason": reason}]}
    completion = make(server, api="chat").generate([request()])[0]
    assert (completion.text, completion.stop, completion.tokens) == ("", stop, 0) and not pauses


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize(
    ("content", "text", "program"),
    [
        ("return 1 # end\nmore", "<think>\nhm # end\n</think>\n\nreturn 1", "\n\nreturn 1"),
        (None, "<think>\nhm # end", ""),
        ("", "<think>\nhm # end", ""),
    ],
)
def test_reasoning_that_a_server_tells_apart_stays_with_the_answer(server, name, content, text, program):
    answer = {"content": content, name: "hm # end"}
    server.answer = lambda path, body: {"choices": [{"message": answer, "finish_reason": "length"}]}
    completion = make(server, api="chat").generate([request(stop=(" # end",))])[0]
    assert completion.text == text and without_reasoning(completion.text) == program


@pytest.mark.parametrize("usage", [None, [], {"completion_tokens": None}, {"completion_tokens": "3"}])
def test_an_answer_whose_tokens_were_not_counted_is_a_completion(server, usage):
    server.answer = lambda path, body: {**text_answer(" x"), "usage": usage}
    completion = make(server).generate([request()])[0]
    assert (completion.text, completion.tokens, completion.prompt_tokens) == (" x", 0, 0)


def test_the_user_is_told_what_it_waits_for_but_not_by_each_request(server, pauses):
    told: list[str] = []
    server.troubles = ["status 429 17"] * 5
    generator = make(server, concurrency=5)
    generator.tell = told.append
    generator.generate([request(n) for n in range(5)])
    assert len(pauses) == 5
    (line,) = told
    assert re.fullmatch(rf"no completion from {server.url}: status 429: .*; it is asked again in 17 s", line)


def test_openais_own_server_is_not_asked_without_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    generator = GENERATORS.create(Spec("openai", {"served": "gpt-5"}), model=None, decoding=Decoding())
    with pytest.raises(HopelessError, match="needs a key: set the environment variable OPENAI_API_KEY"):
        generator.generate([request()])


@pytest.mark.parametrize(
    ("status", "way"), [(401, "environment variable MY_KEY"), (404, "does it serve the model 'm'")]
)
def test_what_another_try_would_not_help_is_told_at_once_without_the_key(server, pauses, monkeypatch, status, way):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    server.troubles = [f"status {status}"]
    with pytest.raises(HopelessError, match=f"refuses the request with status {status}: .*trouble.*{way}") as error:
        make(server, key_variable="MY_KEY").generate([request()])
    assert "secret" not in str(error.value) and not pauses
    assert server.seen[0][2] == "Bearer sk-secret"


LONGEST = "This model's maximum context length is 64 tokens."


@pytest.mark.parametrize(
    ("told", "room"),
    [
        (f"{LONGEST} However, you requested 70 tokens (60 in the messages, 10 in the completion).", 4),
        (f"max_tokens is too large. {LONGEST[:-1]} and your request has at least 50 input tokens (20 > 64 - 50).", 14),
        (f"{LONGEST} However, you requested 99 tokens (79 in the messages, 20 in the completion).", 0),
        ("the request exceeds the available context size, try increasing it", 0),
    ],
)
def test_a_text_beyond_the_models_positions_is_shortened_or_counted_and_ends_nothing(server, told, room):
    def answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
        if body["max_tokens"] == 20 and "prompt 0" in body["prompt"]:
            raise Refused(told)
        return text_answer(f" {body['max_tokens']}", "length")

    server.answer = answer
    first, second = make(server).generate([request(0), request(1)])
    assert second.text == " 20" and is_too_long(first) is not bool(room)
    assert first.text == (f" {room}" if room else "")


def test_a_request_that_is_refused_is_told_though_others_wait_for_long(server, monkeypatch):
    ends, sleep = [], module.OpenAI._sleep

    def sleeping(generator: Any, seconds: float) -> None:
        ends.append("cut short")
        sleep(generator, seconds)
        ends[-1] = "slept"

    monkeypatch.setattr(module.OpenAI, "_sleep", sleeping)
    server.troubles = ["status 429 3000", "hang 0.5", "status 401"]
    with pytest.raises(HopelessError, match="status 401"):
        make(server, concurrency=3).generate([request(n) for n in range(3)])
    assert ends == ["cut short"], "it would wait for 3000 s"


@pytest.mark.slow
def test_a_server_that_sends_blanks_and_no_answer_is_asked_again(server, pauses):
    server.troubles = ["drip 600"]
    assert make(server, timeout=2).generate([request()])[0].text == " prompt 0!"
    assert len(pauses) == 1 and len(server.seen) == 2


def test_an_answer_that_was_cut_short_says_why(server):
    server.answer = lambda path, body: text_answer("    return 1", "length")
    assert make(server).generate([request()])[0].stop == "length"
    server.answer = lambda path, body: text_answer("    return 1", "content_filter")
    assert make(server).generate([request()])[0].stop == "content_filter"
    server.answer = lambda path, body: text_answer("    return 1", "stop", stop_reason="\ndef")
    assert make(server).generate([request(stop=("\ndef",))])[0].stop == "\ndef"
    server.answer = lambda path, body: text_answer("    return 1\ndef other", "length")
    completion = make(server).generate([request(stop=("\ndef",))])[0]
    assert (completion.text, completion.stop) == ("    return 1", "\ndef")


@pytest.mark.parametrize(
    ("stop", "expected"),
    [((), "Sure:\n```python\ndef f(x):\n    return x\n```\nThat is it."), (("\ndef", "\nThat"), "Sure:\n```python")],
)
def test_a_chats_answer_is_kept_up_to_a_stop_string(server, stop, expected):
    server.answer = lambda path, body: chat_answer("Sure:\n```python\ndef f(x):\n    return x\n```\nThat is it.")
    completion = make(server, api="chat").generate([request(stop=stop)])[0]
    assert completion.text == expected
    path, body, _ = server.seen[0]
    assert path == "/v1/chat/completions" and body["messages"] == [{"role": "user", "content": "prompt 0"}]


def test_a_text_in_a_models_place_names_what_is_served(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://here:1/v1")
    assert named_generator("openai:org/some") == Spec("openai", {"served": "org/some", "url": "http://here:1/v1"})
    assert named_generator("org/some") is None and named_generator("fake") == Spec("fake")
    with pytest.raises(UsageError, match="generator fake takes nothing after its name; 'x' is too much"):
        named_generator("fake:x")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"api": "chats"}, "api is 'chats'; it is completions or chat"),
        ({"url": "localhost:8000"}, "is no http address"),
        ({"url": "https://me:abc@host/v1"}, "`url` holds a user, a password or a key, which would be stored"),
        ({"url": "https://host/v1?api-key=abc"}, "give the address alone, and the key in OPENAI_API_KEY"),
        ({"concurrency": 0}, "concurrency and timeout are above 0"),
        ({"api_key": "sk-1"}, "has no argument 'api_key'"),
        ({"served": " "}, "`served` is empty"),
        ({"key_variable": "sk-1"}, "`key_variable` is no name of an environment variable"),
    ],
)
def test_unusable_arguments_are_told(args, expected):
    with pytest.raises(UsageError, match=expected):
        GENERATORS.create(Spec("openai", {"served": "m", **args}), model=None, decoding=Decoding())


@pytest.mark.long
def test_served_models_are_evaluated_and_attacked_by_their_names(server, tmp_path, monkeypatch, capsys):
    """In small: test_no_key_is_anywhere_after_a_sweep_whose_server_repeats_it, which evaluates one."""
    pytest.importorskip("nltk", reason="textattack isn't installed")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    common = ["--problems", "minicode", "--limit", "2", "--storage", str(tmp_path / "store"), "--allow-code-execution"]
    for command in (["evaluate"], ["attack", "--budget", "3"]):
        with pytest.raises(SystemExit) as ended:
            main([command[0], "openai:m", *command[1:], *common])
        assert not ended.value.code, capsys.readouterr().err
        asked, server.seen = server.seen, []
        assert asked and {body["model"] for _, body, _ in asked} == {"m"}
        assert "minicode" in capsys.readouterr().out


def test_a_chat_is_sent_the_models_system_prompt_and_arguments_of_its_template(server):
    generator = {"name": "openai", "served": "m", "url": server.url, "api": "chat", "extra": {"top_k": 5}}
    model = {"name": "served", "generator": generator, "system_prompt": "Be brief."}
    model["template_arguments"] = {"enable_thinking": False}

    def cell(**changes):
        given = [f"models=[{json.dumps({**model, **changes})}]", "evaluation.prompt_format=native"]
        return build_plan(load_config(NANO, given)).cells[0]

    server.answer = lambda path, body: chat_answer("Yes.")
    spec = cell().generator
    GENERATORS.create(spec, model=None, decoding=Decoding(20)).generate([request(0)])
    ((_, body, _),) = server.seen
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "prompt 0"}]
    assert (body["chat_template_kwargs"], body["top_k"]) == ({"enable_thinking": False}, 5)
    plain, brief = cell(system_prompt="", template_arguments={}), cell(template_arguments={})
    assert plain.generator.args == {name: value for name, value in generator.items() if name != "name"}
    assert len({of.pairs[0].completions.key for of in (plain, brief, cell())}) == 3
    shown = cell(template="{{ system }} {{ instruction }}", template_arguments={})
    assert "system" not in shown.generator.args, "its template shows it"


def beside_llama(model: dict[str, Any]) -> str:
    return f"models={json.dumps([*yaml.safe_load(NANO.read_text())['models'], model])}"


@pytest.mark.parametrize(
    ("template", "prompt_format", "asked_with", "judged_with"),
    [
        ("raw", "{{ system }}|{{ instruction }}", "BE BRIEF", None),
        ("{{ system }}#{{ instruction }}", "raw", None, "BE BRIEF"),
        ("raw", "raw", "BE BRIEF", "BE BRIEF"),
        ("{{ system }}#{{ instruction }}", "native", None, None),
    ],
)
def test_a_teachers_system_prompt_is_sent_where_its_own_prompts_do_not_show_it(
    template, prompt_format, asked_with, judged_with
):
    generator = {"name": "openai", "served": "m", "url": "http://localhost:1", "api": "chat"}
    teacher = {"name": "teacher", "generator": generator, "system_prompt": "BE BRIEF", "template": template}
    given = [beside_llama(teacher), f"evaluation.prompt_format={json.dumps(prompt_format)}"]
    given += ["training.source.rejected={teacher: teacher}"]
    plan = build_plan(load_config(NANO, given))
    judged = next(cell for cell in plan.cells if cell.cell.model == "teacher")
    asked = next(cell.training_set.rejected.answers for cell in plan.cells if cell.training_set is not None)
    assert asked.generator.args.get("system") == asked_with
    assert judged.generator.args.get("system") == judged_with
    for spec, sent in ((asked.node.spec, asked_with), (judged.pairs[0].completions.spec, judged_with)):
        assert spec["generator"]["args"].get("system") == sent


def test_a_teacher_that_cannot_be_sent_its_system_prompt_is_refused():
    teacher = {"name": "teacher", "generator": {"name": "openai", "served": "m", "url": "http://localhost:1"}}
    teacher |= {"system_prompt": "BE BRIEF"}
    given = [beside_llama(teacher), "evaluation.prompt_format='{{ system }}|{{ instruction }}'"]
    load_config(NANO, given)
    (found,) = findings(NANO, *given, "training.source.rejected={teacher: teacher}")
    assert "models.1.system_prompt: generator openai: `api: completions` continues the prompt" in found


@pytest.mark.slow
def test_a_served_model_is_judged_and_the_report_tells_its_tokens(server, tmp_path):
    server.troubles = ["status 503", "status 429 0"]
    model = {"name": "served", "generator": {"name": "openai", "served": "m", "url": server.url}}
    config = load_config(NANO, [f"models=[{json.dumps(model)}]", "evaluation.perturbations=[clean]"])
    result = run_sweep(config, RunOptions(str(tmp_path / "store"), "local"))
    assert not result.errors and {score.model for score in result.scores} == {"served"}
    assert len(server.seen) == 8
    page = (tmp_path / "store" / "sweeps" / "nano" / "report.html").read_text()
    page = page.replace("\N{NO-BREAK SPACE}", " ")
    assert "6 completions: 6 generated" in page and "found in the store" not in page
    assert "18 tokens written, 42 tokens of prompts counted by the server" in page
    other = load_config(NANO, [f"models=[{json.dumps(model)}]", "evaluation.limit=3", "name=other"])
    run_sweep(other, RunOptions(str(tmp_path / "store"), "local"))
    assert len(server.seen) <= 8 + 3, "clean prompts that were answered are not asked for again"


KEYS = ("sk-proj-0a1b2c3d4e5f6a7b8c9d", "Yb7/+w3Qz9==", "k9")


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("told", ["you sent {}", '{{"error": "Bearer {}"}}\nno', "x" * 280 + " {}"])
def test_a_key_is_in_no_text_though_the_server_repeats_it(server, pauses, monkeypatch, key, told):
    monkeypatch.setenv("OPENAI_API_KEY", f" {key}\n")  # as from a file
    for spelling in (key, key.replace("/", "\\/").replace("+", "\\u002B"), key.replace("/", "%2F").replace("=", "%3d")):
        said: list[str] = []
        generator = make(server, retries=1)
        generator.tell = said.append
        server.troubles = [f"body {told.format(spelling)}"] * 2
        with pytest.raises(RaysweepError) as error:
            generator.generate([request()])
        assert len(said) == 1 and spelling[:4] not in said[0] + str(error.value)
    assert server.seen[0][2] == f"Bearer {key}"


@pytest.mark.parametrize("key", ["two words", "k\u00e9y", "a\x07b"])
def test_a_key_that_no_header_can_hold_is_refused_without_it(server, pauses, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(HopelessError, match="OPENAI_API_KEY has a character that no key has") as error:
        make(server).generate([request()])
    assert key not in str(error.value) and not server.seen


def test_a_short_key_leaves_completions_as_they_are(server, monkeypatch):
    for key, text in (("x", " x"), ("password", " password"), (KEYS[0], " ***")):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        server.answer = lambda path, body, key=key: text_answer(f" {key}")
        assert make(server).generate([request()])[0].text == text


@pytest.mark.parametrize("model", ["openai:", "openai: "])
def test_a_name_is_needed(model, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", model, "--problems", "minicode", "--storage", str(tmp_path / "store")])
    assert ended.value.code == 2 and "write openai:NAME" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_no_key_is_anywhere_after_a_sweep_whose_server_repeats_it(server, pauses, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEYS[0])
    server.answer = lambda path, body: text_answer(f" return '{KEYS[0]}'")
    store = str(tmp_path / "store")
    command = ["evaluate", "openai:m", "--problems", "minicode", "--limit", "2", "--storage", store]
    for troubles in (["status 401"] * 9, ["status 429 0", "status 503 0", "body null"] * 2):
        server.troubles = troubles
        with pytest.raises(SystemExit) as ended:
            main([*command, "--out", str(tmp_path / "out.jsonl"), "--allow-code-execution"])
        assert bool(ended.value.code) is ("status 401" in troubles)
    printed = capfd.readouterr()
    assert "status 401: Error code: 401" in printed.err and "***" in printed.err
    assert "***" in (tmp_path / "out.jsonl").read_text()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10 and not [path for path in files if KEYS[0].encode() in path.read_bytes()]
    assert KEYS[0] not in printed.out + printed.err
