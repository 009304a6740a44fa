"""Completions side by side on the page: in columns, what differs marked, and no text can act on the reader."""

from __future__ import annotations

import re

from raysweep.analysis.exhibits.base import Drawn, ShownAnswer, SideBySideTask
from raysweep.analysis.page.report import render_report
from raysweep.analysis.sections.completions import SideBySideSection
from tests.analysis.examples import HOSTILE, report


def page(*texts: str, prompt: str = "def f(x):") -> str:
    answers = tuple(
        ShownAnswer(f"recipe {number}", number > 0, "passed" if number else "syntax error", text)
        for number, text in enumerate(texts)
    )
    task = SideBySideTask("Completions", "m · minicode", "minicode/1", prompt, answers)
    html = render_report(report(scores=[], drawn=Drawn(side_by_side=(task,))))
    return html[html.index('<section id="side-by-side">') :].partition("</section>")[0]


def test_a_task_has_a_column_for_each_recipe_with_its_verdict_and_marks_what_the_first_has_not():
    html = page("return x - 1", "return x + 1")
    assert re.findall(r"<h4>([^<]*) <span class=\"(good|bad)\">(.*)</span></h4>", html) == [
        ("recipe 0", "bad", "✗ syntax error"), ("recipe 1", "good", "✓ passed"),
    ]  # fmt: skip
    assert re.findall(r"<pre>(.*)</pre>", html) == ["def f(x):", "return x - 1", "return x <ins>+</ins> 1"]
    assert "minicode/1 <small>m · minicode</small>" in html


def test_a_completion_without_a_verdict_has_no_mark_of_failure():
    answers = (ShownAnswer("base", None, "no verdict", "x"), ShownAnswer("sft", True, "passed", "y"))
    task = SideBySideTask("Completions", "m", "t", "", answers)
    assert "base <span>no verdict</span>" in render_report(report(scores=[], drawn=Drawn(side_by_side=(task,))))


def test_texts_of_models_are_escaped():
    html = page("</pre><b>", *HOSTILE, prompt="\n".join(HOSTILE)).lower()
    assert not [tag for tag in ("<script", "<img", "<!--", "<b>") if tag in html]
    assert "&lt;/pre&gt;&lt;b&gt;" in html


def test_without_tasks_the_page_has_no_such_section():
    assert SideBySideSection().draw(report(drawn=Drawn())) is None
    assert 'id="side-by-side"' not in render_report(report(scores=[], drawn=Drawn()))
