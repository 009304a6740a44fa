"""Builds the texts that a model reads, from rows and problems: prompts for training and for evaluation.

Source: https://github.com/eth-sri/SafeCoder/blob/main/safecoder/constants.py and scripts/func_eval_gen.py. The
template ``instruct`` is the study's. The template ``raw`` is for models whose training prompts have the form of the
evaluated ones (MiniCode): both are used unchanged, so that they end in the same tokens.
``chat`` is the template that a chat model's tokenizer brings along, ``magicoder`` that of Magicoder's family
(https://github.com/ise-uiuc/magicoder), ``semcoder`` that of SemCoder and SemCoder-S
(https://github.com/ARiSE-Lab/SemCoder, src/prompts.py); any other form is written as a Jinja string. A template belongs
to a model, not to its architecture: DeepSeek-Coder, from which a Magicoder was trained, has another one. Those whose
names begin with ``repair`` or ``zero_shot`` show code with a faulty hunk (repair/styles.py).
"""

from __future__ import annotations

import dataclasses
import json
import os.path
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError, did_you_mean
from raysweep.hashing import canonical_json
from raysweep.prompts.answers.marks import has_meanings
from raysweep.prompts.answers.reasoning import (
    begins_with_reasoning,
    closing_of,
    mark_of,
    opened_reasoning,
    without_reasoning,
)
from raysweep.prompts.regions import find_docstring
from raysweep.prompts.repair.styles import (
    MASK_END,
    STYLES,
    RepairAnswer,
    infill_ends,
    shown,
    trains_suffix_first,
)
from raysweep.records import GenerationRequest, Problem, SourceRow, TrainingRow

if TYPE_CHECKING:
    import jinja2

ALONE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)
TASK = "Create a Python function for this problem:\n{docstring}"
BEGINNING = "\n\nIt begins with:\n{signature}"
"""Of the function, behind the task where the model writes marks, such as of its reasoning, before it answers."""
RAW, INSTRUCT, CHAT, MAGICODER, SEMCODER, NATIVE = "raw", "instruct", "chat", "magicoder", "semcoder", "native"
_ASSISTANT = "You are an exceptionally intelligent coding assistant that consistently delivers accurate and reliable "
FAMILY_FORMS = {
    MAGICODER: f"{_ASSISTANT}responses to user instructions.\n\n@@ Instruction\n{{request}}\n\n@@ Response\n",
    SEMCODER: f"{_ASSISTANT}<Code> according to <NL_Description>\n\n<NL_Description>\n{{request}}\n\n<Code>\n",
}
"""The forms of prompts of models that bring no chat template."""
SIMULATE = (
    "Simulate the Execution: You are given a Python function and an assertion containing a function input. Complete "
    "the assertion containing the execution output corresponding to the given input in [ANSWER] and [/ANSWER] tags."
)
DEDUCE = (
    "Deduce the Semantic Constraints: You are given a Python program and its expected output. Find one input such that "
    "executing the program with the input leads to the given output. Complete the assertion with one such input in "
    "between [ANSWER] and [/ANSWER]."
)
"""How SemCoder is asked to reason about an execution, forwards and backwards; its form for code isn't used then."""
TEMPLATES = (INSTRUCT, RAW, CHAT, *FAMILY_FORMS)
"""The templates with a name, beside those for repair; a Jinja string is one too."""
VARIABLES = ("instruction", "input", "system", "history", "bos_token", "eos_token")
"""What a Jinja string may use; `history` is a list of {question, answer}."""
DAY = "2024-07-26"
"""The day of chat templates that read the clock, unless a config gives one: that of Llama 3.1's template."""
RESERVED = frozenset(
    {
        *("messages", "add_generation_prompt", "continue_final_message", "strftime_now", "raise_exception"),
        *("tools", "documents", "conversation", "chat_template", "tokenize", "padding", "truncation", "max_length"),
        *("return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs"),
        *("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"),
        "additional_special_tokens",
    }
)
"""What raysweep, transformers or the tokenizer gives to a chat template; a config can't."""
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""transformers' own tags of Jinja, around what an assistant writes."""
_REQUEST, _ANSWER = "What is asked for?", "The answer."
_CLOCKS = ("2001-02-03", "2019-11-28")


