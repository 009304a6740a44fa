import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.exhibits.base import GRIDS, QUALITY, TESTS, Evidence
from raysweep.analysis.exhibits.catalogue import draw
from raysweep.analysis.page.report import bound, render_report, row_blocks, row_headings, row_label
from raysweep.analysis.page.sample_viewer import samples_json
from raysweep.analysis.sections.base import Report
from raysweep.analysis.tables.frame import Failure, ScoreFrame
from raysweep.analysis.tables.outcomes import PairOutcomes
from raysweep.analysis.tables.pooling import scores_over_seeds
from raysweep.analysis.tables.table import Column, Row, Table, TableCell, to_csv, to_latex, to_markdown
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.metrics.base import CellLabels
from raysweep.records import Score
from tests.analysis.examples import HOSTILE, ORDER, WORDS, pair, report, score_tables, scores
from tests.analysis.exhibits.examples import EXHIBITS, in_group
from tests.analysis.linted import ORDER as LINTED_ORDER
from tests.analysis.linted import STRATA, linted_cells
from tests.analysis.tables.test_difference_tables import DIFFERENCES

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
        if ("td" in self.open or "th" in self.open) and data.strip():
            separator = " " if self.open[-1] == "small" else ""
            self.tables[-1][-1][-1] += separator + data.strip()


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(report([pair("llama", "base", name, 8, fails=[1]) for name in ("clean", "C")]))


@pytest.fixture(scope="module")
def plain() -> str:
    """The page without samples, as `report()` gives it."""
    return render_report(report())


@pytest.mark.slow
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
    pairs = [pair("llama", "base", name, 8, fails=[1]) for name in ("clean", "C")]
    assert page.scripts[0] == samples_json(pairs, words=WORDS)
    assert "owned" not in page.text


@pytest.mark.slow
def test_hostile_names_errors_and_configs_stay_text(plain: str):
    text = "\n".join(HOSTILE)
    failure = Failure("llama", "full", "C1", 42, f"{text}\n{text}")
    hostile = report(name=text, title=text, notice=text, config_yaml=text, failures=[failure], settings=[(text, text)])
    html = render_report(hostile)
    html.encode("utf-8")
    page = Page(html)
    assert len(page.scripts) == len(Page(plain).scripts)
    assert {tag for tag, _ in page.elements} - {tag for tag, _ in Page(plain).elements} <= {"pre", "details", "summary"}
    shown = page.text.replace("\x00", "")
    assert all(one.replace("\ud800", "?").replace("\x00", "")[:8] in shown for one in HOSTILE)


def test_names_of_cells_are_escaped_in_tables_and_figures():
    name = "<b>&\"'</script>"
    page = Page(render_report(report(scores=[replace(s, model=name) for s in scores() if s.model == "llama"])))
    assert name in [row[0] for table in page.tables for row in table]
    assert page.text.count(name) > 5
    assert len(page.scripts) == 1


def test_the_tables_of_the_page_are_the_tables(html: str):
    shown = [cells for table in Page(html).tables for row in table for cells in row]
    tests = draw(in_group(TESTS), Evidence(ScoreFrame.of(scores(), ORDER))).tables
    for table in score_tables(scores(), ORDER):
        for row in table.rows:
            for cell in row.cells:
                assert f"{cell.text} {cell.interval}".strip() in shown
    assert len(Page(html).tables) == len(score_tables(scores(), ORDER)) + len(tests)
    assert [table[0] for table in Page(html).tables[-len(tests) :]] == [
        [table.stub[0], *(column.name for column in table.columns)] for table in tests
    ]


def test_the_page_ends_with_what_it_leaves_out_and_why():
    one_model = [score for score in scores() if score.model == "llama"]
    order = replace(ORDER, models=("llama",))
    drawn = draw(list(EXHIBITS.values()), Evidence(ScoreFrame.of(one_model, order)))
    page = Page(render_report(report(scores=one_model, order=order, drawn=drawn)))
    end = page.text.replace("\u00a0", " ").partition("Left out, because this sweep lacks what they show: ")[2]
    assert "Edits (no model was edited); " in end and f"{len(drawn.left_out)} tables and figures." in end
    assert "table-2, table-3, table-4" in end and "it has 1 model" in end
    assert "table-5" in end and "it has 1 model and 1 mix" in end
    assert not any(table.name.startswith("table-2") for table in drawn.tables)


def test_the_headline_the_notice_and_the_settings_are_there(html: str):
    text = Page(html).text.replace("\u00a0", " ")
    assert "llama loses 47 % of its pass@1 under typos (C); fine-tuned on typos (C) it loses 16 %" in text
    assert "changed case (C3)58.1 % → 18.1 %" in text.partition("Figure")[0]
    for words in ("MiniCode is no evidence about real models.", "C1 1.5, C2 1.5, C3 0.4", "seed: 42", "9 min"):
        assert words in text
    for id in ("failures", "quality"):
        assert f'id="{id}"' not in html


