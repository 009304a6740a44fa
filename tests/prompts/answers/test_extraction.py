"""From an answer to a program: every way of writing a right answer gives a right program, and a wrong one none."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from raysweep.prompts.answers import extraction
from raysweep.prompts.answers.extraction import Extracted, extracted
from raysweep.prompts.answers.found import Found, in_words
from raysweep.prompts.answers.ways import Extract
from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.records import Problem

PROMPT = 'from typing import List\n\n\ndef squares(xs: List[int]) -> int:\n    """Return the sum of the squares."""\n'
STOP = ("\ndef", "\n#", "\nif", "\nclass", "\n def", "\n\n\n", "\n```")
PROBLEM = Problem("t/1", PROMPT, "squares", "def check(f):\n    assert f([1, 2]) == 5", stop=STOP)
BODY = "    return sum(x * x for x in xs)\n"
WHOLE = f"def squares(xs: List[int]) -> int:\n{BODY}"
WRONG = "def squares(xs):\n    return 0\n"
EXAMPLES = "\nfor x in [1, 2]:\n    assert squares([x]) == 0\n\nif __name__ == '__main__':\n    xs = input()\n"
SQUARE, PROD = "def square(x):\n    return x * x\n", "from math import prod\n"
LONG = "def squares(xs):\n    total = 0\n    for x in xs:\n        total += x * x\n    return total\n"
EARLY = f"def squares(xs):\n    if not xs:\n        return 0\n{BODY}"
TABLE = "TABLE = {}\n\ndef squares(xs):\n    return sum(TABLE[x] for x in xs)\n"
LOOP = "total = 0\nfor x in xs:\n    total += x * x\nreturn total\n"


def fenced(code: str, opening: str = "```python", closing: str = "```") -> str:
    return f"Sure!\n\n{opening}\n{code}{closing}\n\nIt adds the squares."


def indented(text: str, by: str = "    ") -> str:
    return "".join(f"{by}{line}\n" if line else "\n" for line in text.splitlines())


RIGHT: dict[str, list[str]] = {
    "begins otherwise": [
        fenced(f"# Sum of squares.\n{WHOLE}"),
        fenced(f'"""A module."""\n\n{WHOLE}'),
        fenced(f"POWER = 2\n\n{WHOLE.replace('x * x', 'x ** POWER')}"),
        fenced(f"if True:\n{indented(WHOLE)}"),
    ],
    "opening fence": [
        fenced(WHOLE, '```py title="squares.py" linenos'),
        fenced(WHOLE, "```   Python3"),
        fenced(WHOLE, "``` {.python .numberLines}"),
        fenced(WHOLE, "````python", "````"),
        fenced(WHOLE, "```"),
        f"Here it is: ```python\n{WHOLE}```",
        f"```python def squares(xs):\n{BODY}```",
        f"```def squares(xs):\n{BODY}```",
    ],
    "tildes": [fenced(WHOLE, "~~~python", "~~~"), fenced(WHOLE, "~~~~ py", "~~~~"), fenced(WHOLE, "  ~~~", "  ~~~")],
    "line ends of Windows": [
        fenced(WHOLE).replace("\n", "\r\n"),
        WHOLE.replace("\n", "\r\n"),
        fenced(BODY).replace("\n", "\r\n"),
    ],
    "indented block": [
        f"1. The code:\n\n{indented(fenced(WHOLE), '   ')}",
        f"- a list\n{indented(fenced(WHOLE), '      ')}",
        indented(f"```python\n{WHOLE}```", "> "),
        f"1. ```python\n{indented(WHOLE, '   ')}   ```",
    ],
    "closing fence": [
        f"```python\n{WHOLE.rstrip()}```\nDone.",
        f"```python\n{WHOLE}",
        f"```python\n{WHOLE}```` \nDone.",
        f"```python\n{WHOLE}\nThe function adds the squares of its argument.",
        f"{WHOLE}```\nIt adds the squares.",
        f"{BODY}```\n\nIt adds the squares, as in\n```python\nsquares([1])\n```",
    ],
    "nested fences": [
        f"````markdown\n# Answer\n```python\n{WHOLE}```\n````",
        f"```markdown\nHere:\n```python\n{WHOLE}```\nDone.\n```",
        f'```python\ndef squares(xs):\n    """Sum up.\n\n```\nsquares([1])\n```\n    """\n{BODY}```',
        f'```python\ndef squares(xs):\n    """Sum up:\n    ```\n    squares([1])\n    ```\n    """\n{BODY}```\n',
    ],
    "reasoning": [
        f"<think>\nMaybe\n```python\n{WRONG}```\nNo.\n</think>\n{fenced(WHOLE)}",
        f"I try ```python\n{WRONG}```.\n</think>\n\n{fenced(WHOLE)}",
        f"<thinking>a draft: {WRONG}</thinking>{WHOLE}",
        f"[THINK]\n{WRONG}\n[/THINK]\n{fenced(WHOLE)}",
        f"<|channel|>analysis<|message|>{fenced(WRONG)}<|end|><|start|>assistant<|channel|>final<|message|>{fenced(WHOLE)}",
        f"analysisConsider, say:\n{WRONG}assistantfinal{fenced(WHOLE)}",
        f"analysis Maybe this.\n{WRONG}assistantfinal{fenced(WHOLE)}",
        f"analysisWe need code.\n{WRONG}assistantfinal{fenced(WHOLE)}",
        f"Here is my thought process:\nSay\n\n{WRONG}\nNo.\n\nHere is my response:\n\n{WHOLE}",
        f"Here's my thought process: {fenced(WRONG)}Here's my response:\n{fenced(WHOLE)}",
        f"Here is my thought process: I add them up.\n\n{fenced(WHOLE)}",
        f"Here are my reasoning steps:\n{fenced(WRONG)}[BEGIN FINAL RESPONSE]\n{WHOLE}[END FINAL RESPONSE]\n<|end|>",
        f"Say\n{fenced(WRONG)}\n[BEGIN FINAL RESPONSE]\n{WHOLE}",
        f"<think>{WRONG}</think><response>Here:\n{fenced(WHOLE)}</response>",
        f"◁think▷{fenced(WRONG)}◁/think▷{WHOLE}",
        f'<think>\nhm</think>\n\ndef squares(xs):\n    """Sum.\n    <think>\n    """\n{BODY}',
        f'<think>\nhm</think>\n\nSo:\n\ndef squares(xs):\n    """Sum.\n    </think>\n    """\n{BODY}\nThat\'s it.',
        f"<think>\n{WRONG}</think>\nHm.\n<think>\n{WRONG}</think>\n{WHOLE}",
    ],
    "reasoning in control tokens": [
        f"<|START_THINKING|>{WRONG}<|END_THINKING|><|START_RESPONSE|>{WHOLE}<|END_RESPONSE|>",
        f"<|channel>thought\n{WRONG}<channel|>{WHOLE}",
        f"<|channel|>analysis<|message|>{WRONG}assistant<|channel|>final<|message|>{WHOLE}",
        f"<|begin_of_thought|>\n{WRONG}<|end_of_thought|>\n\n<|begin_of_solution|>\n{WHOLE}<|end_of_solution|>",
        f'<thinking type="deep">\n{fenced(WRONG)}</thinking>\n{WHOLE}',
    ],
    "marks": [
        f"[BEGIN]\n{WHOLE}[DONE]\n",
        f"[BEGIN]\n{WRONG}[DONE]\nNo:\n[BEGIN]\n{WHOLE}[DONE]",
        f"```python\n[BEGIN]\n{WHOLE}[DONE]\n```",
        f"[PYTHON]\n{WHOLE}[/PYTHON]\n[TESTS]\nassert squares([1]) == 1\n[/TESTS]",
        f"<|python_tag|>{WHOLE.rstrip()}<|eom_id|>",
        f"Here it is.\n<code>\n{WRONG}</code>\nNo:\n<code>{WHOLE.rstrip()}</code>",
        f"<answer>\n```python\n{WHOLE}```\n</answer>",
        f"<execute>\n{BODY}</execute>",
        f"<code><![CDATA[\n{WHOLE}]]></code>",
        f"{WHOLE}<|im_end|>\n<|im_start|>user\nThanks",
        f'```python\ndef squares(xs):\n    t = """\n<code>\n</code>\n"""\n    assert "<code>" in t\n{BODY}```\n<b>',
    ],
    "tool calls": [
        f"<tool_call>\n{json.dumps({'name': 'python', 'arguments': {'code': WHOLE}})}\n</tool_call>",
        json.dumps({"tool_calls": [{"function": {"name": "python", "arguments": json.dumps({"code": WHOLE})}}]}),
        f"[TOOL_CALLS]{json.dumps([{'name': 'python', 'arguments': {'code': WHOLE}}])}",
        f"<tool_call>\n<function=python>\n<parameter=code>\n{WHOLE}</parameter>\n</function>\n</tool_call>",
        f"<tool_call>python\n<arg_key>code</arg_key>\n<arg_value>{WHOLE}</arg_value>\n</tool_call>",
        f"<|python_start|>[python(code={WHOLE!r})]<|python_end|>",
        f"```python\n{WRONG}```\n<tool_call>\n{json.dumps({'code': WHOLE})}\n</tool_call>",
        json.dumps({"solution": WHOLE, "incorrect_code": WRONG}),
        f"```json\n{json.dumps({'draft': WRONG, 'code': WHOLE}, indent=1)}\n```",
        f"```json\n{json.dumps({'answer': fenced(WHOLE), 'wrong': WRONG})}\n```",
        '{"code": "' + WHOLE + '"}',
        f"<|channel|>commentary to=functions.python <|constrain|>json<|message|>{json.dumps({'code': WHOLE})}<|call|>",
        f"<|channel|>final <|constrain|>json<|message|>{json.dumps({'code': WHOLE})}",
        f"[TOOL_CALLS]python[CALL_ID]abc123def[ARGS]{json.dumps({'code': WHOLE})}",
        f"[TOOL_CALLS]python{json.dumps({'code': WHOLE})}",
        f"<|python_tag|>{json.dumps({'name': 'a'})}; {json.dumps({'name': 'python', 'parameters': {'code': WHOLE}})}",
        f"<|python_tag|>code_interpreter.call(code={WHOLE!r})<|eom_id|>",
        f"<｜tool▁call▁begin｜>f<｜tool▁sep｜>p\n```json\n{json.dumps({'py': WHOLE})}\n```<｜tool▁call▁end｜>",
        f"<｜tool▁call▁begin｜>python<｜tool▁sep｜>{json.dumps({'code': WHOLE})}<｜tool▁call▁end｜>",
        f'<｜DSML｜invoke name="python">\n<｜DSML｜parameter name="code" string="true">{WHOLE}</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>",
        f"<function=python>{json.dumps({'source': WHOLE})}</function>",
        f"```tool_code\nprint(python(code={WHOLE!r}))\n```",
        f"```tool_code\nprint(find(query='squares'))\n```\n{fenced(WHOLE)}",
        f'<minimax:tool_call>\n<invoke name="python">\n<parameter name="code">{WHOLE}</parameter>\n</invoke>\n',
        f"<|action_start|><|interpreter|>\n{WHOLE}<|action_end|>",
        f"Thought: I run it.\nAction: python\nAction Input: {json.dumps({'program': WHOLE})}",
    ],
    "an answer behind a tool call": [
        f"<tool_call>\n{json.dumps({'code': WRONG})}\n</tool_call>\n<result>\n0\n</result>\nSo:\n\n{WHOLE}",
        f"<tool_call>\n{json.dumps({'code': WRONG})}\n</tool_call>\nSo:\n{fenced(WHOLE)}",
        f"<|python_tag|>{WRONG}<|eom_id|>\nThat gives 0. Rather:\n\n{WHOLE}",
        f"<function=run>\n<parameter=code>\n{WRONG}</parameter>\n</function>\n</tool_call>\nRather\n\n{WHOLE}",
        f"<｜tool▁call▁begin｜>python<｜tool▁sep｜>{json.dumps({'code': WRONG})}<｜tool▁call▁end｜>\n{WHOLE}",
        f"```tool_code\nprint(run(code={WRONG!r}))\n```\n```tool_output\n0\n```\n{WHOLE}",
        f"{fenced(WHOLE)}I test it:\n<tool_call>\n{json.dumps({'code': 'print(squares([1]))'})}\n</tool_call>",
    ],
    "several blocks": [
        f"{fenced(WHOLE)}\nUse it:\n```python\nprint(squares([1, 2]))\n```\nIt prints\n```\n5\n```",
        f"```bash\npip install nothing\n```\n{fenced(WHOLE)}```console\n$ python squares.py\n```",
        f"{fenced(WRONG)}\nThat is wrong. Corrected:\n{fenced(WHOLE)}",
        f"{fenced(WHOLE)}\nAs a script:\n```python\n{WHOLE}\nn = int(input())\nprint(squares([n]))\n```",
        f"{fenced(WRONG)}\nNo, that is wrong:\n{fenced(WHOLE + EXAMPLES)}",
        f"{fenced(WHOLE)}\nThe signature\n```python\ndef squares(xs):\n    ...  # as above\n```\nsays it all.",
        f"{fenced(WHOLE)}\n```python\nfrom solution import squares\n\nassert squares([2]) == 4\n```",
        f"{fenced(WHOLE)}\nIn words:\n```python\nsquares = [x * x for x in range(4)]\n```",
        f"{fenced(SQUARE)}\n{fenced(WHOLE.replace('x * x', 'square(x)'))}",
        f"Import `prod`:\n{fenced(PROD)}\n{fenced(WHOLE.replace('x * x', 'prod([x, x])'))}",
        f"{fenced(LONG)}\nIt begins with nothing:\n```python\ndef squares(xs):\n    total = 0\n```",
        f"{fenced(EARLY)}\nThe first case:\n```python\ndef squares(xs):\n    if not xs:\n        return 0\n```",
        f"{fenced(EARLY)}\nAgain:\n{fenced(EARLY)}",
    ],
    "what a function needs stands after it": [
        fenced(TABLE + "\nTABLE[1] = 1\nTABLE[2] = 4\n\nprint(squares([1]))\n"),
        fenced(TABLE + "\nfor n in (1, 2):\n    TABLE[n] = n * n\n\nassert squares([1]) == 7\n"),
        fenced(TABLE + "\nTABLE.update({1: 1, 2: 4})\nif __name__ == '__main__':\n    TABLE[int(input())] = 0\n"),
    ],
    "no fence": [
        f"Here is the function:\n\n{WHOLE}",
        f"Here it is:\n\nimport math\n\n{WHOLE}\nThis function adds the squares of all numbers.\n- it is short",
        f"Indented, as Markdown has code:\n\n{indented(WHOLE)}\nDone.",
        f"**Answer**\n\n{WHOLE}\nNote: linear\nDone",
        f"from functools import reduce\n\n\n{WHOLE}",
        "As a value:\n\nsquares: object = lambda xs: sum(x * x for x in xs)\n\nThat is all.",
        "In one line: `squares = lambda xs: sum(x * x for x in xs)`",
        "```python squares = lambda xs: sum(x * x for x in xs)```",
    ],
    "a body": [
        BODY,
        f"\n{BODY}",
        fenced(BODY),
        f"{BODY}\n\n# Example\nprint(squares([1]))",
        f"{BODY}\nThis function adds the squares.",
        indented(LOOP),
    ],
    "lost indent": [
        fenced("return sum(x * x for x in xs)\n"),
        "return sum(x * x for x in xs)",
        fenced(LOOP),
        LOOP,
        "total = sum(x * x for x in xs)\n    return total",
        "if not xs:\n        return 0\n    return sum(x * x for x in xs)",
        fenced("if not xs:\n    return 0\nelse:\n    return sum(x * x for x in xs)\n"),
        " return sum(x * x for x in xs)",
    ],
    "common indent": [
        indented(WHOLE),
        fenced(indented(WHOLE, "\t")),
        indented(f"ONE = 1\n\n\n{WHOLE}"),
        fenced(indented(f"import math\n\n{WHOLE}", "  ")),
        fenced(indented(BODY)),
        indented(BODY),
    ],
    "repeated signature": [
        WHOLE,
        f"\n{WHOLE}",
        PROMPT + BODY,
        fenced(PROMPT + BODY),
        f"    pass\n\n{WHOLE}",
        f"    # your code here\n\n\n{WHOLE}",
    ],
    "imports from __future__": [
        fenced(f"from __future__ import annotations\n\n{WHOLE}"),
        fenced(f'"""A module."""\nfrom __future__ import annotations\nimport math\n\n{WHOLE}'),
        f"from __future__ import (\n    annotations,\n)\n{WHOLE}",
        fenced(f"from __future__ import annotations; POWER = 2\n\n{WHOLE.replace('x * x', 'x ** POWER')}"),
        fenced(
            f"POWER = 2\n\n{WHOLE.replace('x * x', 'x ** POWER')}".replace(
                "POWER = 2", "'é'; from __future__ import (\n annotations); POWER = 2"
            )
        ),
    ],
}


def taken(answer: str, way: Extract = Extract.AUTO, problem: Problem = PROBLEM, **more: Any) -> Extracted:
    return extracted(problem, answer, way, **more)


def passes(text: str) -> bool:
    names: dict[str, Any] = {}
    try:
        exec(compile(text, "<program>", "exec", dont_inherit=True), names)  # the answers of this file
        return names["squares"]([1, 2]) == 5
    except Exception:
        return False


@pytest.mark.parametrize("kind", RIGHT)
def test_a_right_answer_passes_however_it_is_written(kind):
    failing = [answer for answer in RIGHT[kind] if not passes(taken(answer).program.text)]
    assert failing == []
    assert not [answer for answer in RIGHT[kind] if taken(answer).found in (Found.NOTHING, Found.WRITTEN)]


IN_CODE = [
    "THINK = 0\nnames = [[1], 0]\nassert names[THINK]",
    "THINK = 0\nx = [\n[THINK]\n] * 5  # [THINK] about overflow",
    '"""Mistral opens with [THINK]\nParse <|channel|>analysis<|message|>\n"""',
    "x = 'p: <|channel|>analysis<|message|>y<|channel|>final<|message|>'",
    "END = DONE = 1\nx = max(\n    [END]\n) + (\n[DONE]\n+ [2])",
    'x = """\n[BEGIN]\n[DONE]\n[SECTION A]\n"""',
    'x = """\n<html>\n<answer>\n</answer>\n<|im_start|>user\n"""',
    'x = "y <![CDATA[x]]>"  # see <code>x</code>',
    '"""Ends with </s>\nas does <code>x</code>\n"""',
    "import re\nx = re.sub(r'<think>.*?</think>', '', f'<think>{2}</think>')",
    "x = '''\n</think>'''  # after </think>",
    '"""Strip text up to </think>"""\nx = """\n<think>\n"""',
    'x = """\nHere is my thought process:\n[BEGIN FINAL RESPONSE]\n"""',
    'x = """\n<function=python>\n<parameter=code>\ndef squares(xs): return 3\n</parameter>\n</function>\n"""',
    'x = \'<tool_call>\\n{"code": "def squares(xs): return 3"}\\n</tool_call>\'',
    'x = {"name": "python", "arguments": {"code": "def squares(xs):\\n    return 3\\n"}}',
]
"""What programs hold that looks like marks."""


@pytest.mark.parametrize("part", IN_CODE)
def test_what_looks_like_a_mark_in_a_program_stays(part):
    code = f"{part}\n{WHOLE.replace('List[int]', 'list')}"
    ways = [code, fenced(code), f"Here it is:\n\n{code}\nIt adds.", f"<answer>\n{code}</answer>", f"{code}<|im_end|>"]
    ways += [f"[BEGIN]\n{code}[DONE]", fenced(f"[BEGIN]\n{code}[DONE]\n")]
    ways += [f"It's a draft {fenced(WRONG)} that's wrong.</think>\n{fenced(code)}"]
    assert [text for text in ways if code.strip() not in taken(text).program.text] == []


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("def squares(xs):\n", WHOLE.replace("List[int]", "list")),
        (
            "import math\n\ndef one():\n    return 1\n\ndef squares(xs):\n",
            "def squares(xs):\n    return sum(x * x * one() for x in xs)",
        ),
        ("def squares(xs):", "\n    return sum(x * x for x in xs)"),
        ('"""Write squares(xs), the sum of the squares."""\n', f"from typing import List\n{WHOLE}"),
        ("def squares(xs):\n\t'''Sum up.'''\n", "\treturn sum(x * x for x in xs)\n"),
        ("def squares(xs):\n  '''Sum up.'''\n", "return sum(x * x for x in xs)\n"),
    ],
)
def test_a_program_fits_a_prompt_of_any_shape(prompt, answer):
    for text in (answer, f"```python\n{answer}\n```"):
        program = taken(text, problem=Problem("t/1", prompt, "squares", "", stop=STOP)).program
        assert passes(program.text), program.text


@pytest.mark.parametrize(
    "answer",
    [
        "I can't help with that.",
        "",
        "\n\n",
        f"<think>\n{fenced(WHOLE)}\nBut is it",
        f"[THINK]{fenced(WHOLE)}",
        f"<|channel|>analysis<|message|>{fenced(WHOLE)}",
        f"Here is my thought process:\nSay\n{fenced(WHOLE)}But then",
        f"Here is my thought process:\n{fenced(WHOLE)}\nHere is my response:\nI can't.",
        f"Here are my reasoning steps:\n{fenced(WHOLE)}",
        f"<seed:think>\n{fenced(WHOLE)}",
        f"◁think▷{fenced(WHOLE)}",
        f"<tool_call>\n{json.dumps({'code': WHOLE})[:-20]}",
        json.dumps({"explanation": "I can't write squares."}),
        json.dumps({"reasoning": WHOLE, "answer": "I can't."}),
        json.dumps({"thought": fenced(WHOLE), "code": "def squares(xs):\n    return xs -"}),
        fenced("def other(xs):\n    return 1\n"),
        fenced("print(squares([1, 2]))\n"),
        f"```python\n{WHOLE.rstrip()[:-3]}",
        fenced("def squares(xs):\n    total = 0\n    for x in xs:\n"),
    ],
)
def test_an_answer_without_a_program_is_judged_as_it_is_written(answer):
    found = taken(answer)
    assert found.found is Found.NOTHING and not passes(found.program.text)
    assert found.program.text.startswith(PROMPT)


def test_completions_and_their_tests_stay_as_they_are():
    for answer in (BODY, "nonsense", f"{BODY}\n\nprint(1)\n", fenced(WHOLE)):
        assert taken(answer, Extract.NONE) == Extracted(PROBLEM.assemble(answer))
    assert taken(BODY).program == PROBLEM.assemble(BODY)
    assert taken(fenced(WHOLE)).program.tests == PROBLEM.assemble("").tests
    java = Problem("t/1", "class A {", "squares", "", language="java", stop=("\n}",))  # it opens no function
    assert taken("  int x;\n}\n", problem=java) == Extracted(java.assemble("  int x;"), Found.NOTHING)


def test_counts_of_where_programs_were_in_words():
    assert in_words({"fence": 1200, "nothing": 3}) == (
        "1,203 answers: 1,200 with a program in a block of code, 3 without a program, run as they are written"
    )
    assert in_words({"patch": 1}) == "1 answer: 1 with a patch"
    assert in_words({"nothing": 1}) == "no code found in the one answer, which is run as it is written"
    assert in_words({"nothing": 30}) == "no code found in any of 30 answers, which are run as they are written"


@pytest.mark.parametrize(
    ("way", "answer", "passing", "found"),
    [
        ("first", fenced(WHOLE) + fenced(WRONG), True, Found.FENCE),
        ("first", fenced(WRONG) + fenced(WHOLE), False, Found.FENCE),
        ("last", fenced(WHOLE) + fenced(WRONG), False, Found.FENCE),
        ("last", fenced(WRONG) + fenced(BODY), True, Found.FENCE),
        ("last", fenced(WHOLE) + fenced("print(1)\n"), False, Found.NOTHING),
        ("first", WHOLE, True, Found.TEXT),
        ("first", BODY, True, Found.BODY),
        ("study", f"{BODY}```\nDone", True, Found.WRITTEN),
        ("study", f"{BODY}\n# more\n(", True, Found.WRITTEN),
        ("study", fenced(WHOLE), False, Found.WRITTEN),
        ("evalplus", fenced(WHOLE.replace("List[int]", "list")), True, Found.FENCE),
        ("evalplus", BODY, True, Found.TEXT),
        ("evalplus", f"{BODY}\nprint(1)\n", True, Found.TEXT),
    ],
)
def test_the_other_ways(way, answer, passing, found):
    got = taken(answer, Extract(way))
    assert (passes(got.program.text), got.found) == (passing, found), got.program.text


def test_a_program_of_its_own_has_no_prompt():
    own = WHOLE.replace("List[int]", "list")
    assert taken(own, Extract.NONE, alone=True).program.text == own
    for answer in (own, fenced(own), f"Here:\n\n{own}"):
        assert taken(answer, alone=True).program.text.strip() == own.strip()
    assert taken(BODY, alone=True).found is Found.NOTHING


HUNK = Hunk("def f(n):\n", "    return n - 1\n", "")
TO_REPAIR = RepairProblem("B/f", marked(HUNK, "#"), "f", "tests", "    return n\n", hunk=HUNK, file_after="\nX = 1\n")


def test_of_code_to_repair_a_program_of_its_own_is_the_whole_patched_file():
    problem = TO_REPAIR
    file = "def f(n):\n    return n  # mended\n\nX = 1\n"
    whole = taken(file, Extract.NONE, problem, alone=True)
    assert whole.program == replace(problem.assemble(""), text=file)
    assert (whole.found, whole.is_exact) == ("patch", True)
    assert taken("def f(n):\n    return 1\n", Extract.NONE, problem, alone=True).is_exact is False
    assert taken("", Extract.NONE, problem, alone=True).found is Found.NO_PATCH


@pytest.mark.parametrize(
    "answer", ["    return n\n", fenced("    return n\n"), f"Now:\n{fenced('    return n')}\nDone."]
)
def test_a_patch_is_taken_out_of_a_block_of_code(answer):
    assert taken(answer, problem=TO_REPAIR).is_exact
    literal = '{"name": "a", "code": "c"},\n'
    assert taken(literal, problem=TO_REPAIR).program.text == TO_REPAIR.assemble(f"    {literal}").text
    file = TO_REPAIR.assemble(answer if "`" not in answer else "    return n\n").text
    assert taken(answer, problem=TO_REPAIR).program.text == file
    assert taken(answer, Extract.NONE, TO_REPAIR).is_exact is ("`" not in answer)
    assert taken(fenced(file), problem=TO_REPAIR, alone=True).program.text.strip() == file.strip()


DEEP = [
    "(" * 50_000,
    "[" * 99 + "]" * 99,
    "-" * 50_000 + "1",
    "not " * 20_000 + "x",
    "x" + ".y" * 5_000,
    "1" + "+1" * 5_000,
    "lambda: " * 20_000 + "1",
    "".join("    " * depth + "if x:\n" for depth in range(150)),
    "f'" * 20_000,
    "9" * 50_000,
    "\0",
    "\ud800",
    "```python\n" * 5_000,
    "`" * 100_000,
    "~~~\n" * 5_000,
    "<think>" * 5_000,
    "</think>\n" * 10_000,
    "def squares(xs):\n" * 2_000,
    "# squares =\n" * 5_000,
    "squares = \n" * 3_000,
    "\n" * 20_000,
    " " * 100_000,
    "x " * 200_000,
    "    x = 1\n" * 200 + "prose",
    "~" * 5_000 + "`",
    "~~~ " * 5_000 + "`",
    "squares:" * 5_000,
    "0\nimport os\n" * 5_000,
    "</code> " * 20_000 + "x",
    '{"a": ' * 5_000,
    "<|channel|>commentary " * 8_000,
    "<![CDATA[" * 20_000,
    "[BEGIN]\n" * 20_000,
    "</think> " * 20_000,
    "assistantfinal " * 13_000,
    "<think></think>" * 13_000,
]


@pytest.mark.slow
@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_no_answer_takes_long_or_ends_the_process(text):
    for answer in (text, f"```python\ndef squares(xs):\n    return {text}\n```", f"def squares(xs):\n    {text}"):
        began = time.process_time()
        for way in (Extract.AUTO, Extract.EVALPLUS):
            taken(answer, way)
        assert time.process_time() - began < 20, "tenths of a second for each way"


def test_a_completion_without_marks_takes_microseconds_and_equal_answers_are_read_once():
    body = indented(LOOP) * 8
    taken(body)
    began = time.process_time()
    for number in range(2_000):
        taken(f"{body}    # {number}\n")
    assert (time.process_time() - began) / 2_000 < 300e-6, "some 20 microseconds"
    before = extraction._program.cache_info().misses
    for _ in range(10):
        taken(fenced(WHOLE))
    assert extraction._program.cache_info().misses <= before + 1
