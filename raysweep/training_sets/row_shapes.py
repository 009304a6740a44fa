"""Finds the texts of training rows in the shapes in which tools and published data sets have them.

- ``instruction`` and ``output``, raysweep's own and Alpaca's: also ``input``, ``system``, and ``history``, a list of
  pairs of a question and its answer (LLaMA-Factory); of preferences ``chosen`` in place of ``output``.
- ``messages`` with ``role`` and ``content`` (OpenAI's), or ``conversations`` with ``from`` and ``value`` (ShareGPT's).
  They may end with the question, where ``chosen`` is the answer (LLaMA-Factory, Axolotl).
- ``prompt`` (or ``question``) with ``completion`` or ``chosen``, each a text or a list of messages (TRL's), or
  ``chosen`` alone, a whole conversation (TRL's implicit prompt).

An answer may be a text, a message, or messages that repeat the question. The last answer is trained on; the turns
before it are the row's history, whose answers are trained on too with a recipe's ``loss_on: all``. A message's
``weight`` of 0 (OpenAI's), ``train`` or ``training`` of false (Axolotl's) or ``loss`` of false (ms-swift's) says that
its answer isn't trained on: the row ends with the last answer that is.

Sources: https://platform.openai.com/docs/guides/fine-tuning, https://huggingface.co/docs/trl/dataset_formats,
https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md, https://docs.axolotl.ai/docs/dataset-formats,
https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from raysweep.errors import UsageError
from raysweep.rows.json_files import AS_DATE, JsonRow

INSTRUCTION, OUTPUT, INPUT = "instruction", "output", "input"
CHOSEN = "chosen"
SHAPES: tuple[tuple[str, ...], ...] = (
    ("messages",),
    ("conversations",),
    ("prompt", "completion"),
    ("prompt", CHOSEN),
    ("question", CHOSEN),
    (CHOSEN,),
)
"""The columns of each further shape: that of the question or of the whole conversation, and that of the answer."""
SYSTEM = ("system", "system_prompt")
HISTORY = "history"
_FURTHER = ("language", "task_id")
"""Columns that sources read beside those with the texts."""
_SYSTEMS, _USER, _MODEL = "system", "user", "model"
_ROLES = {
    **dict.fromkeys(("system", "developer"), _SYSTEMS),
    **dict.fromkeys(("user", "human"), _USER),
    **dict.fromkeys(("assistant", "gpt", "model", "chatgpt"), _MODEL),
}
_OF_TOOLS = ("tool", "function", "observation", "function_call", "ipython")
_NO_TOOLS = "models are trained and evaluated without tools here; "
_WITHOUT_TOOLS = f"{_NO_TOOLS}leave such rows out, or remove it where nothing is called"
_REASONING = ("reasoning_content", "reasoning", "thinking")
_OF_REASONING = (
    "whose place in an answer each model's template writes in marks of its own; put it before the answer's text, in "
    "your model's marks such as <think> and </think>, or remove it"
)
_OF_PICTURES = "has pictures or sound, and models read texts alone; leave such rows out"
_REFUSED = {
    **dict.fromkeys(("tools", "functions"), f"describes tools, and {_WITHOUT_TOOLS}"),
    **dict.fromkeys(("image", "images", "videos", "audios"), _OF_PICTURES),
    **dict.fromkeys(_REASONING, f"is reasoning, {_OF_REASONING}"),
    "chat_template_kwargs": (
        "gives the model's template values for this row alone (TRL); give those of all rows as the model's "
        "`template_arguments`, and remove it, or the row"
    ),
}
"""Columns that would change what a row asks for, where they hold something, and the way out."""
_WRITTEN = f"write its question as `{INSTRUCTION}` and its answer as `{OUTPUT}`, or both as `messages`"
_REWRITTEN = {
    "preferred_output": (
        f"of OpenAI's preferences, write `input.messages` as `prompt`, `preferred_output` as `{CHOSEN}` and "
        "`non_preferred_output` as `rejected`"
    ),
    "segments": (
        f"of Axolotl's segments, write the text of those with `label: false` as `{INSTRUCTION}` and of those with "
        f"`label: true` as `{OUTPUT}`, both without the marks of a template"
    ),
    "text": f"{_WRITTEN}: where `text` holds both, cut it where its answer begins, and leave out a template's marks",
}
"""How rows are written that have a column of a shape that isn't read."""
KNOWN = frozenset((INSTRUCTION, OUTPUT, INPUT, *SYSTEM, HISTORY, *_FURTHER, *_REWRITTEN, *_REFUSED)).union(*SHAPES)
"""All columns that something is known of: that they are read, or what to do about them."""
_SWITCHES = ("on", "off")
"""What a column named like reasoning may hold that says whether an answer has some (Nemotron's)."""
_VERDICTS = ("label", "kto_tag")
_NOTHING: tuple[Any, ...] = (None, "", [], {}, "[]", "{}")
_TRAINED = ("weight", "train", "training", "loss")
"""Keys of messages that say whether an answer is trained on."""
_READ_IN_MESSAGES = ("role", "content", "from", "value", "tool_calls", "function_call", *_TRAINED, *_REASONING)