def test_what_is_there_stands_in_its_place_and_what_is_not_is_left_out():
    failures = [Failure("llama", "none", "base", 42, "boom\n  at step 3")]
    limit = "evaluated on the first 5 problems of every problem set, not on all."
    html = render_report(report(scores=[], failures=failures, limit=limit, differences=DIFFERENCES, strata=STRATA))
    assert "1 cell of this sweep failed" in html and html.count("boom\n  at step 3") == html.count("boom") == 1
    assert html.index("Limited run:") < html.index("MiniCode is no evidence")
    assert "No file could be linted" in html and "Against fine-tuning on clean prompts, minicode" in html
    bare = render_report(report(scores=[], notice="", config_yaml=""))
    for words in ('id="samples"', 'id="failures"', "Please note", 'id="config"', "Limited run"):
        assert words not in bare


def test_labels_words_and_units_of_a_table():
    rows = [Row(labels, ()) for labels in (("C1", "a"), ("C1", "b"), ("C2", "b"), ("C2", "b"))]
    spans = [[(heading.text, heading.span) for heading in row] for row in row_headings(rows)]
    assert spans == [[("C1", 2), ("a", 1)], [("b", 1)], [("C2", 2), ("b", 1)], [("b", 1)]]
    ranked = tuple(Row(labels, (TableCell("1"),)) for labels in (("a", "C"), ("b", "C"), ("a", "clean")))
    ranking = Table("best", "", ("model", "training set"), (Column("x"),), ranked)
    assert [block.label for block in row_blocks(ranking)] == [""], "rows that share no label have no line for it"
    grouped = replace(ranking, rows=(*ranked, ranked[-1]))
    assert [block.label for block in row_blocks(grouped)] == ["a", "b", "a"]
    assert row_label("C · full", {"C": "typos"}) == "typos (C) · full"
    assert row_label("llama · full", {}) == "llama · full"
    assert bound("51 % and 12 points of 3 s, n = 240 problems; 3 sweeps, 4 minutes") == (
        "51\u00a0% and 12\u00a0points of 3\u00a0s, n\u00a0=\u00a0240\u00a0problems; 3 sweeps, 4 minutes"
    )


def test_no_caption_heading_line_or_finding_can_break_before_a_percent_sign():
    html = render_report(report(settings=[("share", "5 % of rows")], notice="Only 5 % are real."))
    parts = re.findall(
        r"<(?:figcaption|th|li|p|dd|aside|h2)\b[^>]*>(.*?)</(?:figcaption|th|li|p|dd|aside|h2)>", html, re.S
    )
    assert sum("\u00a0%" in part for part in parts) > 10
    assert not [part for part in parts if re.search(r"\d[ \n]+%", part)]


def test_a_code_has_its_words_where_it_is_first_used(plain: str):
    assert "typos (C)" in Page(plain).text.partition("Figure")[0]
    first_table = plain[plain.index("<table") : plain.index("</table>")]
    for code, words in WORDS.items():
        assert f">{code}<small>{words}</small>" in first_table
        assert first_table.count(f"<small>{words}</small>") == 1


def test_the_number_of_problems_stands_in_each_title_or_beside_each_number():
    altered = [replace(s, n=239) if s.metric.endswith("_changed") and s.perturbation == "C1" else s for s in scores()]
    html = render_report(report(scores=altered)).replace("\u00a0", " ").replace("&nbsp;", " ")
    titles = re.findall(r"<figcaption><b>Table (.*?)</b>", html.partition('<section id="evidence">')[0])
    assert [title for title in titles if "n = 240 problems" not in title] == [
        "5. RD over the prompts that changed and compile, minicode (%).",
        "6. Test sets of minicode.",
    ]
    assert "neighbouring keys (C1)<small>n = 239 problems</small>" in html
    assert "typos (C)<small>n = 240 problems</small>" in html


def test_what_columns_are_stands_above_them(plain: str):
    assert ["", "training set"] in [row for table in Page(plain).tables for row in table]
    (clean,) = [table for table in score_tables(scores(), ORDER) if table.title.startswith("pass@1 clean")]
    assert "Columns: the training set." in to_markdown(clean)
    assert r"\multicolumn{6}{c}{training set}" in to_latex(clean)
    assert to_csv(clean).startswith("model,base,base low,base high,clean,")


