"""Which parts of prompts and instructions may be changed."""

import gzip
import io
import json
import keyword
import tokenize
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.prompts.regions import ALWAYS_PROTECTED, is_prose, protected_words, split_instruction, split_prompt
from tests.conftest import shared_data

RECODE = ["recode/nominal/HumanEval.jsonl.gz", "recode/nominal/mbpp_wtest.jsonl.gz"]
INSTRUCTIONS = [
    "evol_code/evol-codealpaca-2k-1.json.gz",
    "evol_code/evol-codealpaca-2k-2.json.gz",
    "code_alpaca/code_alpaca_2k.json.gz",
]


def natural(segments):
    return [segment.text for segment in segments if segment.natural]


def verbatim(segments):
    return [segment.text for segment in segments if not segment.natural]


def prompt_of(docstring, quotes='"""', before=""):
    return f"{before}def solve(numbers, k):\n    {quotes}{docstring}{quotes}\n"


def region(docstring, **more):
    """Return the text between the signature and what follows the description, natural or not."""
    segments = split_prompt(prompt_of(docstring, **more), "solve")
    return "".join(segment.text for segment in segments[1:-1])


def recode_rows(name):
    with gzip.open(shared_data(*name.split("/")), "rt") as file:
        return [json.loads(line) for line in file]


def instructions(name):
    with gzip.open(shared_data(*name.split("/")), "rt") as file:
        return [text for row in json.load(file) for text in (row["instruction"], row.get("input", ""))]


@pytest.mark.parametrize("name", RECODE)
def test_every_published_prompt_splits_without_loss_and_has_natural_language(name):
    for row in recode_rows(name):
        segments = split_prompt(row["prompt"], row["entry_point"])
        assert "".join(segment.text for segment in segments) == row["prompt"]
        assert any(text.strip() for text in natural(segments)), row["task_id"]
        assert not any(">>>" in text for text in natural(segments))


@pytest.mark.slow
@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_every_published_instruction_splits_without_loss_and_most_of_it_is_natural_language(name):
    segments = []
    for text in instructions(name):
        segments += (split := split_instruction(text))
        assert "".join(segment.text for segment in split) == text
    share = sum(len(s.text) for s in segments if s.natural) / sum(len(s.text) for s in segments)
    assert 0.8 < share < 0.95 or name not in INSTRUCTIONS[:2]


@given(st.text(max_size=300) | st.text("`ab \n\t'\"\\()_.>#=;{}", max_size=200))
@settings(max_examples=100)
def test_any_text_splits_without_loss_and_has_protected_words(text):
    assert protected_words(text) >= ALWAYS_PROTECTED
    for segments in (split_instruction(text), split_prompt(text, "f"), split_prompt(prompt_of(text), "solve")):
        assert all(segment.text for segment in segments)
        assert all(one.natural != other.natural for one, other in pairwise(segments))
    assert "".join(segment.text for segment in split_instruction(text)) == text
    assert "".join(segment.text for segment in split_prompt(prompt_of(text), "solve")) == prompt_of(text)


@pytest.mark.parametrize(
    "end",
    [
        ">>> solve([1], 2)\n    3\n    ",
        "Example:\n    solve([1], 2) == 3\n    ",
        "Examples\n    [1], 2 -> 3\n    ",
        "For example, [1] and 2 give 3.\n    ",
        "for example:\n    [1], 2 -> 3\n    ",
        "example:\n    [1], 2 -> 3\n    ",
        "solve([1], 2) == 3\n    ",
        "assert solve([1], 2) == 3\n    ",
        "Test examples:\n    assert 1\n    ",
        "assert round(solve([1], 2), 1) == 3\n    and so on",
        "",
    ],
)
def test_the_region_ends_before_the_first_of(end):
    for quotes in ('"""', "'''"):
        assert region(f"Add what is there.\n\n    {end}", quotes=quotes) == "Add what is there."
    goes_on = "Take round() of this example and go on."  # it mentions another function, and an example
    assert region(goes_on) == goes_on


HELPER = 'def help(x):\n    """Help with things."""\n    return x\n\n\n'
LIST = "1. Sort the list;\n    - keep the order of equal ones\n2. If it is empty, return nothing."