@dataclass(frozen=True)
class RowTexts:
    """The texts of a row.

    `history`: earlier questions and answers in turns; `masked`: numbers of those answers that aren't trained on.
    `read`: the columns it is made of. `answer`: the one of `output`.
    """

    instruction: str
    output: str
    input: str = ""
    system: str = ""
    history: tuple[str, ...] = ()
    rejected: str | None = None
    read: frozenset[str] = frozenset()
    answer: str = OUTPUT
    masked: str = ""


@dataclass(frozen=True)
class _Message:
    kind: str  # _SYSTEMS, _USER or _MODEL
    text: str
    is_trained: bool = True


def further_shape(columns: Collection[str]) -> tuple[str, ...]:
    """Return the columns of the shape that rows have in place of raysweep's own; empty if they have none of them."""
    if INSTRUCTION in columns:
        return ()
    return next((shape for shape in SHAPES if set(shape) <= set(columns)), ())


def texts_of(row: JsonRow, rejected: str | None = None, names: Mapping[str, str] | None = None) -> RowTexts:
    """Return the texts of a row.

    Args:
        row: of any shape.
        rejected: the column with a rejected response, which a row may lack.
        names: the columns of instruction, output and input, by these words; None: the row's shape says them.

    Raises:
        UsageError: the row has no question and answer to train on, its rejected response answers another question, or
            it has what can't be trained on; with the row's place and the way out.
    """
    return _RowReader(row, names).texts(rejected)


def may_have_turns(row: JsonRow) -> bool:
    """Return False where a look at a row's columns shows that it has neither a system text nor earlier turns."""
    fields = row.fields
    if any(fields.get(name) for name in (*SYSTEM, HISTORY)):
        return True
    return any(isinstance(value, list) and len(value) > 1 for value in fields.values())


def unread_names(row: JsonRow, texts: RowTexts) -> Iterator[str]:
    """Yield the names of what a row has and nobody reads: columns, and keys of messages such as ``messages.name``."""
    for name, value in row.fields.items():
        if value is None or name in _FURTHER:
            continue
        if name not in texts.read:
            yield name
            continue
        for message in value if isinstance(value, list) else [value]:
            for key, held in message.items() if isinstance(message, dict) else ():
                is_question = _ROLES.get(str(message.get("role") or message.get("from"))) != _MODEL
                if held is not None and (key not in _READ_IN_MESSAGES or (key in _TRAINED and held and is_question)):
                    yield f"{name}.{key}"  # questions are never trained on