@dataclass(frozen=True)
class PromptTemplate:
    """How an instruction becomes the text that a model reads.

    Attributes:
        name: one of `TEMPLATES`, or a Jinja string with some of `VARIABLES`.
        system: the system prompt of a chat template or Jinja string; empty: none.
        tokenizer: the model's. A chat template comes with it, and a Jinja string may name its special tokens.
        day: the date, such as 2024-07-26, of a chat template that shows one; empty: `DAY`, and where the template has a
            date of its own (`date_string` of Llama 3.1), that.
        arguments: what a chat template is given beside messages, such as `enable_thinking` of Qwen3's.
    """

    name: str
    system: str = ""
    tokenizer: Any = None
    day: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def needs_tokenizer(self) -> bool:
        """Whether it is a form of the model's own, such as a chat template, in which its base is prompted too."""
        if self.name in STYLES:
            return STYLES[self.name].infill
        return self.name not in (RAW, INSTRUCT)

    def fill(
        self,
        instruction: str,
        further: str = "",
        *,
        suffix_first: bool = False,
        system: str = "",
        history: Sequence[str] = (),
    ) -> str:
        """Return the text before the response.

        Args:
            instruction: what is asked for; for repair, code with a marked hunk.
            further: the input of an instruction, empty for most.
            suffix_first: for templates that fill a hole, what stands behind it comes first.
            system: a system text of the row's own, which takes the place of the template's.
            history: earlier questions and answers in turns.

        Raises:
            UsageError: the chat template refuses a system prompt, there is nothing to repair, or the template has no
                place for a system text of the row's own or for earlier turns.
        """
        text = self._filled(instruction, further, suffix_first, system, history)
        has_place = _shown_variables(self.name) if system or history else frozenset()
        for what, variable, parts in (("system text", "system", [system]), ("earlier turns", "history", history[::2])):
            if any(parts) and (variable not in has_place or not all(part.strip() in text for part in parts)):
                raise UsageError(
                    f"the template {self.name:.60} leaves out a row's {what}; take one that shows them, such as "
                    f"`{INSTRUCT}` or a Jinja string with `system` and `history`, or remove such rows"
                )
        return text

    def _filled(self, instruction: str, further: str, suffix_first: bool, system: str, history: Sequence[str]) -> str:
        if self.name in STYLES:
            return shown(self.name, instruction, self.tokenizer, suffix_first=suffix_first)
        if self.name == RAW:
            return instruction + further
        if self.name == INSTRUCT:
            last = (WITH_INPUT if further else ALONE).format(instruction=instruction, input=further)
            earlier = [ALONE.format(instruction=question) for question in history[::2]]
            return self._in_turns(last, earlier, system, history)
        request = "\n\n".join([instruction, further]) if further else instruction
        if self.name == SEMCODER and request.startswith((SIMULATE, DEDUCE)) and not (system or history):
            return f"{request}\n"
        if self.name in FAMILY_FORMS:
            form = FAMILY_FORMS[self.name]
            earlier = [form.format(request=question) for question in history[::2]]
            return self._in_turns(form.format(request=request), earlier, system, history)
        if self.name == CHAT:
            return self._chat(request, system or self.system, history)
        tokens = {name: getattr(self.tokenizer, name, None) or "" for name in ("bos_token", "eos_token")}
        turns = [
            {"question": question, "answer": answer}
            for question, answer in zip(history[::2], history[1::2], strict=True)
        ]
        texts = {"instruction": instruction, "input": further, "system": system or self.system, "history": turns}
        return _jinja(self.name).render(**texts, **tokens)

    def _in_turns(self, last: str, earlier: Sequence[str], system: str, history: Sequence[str]) -> str:
        """Return a filled text with earlier ones before it, each with its answer and the end of a response.

        Its first sentences stand once, before all turns; a row's system text takes their place, as in LLaMA-Factory.
        """
        opening, gap, form = last.partition("\n\n")
        forms = [text.partition("\n\n")[2] for text in earlier]
        turns = (f"{text}{answer}{self.end}\n\n" for text, answer in zip(forms, history[1::2], strict=True))
        return f"{system or opening}{gap}{''.join(turns)}{form}"

    def adds_special_tokens(self, text: str) -> bool:
        """Return whether the tokenizer must put its own special tokens around a filled text.

        A chat template writes them itself, and so does a Jinja string that begins with ``bos_token``.
        """
        first = getattr(self.tokenizer, "bos_token", None) if self.needs_tokenizer else None
        return self.name != CHAT and not (first and text.startswith(first))

    @property
    def end(self) -> str:
        """The token that ends a response: a chat template's end of turn, else the tokenizer's end of text."""
        if self.name != CHAT:
            return str(self.tokenizer.eos_token)
        return end_of_turn(self.tokenizer, canonical_json(self.arguments))

    @property
    def is_form(self) -> bool:
        """Whether a model or a config brings it: a chat template or a Jinja string."""
        return self.name not in (RAW, INSTRUCT, *FAMILY_FORMS, *STYLES)

    def opened(self, text: str) -> str:
        """Return the mark with which a filled text leaves reasoning open, and what follows it; empty: none."""
        return opened_reasoning(text, self._written_last) if self.is_form else ""

    @cached_property
    def _written_last(self) -> str:
        """What it writes behind a request."""
        return self.fill(_REQUEST).rpartition(_REQUEST)[2]

    @cached_property
    def _around_answer(self) -> tuple[str, str]:
        """What a chat template writes behind a request before an answer, and behind that; empty: it can't tell."""
        before, _, behind = self._conversation(_ANSWER).partition(_ANSWER)
        return before, behind

    @property
    def answer_opening(self) -> str:
        """What a chat template writes between a prompt and an answer, if marks with a meaning are among it; or "".

        Such as gpt-oss's channel for answers and Qwen3's empty reasoning. The model writes it, or reasons first.
        """
        before = self._around_answer[0]
        opening = before.removeprefix(self._written_last) if before and before.startswith(self._written_last) else ""
        return opening if has_meanings(opening) else ""

    def _brings_marks(self, response: str) -> bool:
        """Return whether a response has the marks that a template writes before one: control tokens, or reasoning."""
        opening = self.answer_opening
        if opening and response.lstrip().startswith(tuple(special_tokens(self.tokenizer))):
            return True
        return begins_with_reasoning(opening.lstrip()) and without_reasoning(response) != response

    def answered(self, prompt: str, response: str) -> tuple[str, int]:
        """Return a filled text with a response, up to the token that ends it, and where the response begins.

        With a chat template it is the template's own text of the whole conversation, which may have something before
        and behind an answer, or strip it. It has no say where it leaves out what a response says, refuses it, puts
        marks before those that the response has, or leaves out reasoning that it opens: the response stands there as
        it is, behind such marks or behind reasoning that is closed at once, unless it has its own.
        """
        written = self._behind_request(response)
        if written and prompt.endswith(self._written_last):
            request = prompt.removesuffix(self._written_last)
            forms = (response, response.rstrip(), response.lstrip(), response.strip())
            begins = next((at for form in forms if (at := written.rfind(form)) >= 0), 0)
            behind = self._around_answer[1]
            closing = behind.partition(self.end)[0] if self.end in behind else ""
            return f"{request}{written}{closing}", len(request) + begins
        opened = self.opened(prompt)
        if not opened:
            opening = "" if self._brings_marks(response) else self.answer_opening
            return f"{prompt}{opening}{response}", len(prompt) + len(opening)
        if response.lstrip().startswith(mark_of(opened)):
            bare = prompt.removesuffix(opened)
            return f"{bare}{response}", len(bare)
        closing = closing_of(opened)
        closing = closing if without_reasoning(response) == response else ""
        return f"{prompt}{closing}{response}", len(prompt) + len(closing)

    def begun(self, prompt: str, beginning: str) -> str:
        """Return a filled text with the beginning of its answer, as a whole conversation has it."""
        if not beginning:
            return prompt
        before, found, _ = self.answered(prompt, beginning)[0].rpartition(beginning)
        return before + beginning if found else prompt + beginning

    def _behind_request(self, response: str) -> str:
        """Return what a chat template writes behind a request up to the end of its answer; empty: it has no say."""
        before, behind = self._around_answer
        whole = self._conversation(response)
        written = whole.removesuffix(behind)
        if not (whole and whole.endswith(behind)) or "".join(response.split()) not in "".join(written.split()):
            return ""
        if self._brings_marks(response) and written.startswith(before):
            return ""
        leaves_out = self.opened(self._written_last) and not written.startswith(self._written_last)
        return "" if leaves_out else written

    def _conversation(self, answer: str) -> str:
        """Return what a chat template writes behind a request that has an answer; empty where it refuses one."""
        if self.name != CHAT or self.tokenizer is None:
            return ""
        with suppress(UsageError):
            return self._chat(_REQUEST, self.system, answer=answer).partition(_REQUEST)[2]
        with suppress(UsageError):  # a template may refuse to end in an answer
            whole = self._chat(_REQUEST, self.system, (_REQUEST, answer))
            return whole.partition(_REQUEST)[2].rpartition(_REQUEST)[0]
        return ""

    @property
    def shown_day(self) -> str:
        """The day that filled texts depend on; empty for most templates.

        Renderings under two clocks tell it, with and without a system text and earlier turns, as rows may have them.
        """
        if self.name != CHAT or self.tokenizer is None:
            return ""
        shapes = [(system, history) for system in dict.fromkeys([self.system, "", "x"]) for history in ((), ("x", "x"))]
        return (self.day or DAY) if any(self._shows_clock(*shape) for shape in shapes) else ""

    def _shows_clock(self, system: str, history: Sequence[str]) -> bool:
        try:
            return len({self._chat("x", system, history, day=clock) for clock in _CLOCKS}) > 1
        except UsageError:  # it refuses a system text, so that no row has one
            return False

    def _chat(
        self, request: str, system: str, history: Sequence[str] = (), day: str = "", answer: str | None = None
    ) -> str:
        """Return the text before an answer, or with an answer, as the tokenizer's own method renders it."""
        texts = [*history, request, *([] if answer is None else [answer])]
        turns = [{"role": "system", "content": system}] if system else []
        turns += [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]
        fields: dict[str, Any] = {}
        date = datetime.fromisoformat(day or self.day or DAY)
        written = str(self.tokenizer.chat_template)
        if "strftime_now" in written:  # in transformers a function of templates, which reads the clock
            fields["strftime_now"] = date.strftime
        if self.day and "date_string" in written:
            fields["date_string"] = date.strftime("%d %b %Y")  # as Llama's templates have it
        return _rendered(self.tokenizer, turns, add_generation_prompt=answer is None, **{**fields, **self.arguments})


