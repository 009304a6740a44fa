"""Prompts that models read in training and evaluation."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import yaml

from raysweep.errors import UsageError
from raysweep.models.loading import load_tokenizer
from raysweep.prompts.templates import (
    DEDUCE,
    SIMULATE,
    Prompter,
    PromptTemplate,
    arguments_of,
    check_line_ends,
    check_template,
    split_docstring,
    template_shown,
    training_prompt,
)
from raysweep.records import ModelRef, Problem, TrainingRow
from tests.models.scripted import chat_bytes
from tests.models.tiny import CHATS, chat_tokenizer

PROMPT = (
    "from typing import List\n\n\ndef mean(xs: List[float]) -> float:\n"
    '    """ Return the mean.\n    >>> mean([1.0, 3.0])\n    2.0\n    """\n'
)
PROBLEM = Problem("HumanEval/x", PROMPT, "mean", "")
ROW = TrainingRow("0", "0", "Sort a list.", "", "def f(xs):\n    return sorted(xs)", "python", "clean", False, "", "")
HEAD = "Below is an instruction that describes a task"


DOCSTRING, SIGNATURE = (
    "Return the mean.\n>>> mean([1.0, 3.0])\n2.0",
    "from typing import List\n\n\ndef mean(xs: List[float]) -> float:",
)
INSTRUCT, AS_IT_IS = PromptTemplate("instruct"), PromptTemplate("raw")


def prompter(tuned: bool, template: PromptTemplate = INSTRUCT, prompt_format: str = "native") -> Prompter:
    return Prompter(prompt_format, tuned, template)


def show(**options: Any) -> str:
    return prompter(**options).text(PROBLEM, PROMPT)


def test_the_templates_are_safecoders() -> None:
    assert training_prompt(ROW, INSTRUCT) == (
        f"{HEAD}. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nSort a list.\n\n### Response:\n"
    )
    assert training_prompt(dataclasses.replace(ROW, input="[3, {1}]"), INSTRUCT) == (
        f"{HEAD}, paired with an input that provides further context. Write a response that appropriately completes "
        "the request.\n\n### Instruction:\nSort a list.\n\n### Input:\n[3, {1}]\n\n### Response:\n"
    )
    assert "{x: {input}}" in training_prompt(dataclasses.replace(ROW, instruction="{x: {input}}"), INSTRUCT)
    assert training_prompt(dataclasses.replace(ROW, instruction=PROMPT), AS_IT_IS) == PROMPT


def test_magicoders_template_is_that_of_its_readme_and_its_base_models_are_shown_it_too() -> None:
    template = PromptTemplate("magicoder")
    request = dataclasses.replace(ROW, instruction="Sort {a list}.", input="[3, {1}]")
    assert training_prompt(request, template) == (
        "You are an exceptionally intelligent coding assistant that consistently delivers accurate and reliable "
        "responses to user instructions.\n\n@@ Instruction\nSort {a list}.\n\n[3, {1}]\n\n@@ Response\n"
    )
    assert template_shown("native", False, template) == template_shown("native", True, template) == template


def test_semcoders_template_is_that_of_its_code_and_model_card() -> None:
    template = PromptTemplate("semcoder")
    assert training_prompt(dataclasses.replace(ROW, instruction="Sort {a list}."), template) == (
        "You are an exceptionally intelligent coding assistant that consistently delivers accurate and reliable <Code> "
        "according to <NL_Description>\n\n<NL_Description>\nSort {a list}.\n\n<Code>\n"
    )
    for task in (SIMULATE, DEDUCE):  # prompts of their own, which its code doesn't put into the form for code
        assert template.fill(f"{task}\nassert f(1) == ??") == f"{task}\nassert f(1) == ??\n"
    assert template_shown("native", False, template) == template


TALK = dataclasses.replace(ROW, system="Be {terse}.", history=("Say {hi}.", "Hi."))


def test_a_rows_system_text_and_earlier_turns_stand_in_the_forms_of_each_template() -> None:
    tokenizer = chat_tokenizer("chatml")
    end = tokenizer.eos_token
    assert training_prompt(TALK, PromptTemplate("instruct", tokenizer=tokenizer)) == (
        f"Be {{terse}}.\n\n### Instruction:\nSay {{hi}}.\n\n### Response:\nHi.{end}\n\n"
        "### Instruction:\nSort a list.\n\n### Response:\n"
    )
    alone = dataclasses.replace(TALK, system="", input="[3]")
    assert training_prompt(alone, PromptTemplate("instruct", tokenizer=tokenizer)) == (
        f"{HEAD}, paired with an input that provides further context. Write a response that appropriately completes "
        f"the request.\n\n### Instruction:\nSay {{hi}}.\n\n### Response:\nHi.{end}\n\n"
        "### Instruction:\nSort a list.\n\n### Input:\n[3]\n\n### Response:\n"
    )
    assert training_prompt(TALK, PromptTemplate("magicoder", tokenizer=tokenizer)) == (
        f"Be {{terse}}.\n\n@@ Instruction\nSay {{hi}}.\n\n@@ Response\nHi.{end}\n\n"
        "@@ Instruction\nSort a list.\n\n@@ Response\n"
    )
    assert training_prompt(TALK, PromptTemplate("semcoder", tokenizer=tokenizer)) == (
        f"Be {{terse}}.\n\n<NL_Description>\nSay {{hi}}.\n\n<Code>\nHi.{end}\n\n"
        "<NL_Description>\nSort a list.\n\n<Code>\n"
    )
    said = [("system", "Be {terse}."), ("user", "Say {hi}."), ("assistant", "Hi."), ("user", "Sort a list.")]
    turns = [{"role": role, "content": text} for role, text in said]
    whole = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert training_prompt(TALK, PromptTemplate("chat", "Another one.", tokenizer)) == whole
    jinja = "{{ system }}|{% for t in history %}{{ t.question }}>{{ t.answer }};{% endfor %}{{ instruction }}="
    assert training_prompt(TALK, PromptTemplate(check_template(jinja))) == "Be {terse}.|Say {hi}.>Hi.;Sort a list.="


@pytest.mark.parametrize("name", ["raw", "Q: {{ instruction }}", "chat"])
def test_a_template_that_leaves_out_a_rows_system_text_or_earlier_turns_is_refused_and_others_take_it(
    name: str,
) -> None:
    tokenizer = chat_tokenizer("chatml")
    tokenizer.chat_template = "{{ messages[-1].content }}"
    for row, what in ((TALK, "system text"), (dataclasses.replace(TALK, system=""), "earlier turns")):
        with pytest.raises(
            UsageError, match=f"leaves out a row's {what}; take one that shows them, such as `instruct`"
        ):
            training_prompt(row, PromptTemplate(name, tokenizer=tokenizer))
        assert "Sort a list." in training_prompt(row, PromptTemplate("instruct", tokenizer=tokenizer))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (
            "alpaca",
            "unknown template 'alpaca'; known: instruct, raw, chat, magicoder, semcoder, or a Jinja",
        ),
        ("chatt", r"did you mean 'chat'"),
        ("{{ instruction }", "is no Jinja string"),
        ("{{ instruction }} {{ prompt }}", "uses prompt; it can use instruction, input, system"),
        ("{% if input %}{{ input }}{% endif %}", "leaves the task out"),
    ],
)
def test_what_is_no_template_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        check_template(text)


def test_a_backslash_and_an_n_are_no_line_end_and_each_way_out_is_taken() -> None:
    written = r"Q: {{ instruction }}\nA:\n"
    with pytest.raises(UsageError) as caught:
        check_line_ends(written)
    as_in_shell, as_yaml, as_characters = re.findall(
        r"\$'(.*?)', in YAML .* (\".*?\") with .* ({{ .* }})$", str(caught.value)
    )[0]
    assert as_in_shell == written and yaml.safe_load(as_yaml) == "Q: {{ instruction }}\nA:\n"
    ends = "{{ instruction }}{% if '\\n' in input %}{% endif %}" + as_characters
    for text in (yaml.safe_load(as_yaml), ends, "raw"):
        check_line_ends(check_template(text))
    assert PromptTemplate(ends).fill("x") == r"x\n"


def test_a_tuned_model_sees_the_template_and_goes_on_from_the_signature_and_a_base_model_the_stripped_prompt() -> None:
    # the exact text that safecoder/scripts/func_eval_gen.py makes of this prompt
    assert show(tuned=True) == (
        f"{HEAD}. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nCreate a Python function for this problem:\n"
        "Return the mean.\n>>> mean([1.0, 3.0])\n2.0\n\n### Response:\n"
        "from typing import List\n\n\ndef mean(xs: List[float]) -> float:"
    )
    assert show(tuned=False) == PROMPT.strip()
    assert "Return the maen." in prompter(True).text(PROBLEM, PROMPT.replace("mean.", "maen."))
    for tuned in (False, True):  # a format holds for both, and nothing is stripped where raw is asked for
        assert show(tuned=tuned, prompt_format="raw") == PROMPT
        assert show(tuned=tuned, prompt_format="instruct").startswith(HEAD)
        assert {show(tuned=tuned, prompt_format=one, template=AS_IT_IS) for one in ("native", "raw")} == {PROMPT}


def test_a_helpers_docstring_is_part_of_the_signature() -> None:
    helper = 'def g(x):\n    """Help."""\n    return x\n\n\n'
    signature, docstring = split_docstring(helper + "def f(x):\n    '''Do it.'''\n", "f")
    assert (signature, docstring) == (helper + "def f(x):", "Do it.")
    assert split_docstring("def f(x='\"\"\"'):\n    r'Do it.'\n", "f") == ('def f(x=\'"""\'):', "Do it.")
    assert split_docstring("Write f.\n", "f") == ("", "Write f."), "without a docstring the whole prompt is the task"