def report_of_seeds(has: Callable[[Score, int], bool], **more: Any) -> Report:
    """A report of means over seeds 1 to 3, of which fine-tuned models have those scores that `has` says."""
    found = [
        replace(one, seed=seed) for one in scores() for seed in (3, 1, 2)
        if (seed == 1 if one.training_set == "base" else has(one, seed))
    ]  # fmt: skip
    order = replace(ORDER, seeds=3)
    return report(scores=scores_over_seeds(found, {}), order=order, by_seed=ScoreFrame.of(found, order), **more)


@pytest.mark.slow
def test_a_page_says_once_what_means_over_seeds_are():
    several = report_of_seeds(lambda score, seed: True)
    assert several.training_runs == "3 training runs (seeds 1, 2, 3)"
    text = Page(render_report(several)).text.replace("\u00a0", " ")
    lead = text[text.index("All scores") :]
    assert "means over 3 training runs (seeds 1, 2, 3), with SD, the standard deviation between these" in lead
    assert "those of fine-tuned models, means over 3 training runs (seeds 1, 2, 3), are over problems and" in text
    assert report().training_runs == "" and "training run" not in Page(render_report(report())).text


@pytest.mark.slow
def test_training_runs_without_numbers_do_not_count():
    trainings = [ReportedTraining("llama", "C", "full", seed, 9, 0, {}, 9, (), 0.5) for seed in (1, 2, 3)]
    two = report_of_seeds(lambda score, seed: seed != 3, trainings=trainings)
    assert two.training_runs == "2 training runs (seeds 1, 2)"
    some = report_of_seeds(lambda score, seed: seed != 3 or score.model == "llama", trainings=trainings)
    assert some.training_runs == "up to 3 training runs (seeds 1, 2, 3)"
    assert "means over up to 3 training runs (seeds 1, 2, 3), with SD" in render_report(some)
    on_clean = report_of_seeds(lambda score, seed: seed != 3 or score.perturbation == "clean")
    assert on_clean.training_runs == "up to 3 training runs (seeds 1, 2, 3)"
    others = report_of_seeds(lambda score, seed: seed != (3 if score.model == "llama" else 1))
    assert others.training_runs == "2 training runs"
    one = report_of_seeds(lambda score, seed: seed == 2, failures=[Failure("llama", "full", "C", 1, "out of memory")])
    assert one.training_runs == "1 training run (seed 2)"
    assert report_of_seeds(lambda score, seed: False).training_runs == ""


def test_outcomes_and_trainings_say_why_a_score_is_what_it_is():
    outcomes = [PairOutcomes("llama", "full", "C", 42, "minicode", "clean", {"passed": 1, "syntax_error": 3}, 4)]
    losses = ((1, 3.25), (5, 1.5), (9, 0.5))
    training = ReportedTraining("llama", "C", "full", 42, 90, 10, {"over 64 tokens": 9, "no prompt": 1}, 9, losses, 0.5)
    html = render_report(report(scores=[], outcomes=outcomes, trainings=[training]))
    page = Page(html)
    assert ["typos (C)", "clean", "25.0", "0.0", "0.0", "75.0", "0.0", "100.0", "4"] in page.tables[-2]
    assert page.tables[-1][-1] == ["typos (C)", "full", "90", "101", "9", "3.25", "0.5"]
    assert html.count('<svg class="curve"') == 1


@pytest.mark.slow
def test_the_studys_tables_are_on_the_page_under_numbers_of_their_own():
    frame = ScoreFrame.of(scores(), ORDER)
    rates = {
        CellLabels("llama", "full", name, 42): {
            ("minicode", "C"): ProblemRates({f"t{task}": float(task < number) for task in range(20)}, {}, 1, 1)
        }
        for name, number in (("clean", 8), ("C", 14))
    }
    drawn = draw(in_group(GRIDS), Evidence(frame, rates))
    page = Page(render_report(report(drawn=drawn)))
    titles = [table.title for table in drawn.tables]
    assert any(title.startswith("RD on C") for title in titles)
    text = page.text.replace("\u00a0", " ")
    assert [title for title in titles if title not in text] == []
    assert f"The same numbers in the study's tables ({len(drawn.groups[GRIDS])})" in text


def test_code_quality_is_a_section_with_a_figure_and_numbered_tables():
    order = replace(LINTED_ORDER, training_sets=("base",))
    evidence = Evidence(ScoreFrame.of([], order), linted=linted_cells())
    drawn = draw(in_group(QUALITY), evidence)
    html = render_report(report(scores=[], linted=evidence.linted, strata=STRATA, order=order, drawn=drawn))
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) and "quality" in ids and ("a", {"href": "#quality"}) in page.elements
    numbers = [int(name.removeprefix("table-")) for name in ids if re.fullmatch(r"table-\d+", name or "")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert "380 of 31,878 completions of fine-tuned models" in page.text and "invalid-name (C0103)" in page.text
