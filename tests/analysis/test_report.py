import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from raysweep.analysis.layout import Failure
from raysweep.analysis.report import render_report, row_headings
from raysweep.analysis.samples import embed
from raysweep.analysis.table import Row
from raysweep.analysis.tables import tables
from tests.analysis.examples import HOSTILE, ORDER, pair, report, scores

VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """What a browser would make of the page: elements with their attributes, texts by element, scripts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.title = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.text += data
            self.title += data if "title" in self.open else ""
        if "td" in self.open or "th" in self.open:
            separator = " " if self.open[-1] == "small" else ""
            self.tables[-1][-1][-1] += separator + data.strip()


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(report([pair("llama", "base", name, 8, fails=[1]) for name in ("clean", "C")]))


def test_the_page_asks_no_server_for_anything(html: str):
    for tag, attributes in Page(html).elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
            assert (attributes.get(name) or "#").startswith("#")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style


def test_only_the_page_s_own_script_may_run(html: str):
    page = Page(html)
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert len(page.scripts) == 2
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_every_id_is_there_once_and_every_link_leads_to_one(html: str):
    elements = Page(html).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"][1:] for tag, attributes in elements if tag == "a"}
    links |= {attributes["xlink:href"][1:] for tag, attributes in elements if tag == "use"}
    assert links <= set(ids)


def test_hostile_completions_stay_text_and_come_back_equal(html: str):
    page = Page(html)
    data = json.loads(page.scripts[0])
    assert set(HOSTILE) <= set(data["texts"])
    assert page.scripts[0] == embed([pair("llama", "base", name, 8, fails=[1]) for name in ("clean", "C")])
    assert "owned" not in page.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_errors_and_configs_stay_text(text: str):
    failure = Failure("llama", "full", "C1", 42, f"{text}\n{text}")
    made = report(name=text, title=text, notice=text, config_yaml=text, failures=[failure], settings=[(text, text)])
    html = render_report(made)
    html.encode("utf-8")
    page = Page(html)
    plain = Page(render_report(report(failures=[Failure("llama", "full", "C1", 42, "e\ne")])))
    assert len(page.scripts) == len(plain.scripts)
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in plain.elements}
    assert text.replace("\ud800", "?").replace("\x00", "")[:8] in page.text.replace("\x00", "")


def test_names_of_cells_are_escaped_in_tables_and_figures():
    name = "<b>&\"'</script>"
    page = Page(render_report(report(scores=[replace(s, model=name) for s in scores() if s.model == "llama"])))
    assert name in [row[0] for table in page.tables for row in table]
    assert page.text.count(name) > 5
    assert len(page.scripts) == 1


def test_the_tables_of_the_page_are_the_tables(html: str):
    shown = [cells for table in Page(html).tables for row in table for cells in row]
    for table in tables(scores(), ORDER):
        for row in table.rows:
            for cell in row.cells:
                assert f"{cell.text} {cell.interval}".strip() in shown
    assert len(Page(html).tables) == len(tables(scores(), ORDER))


def test_the_headline_the_notice_and_the_settings_are_there(html: str):
    text = Page(html).text.replace("\u00a0", " ")
    assert "llama loses 47 % of its pass@1 under C; fine-tuned on C it loses 16 %" in text
    for words in ("MiniCode is no evidence about real models.", "C1 1.5, C2 1.5, C3 0.4", "seed: 42", "9 min"):
        assert words in text


def test_failed_cells_stand_with_their_whole_error():
    html = render_report(report(failures=[Failure("llama", "full", "C1", 42, "boom\n  at step 3")]))
    assert "1 cell of this sweep failed" in html
    assert "boom\n  at step 3" in html


def test_parts_without_content_are_left_out():
    html = render_report(report(notice="", config_yaml=""))
    for words in ('id="samples"', 'id="failures"', "Please note", 'id="config"'):
        assert words not in html


def test_a_sweep_without_any_result_still_gives_a_page():
    html = render_report(report(scores=[], failures=[Failure("llama", "none", "base", 42, "no such model")]))
    assert "no such model" in Page(html).text


def test_equal_reports_give_equal_pages():
    samples = [pair("llama", "base", name, 8) for name in ("clean", "C")]
    assert render_report(report(samples)) == render_report(report(samples))


def test_repeated_labels_span_their_rows():
    rows = [Row(labels, ()) for labels in (("C1", "a"), ("C1", "b"), ("C2", "b"), ("C2", "b"))]
    spans = [[(heading.text, heading.span) for heading in row] for row in row_headings(rows)]
    assert spans == [[("C1", 2), ("a", 1)], [("b", 1)], [("C2", 2), ("b", 1)], [("b", 1)]]