class _RowReader:
    """Reads one row, and remembers which of its columns."""

    def __init__(self, row: JsonRow, names: Mapping[str, str] | None) -> None:
        self._row = row
        self._names = names or {name: name for name in (INSTRUCTION, OUTPUT, INPUT)}
        names_none = (self._names[INSTRUCTION], self._names[OUTPUT]) == (INSTRUCTION, OUTPUT)
        filled = [name for name, value in row.fields.items() if value is not None]  # a column may be other rows'
        self._shape = (further_shape(filled) or further_shape(row.fields)) if names_none else ()
        self._read: set[str] = set()

    def texts(self, rejected: str | None) -> RowTexts:
        self._refuse()
        asked = self._asked()
        name = self._answer_name(asked)
        conversation = asked if name is None else self._answered(asked, name)
        self._check_order(conversation)
        if name != CHOSEN and rejected is not None and self._row.fields.get(CHOSEN) is not None:
            chosen = self._answered(conversation[:-1], CHOSEN)[-1].text
            if chosen != conversation[-1].text:
                of = name or self._shape[0]
                raise self._error(
                    f"`{CHOSEN}` is {chosen!r:.60}, and the answer of `{of}` another one; remove the one that is wrong"
                )
        trained = self._up_to_trained(conversation)
        *history, question, answer = [message.text for message in trained if message.kind != _SYSTEMS]
        if len(trained) < len(conversation) and rejected is not None and self._row.fields.get(rejected) is not None:
            raise self._error(
                f"`{rejected}` is a worse answer to {conversation[-2].text!r:.60}, whose own answer isn't trained on "
                f"({', '.join(_TRAINED)}); train on that answer, or remove it with its question and `{rejected}`"
            )
        further, system = self._text(self._names[INPUT], ""), self._system(trained)
        worse = self._rejected(rejected, trained, system)
        column = name or self._shape[0]
        answers = [message.is_trained for message in trained if message.kind == _MODEL][:-1]
        masked = ",".join(str(number) for number, is_trained in enumerate(answers) if not is_trained)
        read = frozenset(self._read)
        return RowTexts(question, answer, further, system, tuple(history), worse, read, column, masked)

    def _asked(self) -> list[_Message]:
        """Return the messages before the answer, or the whole conversation where one column has it."""
        history = self._history()
        if not self._shape:
            if (name := self._names[INSTRUCTION]) not in self._row.fields:
                fields = self._row.fields
                way = next((way for column, way in _REWRITTEN.items() if column in fields), _WRITTEN)
                raise self._error(f"the row has no `{name}`; it has {', '.join(fields) or 'nothing'}; {way}")
            return [*history, *self._messages(name, _USER)]
        if self._shape == (CHOSEN,):
            if isinstance(self._row.fields[CHOSEN], str):
                raise self._error(
                    f"`{CHOSEN}` is a text and there is no `prompt`, so where its question ends isn't known; write the "
                    f"question as `prompt`, and the answers alone as `{CHOSEN}` and `rejected`"
                )
            return []
        return [*history, *self._messages(self._shape[0], _USER)]

    def _answer_name(self, asked: Sequence[_Message]) -> str | None:
        """Return the column of the answer; None where the conversation has it."""
        if len(self._shape) == 1 and self._shape[0] != CHOSEN:
            is_open = bool(asked) and asked[-1].kind == _USER and self._row.fields.get(CHOSEN) is not None
            return CHOSEN if is_open else None
        if self._shape:
            return self._shape[-1]
        output = self._names[OUTPUT]
        has_chosen = output == OUTPUT and self._row.fields.get(CHOSEN) is not None  # a named column is the one
        if output not in self._row.fields and not has_chosen:
            raise self._error(
                f"the row has no `{output}`; it has {', '.join(self._row.fields)}; rename the column with its response "
                f"to `{output}`, or remove the row"
            )
        return CHOSEN if self._row.fields.get(output) is None and has_chosen else output

    def _answered(self, asked: Sequence[_Message], name: str) -> list[_Message]:
        """Return the conversation that the answer in a column ends, without what it repeats of the question."""
        messages = self._messages(name, _MODEL)
        if not messages or messages[-1].kind != _MODEL:
            raise self._error(f"`{name}` must end with a model's message, which is the response")
        if messages[0].kind == _MODEL:
            return [*asked, *messages]
        own, known = _turns(messages[:-1]), _turns(asked)
        is_end = bool(own) and known[-len(own) :] == own  # all that it repeats is known
        if not is_end and own[: len(known)] != known and own[-1:] != known:
            if (question := _last_question(own)) == _last_question(known):
                raise self._error(
                    f"`{name}` answers the row's question, {question!r:.60}, after other turns than the row has before "
                    "it; give all of a row's answers the same turns"
                )
            raise self._error(
                f"`{name}` answers another question than the row asks: {question!r:.60} there and "
                f"{_last_question(known)!r:.60} here; give all of a row's answers the same question"
            )
        systems = dict.fromkeys(message for message in (*asked, *messages) if message.kind == _SYSTEMS)
        whole = [*asked, messages[-1]] if is_end else messages
        return [*systems, *(message for message in whole if message.kind != _SYSTEMS)]

    def _rejected(self, name: str | None, conversation: Sequence[_Message], system: str) -> str | None:
        if name is None or self._row.fields.get(name) is None:
            return None
        answered = self._answered(conversation[:-1], name)
        for message in answered:
            if message.kind == _SYSTEMS and message.text.strip() != system.strip():
                raise self._error(
                    f"`{name}` has the system text {message.text!r:.60}, and the row {system!r:.60}; give all of a "
                    "row's answers the same"
                )
        self._check_order([message for message in answered if message.kind != _SYSTEMS])
        if _turns(answered[:-1]) != _turns(conversation[:-1]):
            raise self._error(f"`{name}` goes on after other turns than `{CHOSEN}`; give both the same turns before it")
        return answered[-1].text

    def _check_order(self, conversation: Sequence[_Message]) -> None:
        kinds = [message.kind for message in conversation]
        turns = [kind for kind in kinds if kind != _SYSTEMS]
        if not turns or turns != [_USER, _MODEL] * (len(turns) // 2) or _SYSTEMS in kinds[1:]:
            shown = f"{', '.join(kinds) or 'none':.80}"
            raise self._error(f"a row must be questions and answers in turns, not {shown}; {_way(kinds)}")

    def _system(self, conversation: Sequence[_Message]) -> str:
        texts = [self._text(name, "") for name in SYSTEM if self._row.fields.get(name) is not None]
        texts += [conversation[0].text] if conversation[0].kind == _SYSTEMS else []
        texts = list(dict.fromkeys(text for text in texts if text.strip()))
        if len(texts) > 1:
            raise self._error(f"the row has two system texts, {texts[0]!r:.40} and {texts[1]!r:.40}; remove one")
        return "".join(texts)

    def _up_to_trained(self, conversation: Sequence[_Message]) -> list[_Message]:
        last = max((at for at, one in enumerate(conversation) if one.kind == _MODEL and one.is_trained), default=None)
        if last is None:
            raise self._error(
                f"each answer has one of {', '.join(_TRAINED)} as 0 or false, so nothing is trained on; remove the "
                "row, or give one answer 1 or true"
            )
        return list(conversation[: last + 1])

    def _history(self) -> list[_Message]:
        value = self._row.fields.get(HISTORY)
        self._read.add(HISTORY)
        if value in _NOTHING:
            return []
        pairs: list[Any] = value if isinstance(value, list) else [value]
        if all(isinstance(pair, dict) for pair in pairs):
            return self._messages(HISTORY, _USER)
        if not all(isinstance(pair, list) and [*map(type, pair)] == [str, str] for pair in pairs):
            raise self._error(
                f"`{HISTORY}` must be a list of pairs, each a question and its answer, not {value!r:.60}; write it so "
                "(in JSONL: a CSV file can't hold lists), or remove it"
            )
        texts = [text for pair in pairs for text in pair]
        return [_Message((_USER, _MODEL)[at % 2], self._checked(HISTORY, text)) for at, text in enumerate(texts)]

    def _refuse(self) -> None:
        fields = {name: value for name, value in self._row.fields.items() if name not in self._names.values()}
        for name in [name for name in _REFUSED if name in fields]:
            is_switch = name in _REASONING and fields[name] in _SWITCHES
            if fields[name] and fields[name] not in _NOTHING and not is_switch:
                raise self._error(f"`{name}` {_REFUSED[name]}")
            self._read.add(name)
        if self._shape and self._names[INPUT] == INPUT and self._row.fields.get(INPUT) not in _NOTHING:
            raise self._error(
                f"`{INPUT}` belongs to `{INSTRUCTION}`, and the row has `{self._shape[0]}`; remove it where the "
                "question has its text, else put it there"
            )
        if "weight" in fields:
            if fields["weight"] not in (*_NOTHING, 1, "1", "1.0"):
                raise self._error(
                    f"the row's `weight` is {fields['weight']!r:.20}, and all rows weigh the same here; leave out rows "
                    "that shall not count, and remove `weight` from the others"
                )
            self._read.add("weight")
        of_trl, of_swift = (self._row.fields.get(name) is not None for name in ("completion", "messages"))
        for name in [name for name in _VERDICTS if name in fields]:
            verdict = str(fields[name]).lower()
            # the labels of other sets say other things
            is_told = name != "label" or of_trl or (of_swift and fields[name] is False)
            if verdict in ("false", "0", "0.0") and is_told:
                raise self._error(
                    f"`{name}` is {verdict}, which says that the response is a bad one (KTO); leave such rows out, or "
                    "give it as the `rejected` one of a row with a good response"
                )

    def _messages(self, name: str, kind: str) -> list[_Message]:
        """Return the messages in a column. `kind`: whose it is where it is a text or one message without a role."""
        value: Any = self._row.fields.get(name)
        self._read.add(name)
        if isinstance(value, str) and name in ("messages", "conversations"):
            raise self._error(f"`{name}` is a text and must be a list of messages; save the rows as JSONL, with lists")
        if not isinstance(value, list | dict) and name in ("messages", "conversations"):
            raise self._error(
                f"`{name}` is {'null' if value is None else repr(value)} and must be a list of messages; give it one, "
                "or remove the row"
            )
        if kind == _MODEL and isinstance(value, list) and any(isinstance(one, str) for one in value):
            raise self._error(
                f"`{name}` is a list of texts (LLaMA-Factory's older pairs have the good answer first, then the bad); "
                f"write the good one as `{CHOSEN}` in place of `{name}`, and a bad one as `rejected`"
            )
        if not isinstance(value, list | dict):
            return [_Message(kind, self._text(name))]
        return [self._message(name, message) for message in (value if isinstance(value, list) else [value])]

    def _message(self, name: str, message: Any) -> _Message:
        fields = message if isinstance(message, dict) else {}
        role = fields.get("role") or fields.get("from")
        if role in _OF_TOOLS or fields.get("tool_calls") or fields.get("function_call"):
            raise self._error(f"`{name}` has a call of a tool or its result, and {_NO_TOOLS}leave such rows out")
        text = fields.get("value") if fields.get("content") is None else fields.get("content")
        if isinstance(text, list):
            text = "".join(self._part(name, part) for part in text)
        if isinstance(text, date):
            raise self._error(f"`{name}` has {str(text)!r} as the text of a message; {AS_DATE}")
        if not isinstance(role, str) or not isinstance(text, str):
            raise self._error(
                f"`{name}` must be a list of messages with `role` and `content`, or `from` and `value`, all of them "
                f"texts, not {message!r:.60}"
            )
        if role not in _ROLES:
            raise self._error(f"`{name}` has the role {role!r:.40}; known: {', '.join(_ROLES)}")
        for key in _REASONING:
            if fields.get(key):
                raise self._error(f"`{name}` has `{key}`, {_OF_REASONING}")
        if fields.get("train_detail"):
            raise self._error(
                f"`{name}` has `train_detail`, which trains on parts of an answer (Axolotl), and answers are trained "
                "on whole here; remove it, or the row"
            )
        said = {key: fields[key] for key in _TRAINED if fields.get(key) is not None}
        for key, value in said.items():
            if value not in (0, 1):
                raise self._error(
                    f"`{name}` has the `{key}` {value!r:.20}; give 1 or true to train on an answer, else 0 or false"
                )
        return _Message(_ROLES[role], self._checked(name, text), all(said.values()))

    def _part(self, name: str, part: Any) -> str:
        fields = part if isinstance(part, dict) else {}
        kind, text = str(fields.get("type")), fields.get("text")
        if any(medium in kind for medium in ("image", "video", "audio")):
            raise self._error(f"`{name}` {_OF_PICTURES}")
        if kind in _REASONING:
            raise self._error(f"`{name}` has a part that is {kind}, {_OF_REASONING}")
        if kind != "text" or not isinstance(text, str):
            raise self._error(
                f"`{name}` has {part!r:.60} as a part of a message; each part must have the `type` 'text' and its "
                "`text`; give it one, or remove it"
            )
        return text

    def _text(self, name: str, default: str | None = None) -> str:
        self._read.add(name)
        return self._row.text(name, default)

    def _checked(self, name: str, text: str) -> str:
        return JsonRow(self._row.place, {name: text}).text(name)  # refuses half a surrogate pair

    def _error(self, why: str) -> UsageError:
        return UsageError(f"{self._row.place}: {why}")


def _turns(messages: Sequence[_Message]) -> list[tuple[str, str]]:
    return [(message.kind, message.text.strip()) for message in messages if message.kind != _SYSTEMS]


def _last_question(turns: Sequence[tuple[str, str]]) -> str:
    return next((text for kind, text in reversed(turns) if kind == _USER), "")


def _way(kinds: Sequence[str]) -> str:
    """Return what makes a row questions and answers in turns."""
    if _SYSTEMS in kinds[1:]:
        return "put one system message first"
    turns = [kind for kind in kinds if kind != _SYSTEMS]
    if _USER not in turns:
        return "give it a question and its answer, or remove the row"
    if turns[:1] == [_MODEL]:
        return "remove what the model says before the first question"
    if _MODEL not in turns:
        return "give the question an answer, or remove the row"
    if turns[-1] == _USER:
        return "remove the last question, which has no answer"
    return "join messages of the same side that follow each other"