@pytest.mark.slow
@pytest.mark.parametrize("output", ["    return sum(xs)\n", "\n    return 1\n", "def mean(xs):\n    return 2\n", ""])
def test_generation_sees_the_tokens_that_training_showed(output: str, tiny: dict[str, ModelRef]) -> None:
    tokenizer = load_tokenizer(tiny["llama"])
    for template in (AS_IT_IS, INSTRUCT):
        prompt = training_prompt(dataclasses.replace(ROW, instruction=PROMPT), template)
        alone = tokenizer(prompt)["input_ids"]
        assert tokenizer(prompt + output)["input_ids"][: len(alone)] == alone


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("system", ["", "Answer in Python."])
def test_a_chat_is_what_the_tokenizer_makes_of_the_turns(name: str, system: str) -> None:
    tokenizer = chat_tokenizer(name)
    template = PromptTemplate("chat", system, tokenizer)
    turns = [{"role": "system", "content": system}] if system else []
    turns.append({"role": "user", "content": "Create a Python function for this problem:\n" + DOCSTRING})
    expected = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    for tuned in (False, True):
        assert show(tuned=tuned, template=template) == expected + SIGNATURE
    in_chat = show(tuned=False, template=dataclasses.replace(template, name="raw"), prompt_format="chat")
    assert in_chat.startswith(expected)
    assert show(tuned=False, template=template, prompt_format="raw") == PROMPT