def has_chat_template(tokenizer: Any) -> bool:
    """Return whether a tokenizer brings a chat template, or a method of its own that renders chats."""
    return brings_code(tokenizer) or bool(tokenizer.chat_template)


def brings_code(tokenizer: Any) -> bool:
    """Return whether a tokenizer renders chats by a method of its own."""
    from transformers import PreTrainedTokenizerBase

    return type(tokenizer).apply_chat_template is not PreTrainedTokenizerBase.apply_chat_template


def check_template(name: str, others: tuple[str, ...] = ()) -> str:
    """Return a template's name or Jinja string; raise UsageError if it is neither, or one of `others`.

    A Jinja string must use ``instruction`` and nothing beside `VARIABLES`.
    """
    if name in (*TEMPLATES, *STYLES, *others):
        return name
    if "{" not in name:
        near = did_you_mean(name, (*others, *TEMPLATES, *STYLES))
        known = ", ".join((*others, *TEMPLATES))
        raise UsageError(
            f"unknown template {name!r}{near}; known: {known}, or a Jinja string such "
            'as "Q: {{ instruction }}\\nA: "; docs/repair.md has those for repair'
        )
    import jinja2

    try:
        used = _variables(name)
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(f"template {name!r} is no Jinja string: {error.message}") from error
    if unknown := sorted(used - set(VARIABLES)):
        raise UsageError(f"template {name!r} uses {', '.join(unknown)}; it can use {', '.join(VARIABLES)}")
    if "instruction" not in used:
        raise UsageError(f"template {name!r} leaves the task out; it needs {{{{ instruction }}}}")
    return name