@pytest.mark.parametrize(
    ("split", "natural_texts"),
    [
        (split_prompt(prompt_of("\n    Sum them all.\n    "), "solve"), ["Sum them all."]),
        (split_prompt(prompt_of("Add it.", before=HELPER), "solve"), ["Add it."]),
        (split_prompt('def solve(g):\n    import math\n    """Fill the g."""\n', "solve"), ["Fill the ", "."]),
        (split_prompt("Write a function to add two numbers.", "add"), ["Write a function to add two numbers."]),
        (split_prompt("Add two numbers.\nassert set(add(1, 2)) == 3\nThen stop.", "add"), ["Add two numbers."]),
        (split_prompt("def solve(a):\n    'Sum it up.'\n", "solve"), ["Sum it "]),  # p may become '
        (split_prompt('def solve(a): "Sum it up."', "solve"), ["Sum it up."]),
        (split_prompt('def solve(\n    a: "str"  # text\n):\n    """Sum it."""\n', "solve"), ["Sum it."]),
        (split_prompt('def solve(a="""any""", b=\'c\'):\n    # """\n    r"""Sum it."""\n', "solve"), ["Sum it."]),
        (split_prompt('def solve(a):\n    """Sum it', "solve"), ["Sum it"]),  # which Python can't read
        (split_prompt('def solve(a):\n    return 1\n\ndef g():\n    """Go on."""\n', "solve"), ["\n"]),
        (split_instruction("Fix this:\n```\nfor a\n\nand more words"), ["Fix this:\n"]),  # a fence that never closes
        (split_instruction(LIST), [LIST]),
    ],
)
def test_natural_language_of_prompts_and_instructions(split, natural_texts):
    assert natural(split) == natural_texts


@pytest.mark.parametrize(
    ("docstring", "code"),
    [
        ("Return the largest k of numbers, not the number of others.", ["k", "numbers"]),  # identifiers of the prompt
        ("Split it at \\n and so on.", ["\\n"]),
        ("Return the angle with a \\N{DEGREE SIGN} sign of the text.", ["\\N{DEGREE SIGN}"]),
        ("First line that\n        hangs over.\n\n        x = code\n    Last.", ["        x = code\n"]),
    ],
)
def test_verbatim_inside_a_description(docstring, code):
    assert verbatim(split_prompt(prompt_of(docstring), "solve"))[1:-1] == code


@pytest.mark.parametrize(
    "code",
    ["`max`", "``a ` b``", "https://example.org/a?b=c", "snake_case", "camelCase", "os.path", "sorted(key, x)", "\\t"],
)
def test_verbatim_inside_a_sentence(code):
    assert verbatim(split_instruction(f"Please use {code} here for it.")) == [code]
    text = "What does total hold after the loop?\n\n```\nfor a in data:\n    total += a\n```\n"
    assert verbatim(split_instruction(text))[0] == "total" and "What does " in natural(split_instruction(text))


@pytest.mark.parametrize(
    "block",
    [
        "```python\nany words at all\n```\n",
        "~~~\nany words at all\n~~~\n",
        ">>> twice(2)\n4\n",
        ">>> for n in two:\n...     print(n)\nsome words\n",
        "    any words at all\n",
        "\tany words at all\n",
        "def twice(n):\n    return n\n",
        "let area = 6 * 5;\n",
        "numbers = [3, 5, 1]\n",
        "if (x > 3) {\n  y(x);\n}\n",
        "SELECT name FROM employees\n",
        "<div class='a'>words</div>\n",
        "import os\nfrom os import path\n",
        "#include <vector>\n",
        "print(f(1))\n",
    ],
)
def test_blocks_of_code_in_an_instruction_are_verbatim(block):
    text = f"Explain what happens here.\n\n{block}\nThen explain it again."
    segments = split_instruction(text)
    assert block.rstrip("\n") in verbatim(segments)[0]
    assert natural(segments)[0].strip() == "Explain what happens here."
    assert natural(segments)[-1].strip() == "Then explain it again."


@pytest.mark.parametrize("name", RECODE)
def test_protected_words_equal_the_name_tokens_of_tokenize(name):
    for row in recode_rows(name):
        tokens = tokenize.generate_tokens(io.StringIO(row["prompt"]).readline)
        names = {token.string for token in tokens if token.type == tokenize.NAME}
        expected = (names - set(keyword.kwlist)) | ALWAYS_PROTECTED
        assert protected_words(row["prompt"]) == expected, row["task_id"]


def test_protected_words_of_text_that_does_not_tokenize_are_those_of_its_code():
    broken = 'def solve(numbers, k:\n    """Return the rest of it'
    assert {"solve", "numbers", "k"} <= protected_words(broken)
    assert "rest" not in protected_words(broken)
    assert protected_words("Write a function to add two numbers.") == ALWAYS_PROTECTED, "prose protects no words"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This is a sentence with words.", True),
        ("Dogs are friendly and loyal animals", True),
        ("[3, 5, 2, 1, 4]", False),
        ("computer, mouse, keyboard, monitor, screen", False),
        ("numbers = the list of all numbers", False),
        ("10", False),
    ],
)
def test_prose_and_data_are_distinguished(text, expected):
    assert is_prose(split_instruction(text)) is expected


def test_long_runs_of_back_ticks_and_long_words_take_no_longer_than_other_texts():
    """It would take minutes if each of their places were tried as the beginning of a piece of code."""
    text = f"Say {'`' * 200_000} now, and stop."
    assert "".join(segment.text for segment in split_instruction(text)) == text
    text = f"def f(x):\n    '''{'a' * 100_000} it's'''\n"
    assert "".join(segment.text for segment in split_prompt(text, "f")) == text