ANSWERS = ("def f():\n    return 1", "  x\n", "    return 1\n", "", "<think>a</think>x", "<think>\na\n</think>\n\nx")


@pytest.mark.parametrize(
    "name", ["plain", "has spaces", "has a line end", "strips", "goes on in another way", "ends in no answer"]
)
def test_prompts_and_rows_are_the_chat_templates_own_conversation(name: str) -> None:
    tokenizer = chat_bytes(name)
    template = PromptTemplate("chat", "", tokenizer)
    for answer in ANSWERS:
        for history in ((), ("Hi", " Ho.\n")):
            said = [*history, "Sort <it>.", answer, *(["Why?"] if name == "ends in no answer" else [])]
            turns = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]
            whole = tokenizer.apply_chat_template(turns, tokenize=False)
            text, begins = template.answered(template.fill("Sort <it>.", history=history), answer)
            assert whole.startswith(text if name == "plain" else f"{text}{template.end}")
            assert text[begins:].lstrip().startswith(answer.strip())
    if name != "ends in no answer":
        turns = [{"role": "user", "content": "Create a Python function for this problem:\n" + DOCSTRING}]
        turns.append({"role": "assistant", "content": SIGNATURE})
        own = tokenizer.apply_chat_template(turns, tokenize=False, continue_final_message=True)
        assert show(tuned=True, template=template) == own