def check_line_ends(name: str) -> None:
    r"""Raise UsageError if a Jinja string writes a backslash and an n and no line end, as where a shell left ``\n``."""
    if "{" not in name or "\n" in name:
        return
    import jinja2

    data = "".join(text for _, kind, text in jinja2.Environment().lex(name) if kind == "data")
    if "\\n" in data:
        raise UsageError(
            f"template '{name}' has a backslash and an n where a line end is meant; in a shell write $'{name}', in "
            f"YAML and after --set \"{name}\" with its double quotes, and for these two characters {{{{ '\\\\n' }}}}"
        )


@lru_cache(maxsize=4)
def end_of_turn(tokenizer: Any, arguments: str = "{}") -> str:
    """Return the special token that ends an answer in the tokenizer's chat template, else its end of text.

    `arguments`: the template's, as JSON.
    """
    question, answer = {"role": "user", "content": _REQUEST}, {"role": "assistant", "content": _ANSWER}
    given = json.loads(arguments)
    try:
        whole = _rendered(tokenizer, [question, answer], **given)
    except UsageError:  # it refuses to end in an answer
        whole = _rendered(tokenizer, [question, answer, question], **given)
    after = whole.rpartition(_ANSWER)[2]
    special = special_tokens(tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(after, add_special_tokens=False)["input_ids"])
    return next((token for token in tokens if token in special), str(tokenizer.eos_token))


