"""Asks a served model: any endpoint that speaks OpenAI's interface, such as vLLM's server, llama.cpp's or a hosted one.

https://platform.openai.com/docs/api-reference/completions. The key comes from the environment alone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from typing_extensions import override

from raysweep.errors import HopelessError, MissingInput, RaysweepError, UsageError, install_extra
from raysweep.generators.base import EOS, GENERATORS, LENGTH, Generator, LiveModel, cut_at_stop
from raysweep.hashing import text_sha
from raysweep.prompts.answers.reasoning import thought
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef
from raysweep.seeding import derive

T = TypeVar("T")

URL_VARIABLE, KEY_VARIABLE = "OPENAI_BASE_URL", "OPENAI_API_KEY"
HOSTED = "https://api.openai.com/v1"
MOST_STOPS = 4
"""Stop strings of a request; OpenAI takes no more. Completions are cut at all of them here."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a second try, doubled before each later one, and at most; a server may ask for more."""
SILENCE = 20.0
"""Seconds between two warnings of requests without answer; several are sent at a time."""
LONGEST_WAIT = 3600.0
"""Seconds for which a server's wish to wait is heeded."""
GIVEN_UP = ("abort", "error")
"""Reasons for an end that no model gives: the server broke off."""
WITHOUT_TEXT = ("content_filter", "length")
"""Reasons for an end that may come before any text of a chat: a filter, and tokens that went into hidden reasoning."""
REASONING = ("reasoning_content", "reasoning")
"""What servers that tell reasoning from the answer call it."""
INSTEAD = (*REASONING, "refusal")
"""What a chat model may write in the place of an answer, such as when its tokens end while it reasons."""
KWARGS = "chat_template_kwargs"
"""The field of a request with arguments of the chat template."""
NO_CHAT = "`api: completions` continues the prompt, and has no place for `{}`; give `api: chat`, or leave it out"
HIDDEN = "***"
"""Stands where a server repeats the key."""
PLACEHOLDER, SECRET = 8, 20
"""Characters of a key. Shorter ones than the first are such as EMPTY, and are hidden only as words of their own; from
the second on a key is hidden in completions too, where a shorter one may be a word of a program."""
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTEXT = re.compile(r"context[ _](?:length|window|size)|max_model_len", re.IGNORECASE)
_LONGEST = re.compile(r"(?:maximum|max)[\w ]*?context[\w ]*? is (\d+)", re.IGNORECASE)
_PROMPT = re.compile(
    r"(\d+)(?: tokens?)?(?: in| from) the (?:messages|prompt|input)|(?:at least|contains) (\d+) input", re.IGNORECASE
)
_KEY = re.compile(r"[!-~]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_FIELD = re.compile(r"(?:^|&)[^=&]*(?:key|token|secret|password|sig)[^=&]*=", re.IGNORECASE)


@dataclass(frozen=True)
class _TooLong:
    """A server's answer that prompt and completion don't fit. `room`: tokens that the prompt leaves; 0: unknown."""

    room: int


@dataclass(frozen=True)
class _Answer:
    """What a server answered: text, why it ended, the stop string if the server names it, tokens (0: not counted).

    `text`: None: there is none. `reasoning`: what a chat wrote before it, if the server tells it apart.
    """

    text: str | None
    ended: str | None
    stop: str | None
    written: int
    read: int
    reasoning: str = ""


@GENERATORS.register("openai")
class OpenAI(Generator):
    """A model behind an OpenAI-compatible endpoint. The key is read from the environment.

    Args:
        model: not used; the weights are the server's.
        decoding: how to draw. Each sample is asked for with a seed of its own, which servers may ignore.
        served: the model's name there.
        url: the endpoint, with its version: ``http://localhost:8000/v1``.
        api: ``completions`` continues the prompt; ``chat`` sends it as a user's message, and
            the whole answer is kept (raysweep/prompts/answers takes the program out of it).
        concurrency: requests at a time.
        timeout: seconds for one request.
        retries: further tries of a request that the server refused for the moment, or that failed on the way.
        extra: further fields of each request; a null removes one that would be sent.
        system: the system message of a chat, which the config's `system_prompt` of a model gives.
        key_variable: name of the environment variable with the key.

    Raises:
        MissingInput: the package openai isn't installed.
        UsageError: an argument is unusable.
    """

    reads_reference = False
    unkeyed = frozenset({"concurrency", "timeout", "retries", "key_variable"})

    def __init__(
        self,
        model: ModelRef | LiveModel | None,
        decoding: Decoding,
        served: str,
        url: str = HOSTED,
        api: str = "completions",
        concurrency: int = 8,
        timeout: float = 120.0,
        retries: int = 8,
        extra: Mapping[str, Any] | None = None,
        key_variable: str = KEY_VARIABLE,
        system: str = "",
    ) -> None:
        super().__init__(None, decoding)
        if importlib.util.find_spec("openai") is None:
            raise MissingInput(f"generator openai needs the package openai: {install_extra('openai')}")
        if api not in ("completions", "chat"):
            raise UsageError(f"generator openai: api is {api!r}; it is completions or chat")
        if not str(url).startswith(("http://", "https://")):
            raise UsageError(f"generator openai: url {url!r} is no http address; give one as http://localhost:8000/v1")
        address = urlsplit(str(url))
        if address.username or address.password or _SECRET_FIELD.search(address.query):
            raise UsageError(
                "generator openai: `url` holds a user, a password or a key, which would be stored with the results; "
                f"give the address alone, and the key in {KEY_VARIABLE}"
            )
        if system and api != "chat":
            raise UsageError(f"generator openai: {NO_CHAT.format('system')}")
        if concurrency < 1 or retries < 0 or timeout <= 0:
            raise UsageError("generator openai: concurrency and timeout are above 0, retries is 0 or more")
        if not served.strip():
            raise UsageError("generator openai: `served` is empty; give the model's name at the server")
        if not _VARIABLE.fullmatch(key_variable):  # it may be the key itself, which must not be shown
            raise UsageError(
                "generator openai: `key_variable` is no name of an environment variable; give the one that holds the "
                f"key, such as {KEY_VARIABLE}, and not the key itself"
            )
        self.served, self.url, self.api, self.concurrency = served, url, api, concurrency
        self.timeout, self.retries, self.extra, self.key_variable = timeout, retries, dict(extra or {}), key_variable
        self._system = [{"role": "system", "content": system}] if system else []
        self._client: Any = None
        self._key: re.Pattern[str] | None = None  # of the server, if it has one
        self._hides_in_texts = False
        self._has_failed = threading.Event()  # another request of the batch; those that pause give up
        self._said = -SILENCE  # when the user was last warned

    @classmethod
    @override
    def arguments_in(cls, text: str) -> Mapping[str, Any]:
        """``openai:NAME``, at $OPENAI_BASE_URL."""
        if not text.strip():
            raise UsageError("`openai:` names no model; write openai:NAME, with the model's name at the server")
        return {"served": text, "url": os.environ.get(URL_VARIABLE, HOSTED)}

    @classmethod
    @override
    def chats(cls, arguments: Mapping[str, Any]) -> bool:
        return arguments.get("api") == "chat"

    @classmethod
    @override
    def prompted(
        cls, arguments: Mapping[str, Any], system: str, template_arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Arguments of the template go in `chat_template_kwargs`, as vLLM, SGLang and llama.cpp read them."""
        if not cls.chats(arguments):
            raise UsageError(f"generator openai: {NO_CHAT.format('system_prompt' if system else 'template_arguments')}")
        given = dict(arguments) | ({"system": system} if system else {})
        if template_arguments:
            extra = dict(given.get("extra") or {})
            extra[KWARGS] = {**(extra.get(KWARGS) or {}), **template_arguments}
            given["extra"] = extra
        return given

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """See `Generator.generate`.

        Raises:
            HopelessError: the server refuses the request as it is, such as for a wrong name or key.
            RaysweepError: the server did not answer in all tries.
        """
        self._has_failed.clear()
        with ThreadPoolExecutor(self.concurrency) as pool:
            waiting = [pool.submit(self._completion, request) for request in requests]
            try:
                done, _ = wait(waiting, return_when=FIRST_EXCEPTION)
                errors = [error for future in done if (error := future.exception())]
                if errors:  # the server's refusal explains more than that other requests were given up
                    raise next((error for error in errors if isinstance(error, HopelessError)), errors[0])
                return [future.result() for future in waiting]
            except BaseException:
                self._has_failed.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _completion(self, request: GenerationRequest) -> Completion:
        longest, sha = self.decoding.max_new_tokens, text_sha(request.prompt)
        answer = self._patiently(lambda: self._ask(request, longest))
        if isinstance(answer, _TooLong) and 0 < (room := answer.room) < longest:
            answer = self._patiently(lambda: self._ask(request, room))
        if isinstance(answer, _TooLong):
            return Completion(request.task_id, request.sample, "", LENGTH, 0, sha, 0)
        text, stop = cut_at_stop(self._kept(answer.text or ""), request.stop)
        if answer.reasoning:
            text = thought(self._kept(answer.reasoning), None if answer.text is None else text)
        if stop is None:
            ended = EOS if answer.ended == "stop" else answer.ended or EOS
            stop = answer.stop if answer.stop in request.stop else ended
        return Completion(request.task_id, request.sample, text, stop, answer.written, sha, answer.read)

    def _ask(self, request: GenerationRequest, max_tokens: int) -> _Answer:
        decoding = self.decoding
        fields: dict[str, Any] = {
            "model": self.served,
            "max_tokens": max_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p if decoding.temperature else None,
            "seed": derive(decoding.seed, request.task_id, request.sample) % 2**31,
            "stop": list(request.stop[:MOST_STOPS]) if self.api == "completions" else None,
            **self.extra,
        }
        fields = {name: value for name, value in fields.items() if value not in (None, [])}
        if self.api == "completions":
            kind = self._client.completions
            asked: dict[str, Any] = {"model": self.served, "prompt": request.prompt}
        else:
            kind = self._client.chat.completions
            asked = {"model": self.served, "messages": [*self._system, {"role": "user", "content": request.prompt}]}
        until = time.monotonic() + self.timeout
        with kind.with_streaming_response.create(**asked, extra_body=fields) as response:
            body = b"".join(self._parts(response, until))
        return _answer_in(body, self.api)

    def _parts(self, response: Any, until: float) -> Iterator[bytes]:
        """Yield the parts of an answer; a server may send a blank now and then, and never the answer itself."""
        parts = iter(response.iter_bytes())
        while True:
            try:
                part = next(parts, None)
            except Exception as error:  # of whichever package the client talks HTTP with
                raise RaysweepError(f"the answer was cut short: {error}") from error
            if part is None:
                return
            yield part
            if time.monotonic() > until:
                raise RaysweepError(f"the answer takes longer than {self.timeout:g} s")

    def _patiently(self, ask: Callable[[], T]) -> T | _TooLong:
        import openai

        self._connect(openai)
        for number in range(self.retries + 1):
            self.alive()
            try:
                return ask()
            except openai.APIStatusError as error:
                if (too_long := _too_long(error)) is not None:
                    return too_long
                if error.status_code not in (408, 409, 429) and error.status_code < 500:
                    raise HopelessError(self._refusal(error)) from None
                reason = f"status {error.status_code}: {self._line(error.message)}"
                wish = _seconds_of(error.response.headers.get("retry-after"))
            except (openai.APIError, RaysweepError) as error:  # no connection, too slow, cut short, no text
                reason, wish = self._line(str(error)) or type(error).__name__, None
            if number < self.retries:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**number) if wish is None else min(wish, LONGEST_WAIT)
                if time.monotonic() - self._said >= SILENCE:
                    self._said = time.monotonic()
                    self.tell(f"no completion from {self.url}: {reason}; it is asked again in {pause:.0f} s")
                self._sleep(pause)
        raise RaysweepError(f"{self.url} did not answer in {self.retries + 1} tries; the last one: {reason}")

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.alive()
            if self._has_failed.wait(min(left, 10.0)):
                raise RaysweepError(f"another request to {self.url} failed")

    def _connect(self, openai: Any) -> None:
        if self._client is None:
            key = os.environ.get(self.key_variable, "").strip()
            if not key and self.url.rstrip("/") == HOSTED:
                raise HopelessError(
                    f"{HOSTED} needs a key: set the environment variable {self.key_variable} where the generating "
                    f"processes start, or name a server of your own: `url`, or {URL_VARIABLE} for openai:NAME"
                )
            if not _KEY.fullmatch(key):  # HTTP's own error would show it
                raise HopelessError(f"the key in {self.key_variable} has a character that no key has, such as a blank")
            if key:
                self._key, self._hides_in_texts = _spellings_of(key), len(key) >= SECRET
            # The client's own retries are off: it waits for up to two minutes without a word to user or engine, even if
            # another request has failed, gives up where a server asks for more, repeats no answer without text, and
            # can't be kept to some refusals, so that a 429 would be repeated by both.
            self._client = openai.OpenAI(  # servers of one's own ask for no key
                api_key=key or "none", base_url=self.url, timeout=self.timeout, max_retries=0
            )

    def _refusal(self, error: Any) -> str:
        way = {
            401: f"; set the key in the environment variable {self.key_variable}, where the generating processes start",
            403: f"; the key in {self.key_variable} may not use this model",
            404: f"; does it serve the model {self.served!r}, with the interface {self.api!r}?",
            400: "; `extra` adds fields to each request, and a null there removes one, such as {temperature: null}",
        }.get(error.status_code, "")
        return f"{self.url} refuses the request with status {error.status_code}: {self._line(error.message)}{way}"

    def _kept(self, text: str) -> str:
        return self._hidden(text) if self._hides_in_texts else text

    def _hidden(self, text: str) -> str:
        return self._key.sub(HIDDEN, text) if self._key else text

    def _line(self, text: str) -> str:
        return (self._hidden(text).strip().splitlines() or [""])[0][:300]


def _answer_in(body: bytes, api: str) -> _Answer:
    """Return what a body of OpenAI's interface says.

    A chat may hold reasoning or a refusal in the place of a text: the model has answered then, and wrote no program.
    Its reasoning is kept, and the text of one that ended before an answer is None.

    Raises:
        RaysweepError: it isn't of that interface, has no text, or says that the server broke off; with the body.
    """
    wrong = "no text in the answer"
    try:
        content = json.loads(body)
        choice = content["choices"][0]
        ended, usage = choice.get("finish_reason"), content.get("usage")
        said = choice["message"] if api == "chat" else choice
        text = said.get("content" if api == "chat" else "text")
        is_chat = api == "chat"
        reasoning = next((said[name] for name in REASONING if is_chat and isinstance(said.get(name), str)), "")
        is_without = is_chat and (ended in WITHOUT_TEXT or any(said.get(name) for name in INSTEAD))
        if ended in GIVEN_UP:
            wrong = f"the server ended the answer with {ended!r}"
        elif (isinstance(text, str) or (text is None and is_without)) and isinstance(ended, str | None):
            stop = choice.get("stop_reason")  # of vLLM: the stop string, or the number of a token
            written, read = (_count(usage, name) for name in ("completion_tokens", "prompt_tokens"))
            # as tokenizers write what is no text; no file can hold them
            whole, thoughts = (_LONE_SURROGATES.sub("\ufffd", of or "") for of in (text, reasoning))
            ended_by = stop if isinstance(stop, str) else None
            return _Answer(whole or None, ended, ended_by, written, read, thoughts)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # another shape
    raise RaysweepError(f"{wrong}: {' '.join(body.decode(errors='replace').split()) or 'it is empty'}")


def _spellings_of(key: str) -> re.Pattern[str]:
    """Return a pattern for a key in a server's texts, where JSON and addresses write some characters in other ways."""
    parts = (c if c.isalnum() else rf"(?:\\*{re.escape(c)}|\\+u00{ord(c):02x}|%{ord(c):02x})" for c in key)
    edges = ("", "") if len(key) >= PLACEHOLDER else (r"(?<!\w)", r"(?!\w)")
    return re.compile("".join(parts).join(edges), re.IGNORECASE if len(key) >= PLACEHOLDER else 0)


def _count(usage: Any, name: str) -> int:
    number = usage.get(name) if isinstance(usage, Mapping) else None
    return number if isinstance(number, int) else 0


def _too_long(error: Any) -> _TooLong | None:
    """Return what a refusal says of a text beyond the model's positions; None if it has another reason.

    Servers say it in words: "maximum context length is 64 tokens. However, you requested 90 tokens (60 in the messages,
    30 in the completion)"; newer ones count the "input tokens".
    """
    if error.status_code not in (400, 413, 422) or not _CONTEXT.search(error.message):
        return None
    longest, prompt = _LONGEST.search(error.message), _PROMPT.search(error.message)
    return _TooLong(max(0, int(longest[1]) - int(prompt[1] or prompt[2])) if longest and prompt else 0)


def _seconds_of(text: str | None) -> float | None:
    if text:
        with contextlib.suppress(ValueError):
            return max(0.0, float(text))
        with contextlib.suppress(TypeError, ValueError):
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None