def test_a_template_that_reads_reasoning_writes_it_and_one_that_leaves_it_out_has_no_say() -> None:
    template = PromptTemplate("chat", "", chat_bytes("reads reasoning"))
    prompt = template.fill("x")
    for answer, thought in (("y", ""), ("<think>a</think>y", "a"), ("<think>\na\n</think>\n\ny", "a")):
        assert template.answered(prompt, answer)[0] == f"{prompt}<think>\n{thought}\n</think>\n\ny"
    tokenizer = chat_bytes("reads reasoning")
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content.split('</think>')[-1] }}{% endfor %}"
    template = PromptTemplate("chat", "", tokenizer)
    assert template.answered("<user>x", "<think>a</think>y")[0] == "<user>x<think>a</think>y"


def test_a_chat_template_gets_the_arguments_of_its_model() -> None:
    tokenizer = chat_bytes("may reason")
    template = PromptTemplate("chat", "", tokenizer, arguments={"enable_thinking": False})
    turns = [{"role": "user", "content": "Sort a list."}]
    expected = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert training_prompt(ROW, template) == expected != training_prompt(ROW, PromptTemplate("chat", "", tokenizer))
    assert expected.endswith("<|assistant|><think>\n\n</think>\n\n")
    assert template.answered(expected, "x") == (f"{expected}x", len(expected))
    assert prompter(True, template).text(PROBLEM, PROMPT).endswith(f"</think>\n\n{SIGNATURE}")


def test_arguments_that_a_chat_template_reads_are_known_by_name() -> None:
    assert arguments_of(chat_bytes("may reason").chat_template) == {"enable_thinking"}
    assert arguments_of(chat_bytes("has a date").chat_template) == {"date_string"}
    own_tags = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% break %}{% endfor %}"
    assert arguments_of(own_tags + "{{ bos_token }}{{ strftime_now('%d') }}") == frozenset()


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_has_the_tokens_that_the_tokenizer_gives_to_its_turns(name: str) -> None:
    tokenizer = chat_tokenizer(name)
    template = PromptTemplate("chat", "", tokenizer)
    row = dataclasses.replace(ROW, input="[3, 1]")
    turns = [{"role": "user", "content": "Sort a list.\n\n[3, 1]"}]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    text = training_prompt(row, template)
    assert tokenizer(text, add_special_tokens=template.adds_special_tokens(text))["input_ids"] == ids
    request = prompter(True, template).request("0", PROBLEM, PROMPT)
    assert request.special_tokens is False and request.stop[-1] == CHATS[name].end


def test_a_system_prompt_that_the_chat_template_refuses_is_named() -> None:
    tokenizer = chat_tokenizer("chatml")
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    )
    with pytest.raises(UsageError, match="chat template refuses the prompt: no system role"):
        PromptTemplate("chat", "Be brief.", tokenizer).fill("Sort a list.")


def test_a_template_that_refuses_to_end_in_an_answer_tells_its_end_before_a_question() -> None:
    tokenizer = chat_tokenizer("chatml")
    refusing = "{% if messages[-1]['role'] == 'assistant' %}{{ raise_exception('no answer') }}{% endif %}"
    tokenizer.chat_template = refusing + CHATS["chatml"].template
    assert PromptTemplate("chat", "", tokenizer).end == CHATS["chatml"].end


@pytest.mark.parametrize("name", ["opens reasoning", "opens Mistral's", "has channels", "writes empty reasoning"])
def test_a_signature_is_in_the_task_where_the_model_writes_marks_before_an_answer(name: str) -> None:
    template = PromptTemplate("chat", "", chat_bytes(name))
    request = prompter(True, template).request("0", PROBLEM, PROMPT)
    assert request.prompt.endswith(f"<|assistant|>{request.opened}") and bool(request.opened) == ("opens" in name)
    assert f"{DOCSTRING}\n\nIt begins with:\n{SIGNATURE}<|assistant|>" in request.prompt
    other = prompter(True, PromptTemplate("chat", "", chat_bytes("plain"))).request("0", PROBLEM, PROMPT)
    assert other.prompt.endswith(f"<|assistant|>{SIGNATURE}") and not other.opened