def _rendered(tokenizer: Any, turns: Sequence[Mapping[str, str]], **fields: Any) -> str:
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, **fields))
    except Exception as error:  # a template is a program
        way = f"take another template, such as `{INSTRUCT}` or a Jinja string"
        way += ", or leave out the system text" if turns[0]["role"] == "system" else ""
        raise UsageError(f"the tokenizer's chat template refuses the prompt: {error}; {way}") from error


def special_tokens(tokenizer: Any) -> dict[str, int]:
    """Return the id of each special token of a tokenizer, which decoding leaves out."""
    added = {token.content: number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return {**added, **dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))}


def arguments_of(chat_template: str) -> frozenset[str]:
    """Return the arguments that a chat template reads beside `RESERVED` ones."""
    loops = ("jinja2.ext.loopcontrols",)  # which transformers has, too
    return _variables(_GENERATION.sub("", chat_template), loops) - RESERVED


@cache
def _variables(text: str, extensions: tuple[str, ...] = ()) -> frozenset[str]:
    import jinja2.meta

    return frozenset(jinja2.meta.find_undeclared_variables(jinja2.Environment(extensions=extensions).parse(text)))


def shows_system(name: str) -> bool:
    """Return whether a template has a place for a model's system prompt; a chat template may still refuse it."""
    return name == CHAT or (name not in (*TEMPLATES, *STYLES, NATIVE) and "system" in _variables(name))


def _shown_variables(name: str) -> frozenset[str]:
    """Return which of system and history a template has a place for; a chat template may still leave them out."""
    if name in (INSTRUCT, CHAT, *FAMILY_FORMS):
        return frozenset(("system", "history"))
    return frozenset() if name == RAW or name in STYLES else _variables(name)


@cache
def _jinja(text: str) -> jinja2.Template:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(keep_trailing_newline=True).from_string(text)


def encoder_ids(text: str, template: PromptTemplate) -> list[int]:
    """Return the tokens that an encoder reads of a filled text, in training and generation.

    They are those of a whole text, with what the tokenizer puts around one, such as its end. The template has the
    tokenizer.
    """
    special = template.adds_special_tokens(text)
    return list(template.tokenizer(text, add_special_tokens=special)["input_ids"])


def training_prompt(row: TrainingRow | SourceRow, template: PromptTemplate) -> str:
    """Return the text before a row's output: the filled template, or for ``raw`` the instruction and input.

    Earlier turns stand before the question, and no loss is that of their answers.

    Half of the rows that fill a hole, chosen by their ids, show what stands behind it first.
    """
    first = trains_suffix_first(row.row_id)
    return template.fill(row.instruction, row.input, suffix_first=first, system=row.system, history=row.history)


