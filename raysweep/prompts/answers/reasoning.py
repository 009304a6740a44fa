"""Finds reasoning in what a model wrote, and reasoning that a prompt leaves open for the model to write.

Models mark it with tags (``<think>``), brackets (Mistral's ``[THINK]``), control tokens (Cohere, Gemma 4) or channels
(gpt-oss: https://cookbook.openai.com/articles/openai-harmony).
"""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|seed:think"
_TAGS = rf"<(?:{_NAMES})(?:\s[^<>\n]*)?>|◁think▷"
_CONTROL = (
    r"(?<![\"'])(?:\[THINK\]|<\|begin_of_thought\|>|<\|START_THINKING\|>"
    r"|<\|channel\|>analysis\b[^<\n]*<\|message\|>|<\|channel>thought\b)"
)
_BARE = r"(?-i:\Aanalysis(?=(?:We|The|User|I|Let|Let's|It|Need|Just|Simple|Function|Problem)\b))"
"""How gpt-oss's reasoning begins in a text that has lost its control tokens."""
_ENDS = rf"</(?:{_NAMES})>|\[/THINK\]|<\|end_of_thought\|>|◁/think▷|<\|END_THINKING\|>|<channel\|>"
_MARK = re.compile(
    rf"(?P<opening>{_TAGS})|(?P<control>{_CONTROL}|{_BARE})|(?P<closing>(?<![\"'])(?:{_ENDS}))"
    r"|(?P<final><\|channel\|>final\b[^<\n]*<\|message\|>|assistantfinal)"  # with and without control tokens
    r"|(?P<aside><\|channel\|>commentary\b[^\n]*?<\|message\|>)",  # what a user sees before tools are called
    re.IGNORECASE,
)
HINTS = ("think", "thought", "reasoning", "reflection", "scratchpad", "channel", "assistantfinal", "analysis")
"""Texts of which one is in each mark, whatever its capitals."""
_OPENED = re.compile(rf"(?P<mark>{_TAGS}|{_CONTROL})(?P<blanks>\s*)\Z", re.IGNORECASE)
_TOKEN = re.compile(rf"{_TAGS}|{_CONTROL}|{_ENDS}|<\|(?:channel|message|constrain)\|>|<\|channel>", re.IGNORECASE)
_LONGEST = 200
"""Characters at the end of a prompt among which reasoning is opened."""
_CLOSINGS = {
    "[think]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|start_thinking|>": "<|END_THINKING|>",
    "<|channel>thought": "<channel|>",
    "<|channel|>analysis<|message|>": "<|end|><|start|>assistant<|channel|>final<|message|>",
}
"""What closes reasoning at once, where it is no pair of tags on lines of their own."""


def has_reasoning(text: str) -> bool:
    """Return True if a text has marks of reasoning. It takes microseconds."""
    lowered = text.lower()
    return any(hint in lowered for hint in HINTS) and _MARK.search(text) is not None


def marks_reasoning(token: str) -> bool:
    """Return True if a control token marks reasoning, or says in which channel a model writes."""
    return _TOKEN.fullmatch(token) is not None


def without_reasoning(text: str) -> str:
    """Return a text without its reasoning. The first tag of reasoning begins a line; control tokens need not.

    What comes before a closing tag that nothing opened is reasoning too, since some templates open it in the prompt,
    and so is all that follows an opening tag that nothing closes: such an answer was cut before it began.
    """
    kept: list[str] = []
    position, is_open = 0, False
    for mark in _MARK.finditer(text):
        before = text[position : mark.start()]
        if mark.lastgroup in ("opening", "control"):
            if not is_open and (mark.lastgroup == "control" or not before.rpartition("\n")[2].strip()):
                kept.append(before)
                position, is_open = mark.end(), True
        elif mark.lastgroup == "closing":
            kept = kept if is_open else []
            position, is_open = mark.end(), False
        elif mark.lastgroup == "aside":
            kept += [] if is_open else [before]
            position, is_open = mark.end(), False
        elif mark[0].startswith("<") or text.startswith("analysis"):
            kept, position, is_open = [], mark.end(), False
    return "".join(kept if is_open else [*kept, text[position:]])


def opened_reasoning(prompt: str) -> str:
    """Return the mark with which a prompt ends that opens reasoning, with the blanks behind it; empty: none does."""
    found = _OPENED.search(prompt[-_LONGEST:])
    return found[0] if found else ""


def closing_of(opened: str) -> str:
    """Return what closes reasoning at once that was opened so (`opened_reasoning`): nothing was thought."""
    found = _OPENED.fullmatch(opened)
    assert found is not None
    mark = found["mark"]
    if (closing := _CLOSINGS.get(mark.lower())) is not None:
        return closing
    name = re.split(r"[\s>]", mark[1:], maxsplit=1)[0]
    closing = "<|end_of_thought|>" if mark.startswith("<|") else f"</{name}>"
    return "\n\n".removeprefix(found["blanks"]) + f"{closing}\n\n"


def thought(reasoning: str, answer: str | None) -> str:
    """Return reasoning and the answer behind it as one text, as models write them. None: it was cut before that."""
    return f"<think>\n{reasoning}" + ("" if answer is None else f"\n</think>\n\n{answer}")