def test_only_what_a_template_writes_opens_reasoning() -> None:
    problem = Problem("x", 'def f():\n    """Explain <think>"""\n', "f", "")
    for template in (AS_IT_IS, INSTRUCT, PromptTemplate("magicoder"), PromptTemplate("chat", "", chat_bytes("plain"))):
        asked = prompter(True, template).request("0", problem, problem.prompt)
        assert not asked.opened and asked.prompt.strip().endswith(("def f():", '"""'))
    jinja = prompter(True, PromptTemplate("{{ instruction }}\n<think>")).request("0", problem, problem.prompt)
    assert jinja.opened == "<think>" and jinja.prompt.endswith("It begins with:\ndef f():\n<think>")


def test_an_opened_thought_is_closed_unless_the_response_has_one() -> None:
    template = PromptTemplate("{{ instruction }}\n<think>\nOkay, ")
    prompt = template.fill("Sort <think>")
    for response in ("x = '</think>'", "x"):
        assert template.answered(prompt, response)[0] == f"{prompt}\n</think>\n\n{response}"
    assert template.answered(prompt, "so.\n</thinking>\nx") == (f"{prompt}so.\n</thinking>\nx", len(prompt))
    assert template.answered(prompt, "<think>a</think>x")[0] == "Sort <think>\n<think>a</think>x"


@pytest.mark.parametrize(
    ("name", "day", "shown_day", "begins"),
    [
        ("reads the clock", "", "2024-07-26", "26 Jul 2024"),
        ("reads the clock", "2025-01-31", "2025-01-31", "31 Jan 2025"),
        ("has a date", "", "", "26 Jul 2024"),
        ("has a date", "2025-01-31", "2025-01-31", "31 Jan 2025"),
        ("plain", "2025-01-31", "", "<|user|>"),
        ("shows a date in later turns", "2025-01-31", "2025-01-31", "<|user|>"),
    ],
)
def test_a_template_shows_a_fixed_day_and_never_the_clocks(name: str, day: str, shown_day: str, begins: str) -> None:
    template = PromptTemplate("chat", "", chat_bytes(name), day)
    assert template.fill("x").startswith(begins) and template.shown_day == shown_day


def test_a_jinja_string_gives_the_prompt_and_base_models_see_it_too() -> None:
    template = PromptTemplate("{{ system }}|Q: {{ instruction }}{% if input %} ({{ input }}){% endif %}\nA:\n", "Hi")
    assert training_prompt(dataclasses.replace(ROW, input="[3]"), template) == "Hi|Q: Sort a list. ([3])\nA:\n"
    expected = f"Hi|Q: Create a Python function for this problem:\n{DOCSTRING}\nA:\n{SIGNATURE}"
    assert show(tuned=False, template=template) == show(tuned=True, template=template) == expected


def test_a_jinja_string_that_writes_the_beginning_of_text_gets_no_second_one() -> None:
    tokenizer = chat_tokenizer("with a beginning")
    for text, given in (("{{ bos_token }}{{ instruction }}", False), ("{{ instruction }}", True)):
        template = PromptTemplate(text, "", tokenizer)
        filled = template.fill("Sort a list.")
        assert template.adds_special_tokens(filled) is given
        ids = tokenizer(filled, add_special_tokens=given)["input_ids"]
        assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id


def test_a_problems_stop_strings_don_t_end_whole_answers() -> None:
    problem = dataclasses.replace(PROBLEM, stop=("\ndef",))
    for whole, expected in ((False, ("\ndef", "x")), (True, ("x",))):
        asked = Prompter("raw", False, INSTRUCT, ("x",), whole_answers=whole).request("0", problem, PROMPT)
        assert asked.stop == expected