def earlier_answers(row: TrainingRow | SourceRow, template: PromptTemplate, text: str) -> list[tuple[int, int]]:
    """Return where the earlier answers of a row stand in its text, as (first character, one after the last).

    As of the last answer, what the template writes before an answer counts with it, and so does its end. Answers that
    the row masks are left out.

    Args:
        row: with earlier turns.
        template: with its tokenizer.
        text: the filled template with the row's last answer.

    Raises:
        UsageError: the text up to such an answer is another one than that of a row that ends with it, as where a
            template leaves out the reasoning of earlier turns. The model would learn what it never writes.
    """
    masked, found = set(filter(None, row.masked.split(","))), []
    for at in range(0, len(row.history), 2):
        if str(at // 2) in masked:
            continue
        question, answer = row.history[at : at + 2]
        asked = template.fill(question, system=row.system, history=row.history[:at])
        whole, begins = template.answered(asked, answer)
        if not text.startswith(whole := f"{whole}{template.end}"):
            raise UsageError(_other_turns(row, template, whole, text))
        found.append((loss_begins(asked, whole, begins), len(whole)))
    return found


def loss_begins(prompt: str, text: str, begins: int) -> int:
    """Return the first character of a text that the model is to write: behind all that the prompt has of it.

    `begins`: where its response begins, before which a template may write more. A template may end a prompt in another
    way than it goes on in the whole conversation.
    """
    return len(os.path.commonprefix([prompt, text[:begins]]))  # noqa: RUF071  # of characters


def _other_turns(row: TrainingRow | SourceRow, template: PromptTemplate, part: str, text: str) -> str:
    same = len(os.path.commonprefix([part, text]))  # noqa: RUF071  # of characters
    there, last = text[same:][:20], part[same:][:20]
    return (
        f"row {row.row_id}: with `loss_on: all` earlier answers must stand in the text as the last one does, and the "
        f"template {template.name:.60} has {there!r} where {last!r} would be; write `loss_on: last`, and a row that "
        "ends with each answer"
    )


def template_shown(prompt_format: str, tuned: bool, template: PromptTemplate) -> PromptTemplate:
    """Return the template of the prompts that a model is judged on.

    Args:
        prompt_format: a template for all models, or ``native``: a fine-tuned model sees the template that it was
            trained with, and a base model too if that is its own (`needs_tokenizer`), else the prompt as it is.
        tuned: whether the model was fine-tuned.
        template: with which the model's fine-tuned versions are trained.
    """
    if prompt_format != NATIVE:
        return dataclasses.replace(template, name=prompt_format)
    if template.name in STYLES:
        return template if tuned else dataclasses.replace(template, name=STYLES[template.name].untuned or template.name)
    return template if tuned or template.needs_tokenizer else dataclasses.replace(template, name=RAW)


def strips_prompts(prompt_format: str, tuned: bool, template: PromptTemplate) -> bool:
    """Return whether prompts lose the blanks at their ends: those of a base model that isn't trained on raw prompts.

    Such a model hasn't learned to go on after a last line break, which is a token. With the format ``raw`` and the
    template ``raw`` prompts stay as they are. For the arguments see `template_shown`.
    """
    return template_shown(prompt_format, tuned, template).name == RAW and RAW not in (prompt_format, template.name)


@dataclass(frozen=True)
class Prompter:
    """Builds the requests for a model's completions; see `template_shown` for its first three fields."""

    prompt_format: str
    tuned: bool
    template: PromptTemplate
    stop: tuple[str, ...] = ()  # strings or special tokens that end a completion, beside each problem's own
    whole_answers: bool = False  # no problem's stop strings end an answer: its program is taken out of it later

    @cached_property
    def shown(self) -> PromptTemplate:
        return template_shown(self.prompt_format, self.tuned, self.template)

    def text(self, problem: Problem, prompt: str) -> str:
        """Return the text that the model sees for a problem, given its clean or perturbed prompt.

        In a template the docstring is the task, and the signature begins the response; it is in the task where the
        template opens reasoning, which the response would else be part of, or the model writes marks before an answer,
        such as a channel. A prompt without a template may be stripped (`strips_prompts`). A prompt that is no code but
        asks for a program is the task as it is.
        """
        if self.shown.name in STYLES:
            return self.shown.fill(prompt)
        if self.shown.name == RAW:
            return prompt.strip() if strips_prompts(self.prompt_format, self.tuned, self.template) else prompt
        if not problem.begins_program:
            return self.shown.fill(prompt.strip())
        signature, docstring = split_docstring(prompt, problem.entry_point)
        task = TASK.format(docstring=docstring)
        text = self.shown.fill(task)
        if signature and (self.shown.opened(text) or self.shown.answer_opening):
            return self.shown.fill(task + BEGINNING.format(signature=signature))
        return self.shown.begun(text, signature)

    def request(self, request_id: str, problem: Problem, prompt: str) -> GenerationRequest:
        """Return the request for a problem's first completion. A chat's end of turn ends it too."""
        text = self.text(problem, prompt)
        turn: tuple[str, ...] = (self.shown.end,) if self.shown.name == CHAT else ()
        if (style := STYLES.get(self.shown.name)) and style.answer is RepairAnswer.SPAN:
            turn = (MASK_END,)
        elif style and style.infill:
            turn = infill_ends(self.shown.tokenizer)
        own = () if self.whole_answers else problem.stop
        return GenerationRequest(
            request_id,
            problem.task_id,
            text,
            stop=(*own, *self.stop, *turn),
            reference=problem.reference,
            special_tokens=self.shown.adds_special_tokens(text),
            opened=self.shown.opened(text),
        )


def split_docstring(prompt: str, entry_point: str) -> tuple[str, str]:
    """Split a prompt into signature and docstring, both stripped; the docstring loses four blanks of indent.

    SafeCoder takes the prompt's first triple quotes, which differs only if a helper before the entry point has a
    docstring, or in the kind of quotes. Without a docstring the whole prompt counts as one, and the signature is empty.
    """
    docstring = find_docstring(prompt, entry_point)
    if docstring is None:
        return "", prompt.strip()
    return prompt[: docstring.start()].strip(), docstring[2].replace("\n    ", "\n").strip()
