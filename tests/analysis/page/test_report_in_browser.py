"""The page in headless Chromium: it runs without an error, filters, follows links, and survives hostile texts."""

import base64
import dataclasses
import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from raysweep.analysis.exhibits.catalogue import draw, read_exhibits
from raysweep.analysis.page.report import render_report
from raysweep.analysis.tables.costs import Cost
from raysweep.analysis.tables.frame import Failure
from tests.analysis.examples import HOSTILE, PASS, pair, realistic_samples, report
from tests.analysis.exhibits.examples import curve_evidence
from tests.analysis.exhibits.layer_editing.examples import evidence as edit_evidence
from tests.analysis.exhibits.layer_editing.examples import made
from tests.analysis.exhibits.layer_editing.test_edit_pages import KnownAnswers
from tests.analysis.linted import STRATA, linted_cells
from tests.analysis.page.test_report import Page
from tests.analysis.tables.test_difference_tables import DIFFERENCES
from tests.paths import REPO
from tests.patience import PATIENCE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium binary, which is not on this machine"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=3000", "--window-size=1400,1000"),
)


def visit(folder: Path, html: str, hash: str = "", flags: Sequence[str] = ()) -> tuple[Page, list[str]]:
    """Return the page after its script ran, and the lines of its console."""
    file = folder / "report.html"
    file.write_text(html, encoding="utf-8")
    profile = folder / f"profile-{len(list(folder.iterdir()))}"
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={profile}", "--dump-dom", f"{file.as_uri()}{hash}"]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    console = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    return Page(done.stdout.decode("utf-8", "replace")), console


@pytest.fixture(scope="module")
def sweep() -> str:
    return render_report(report(realistic_samples()))


@pytest.fixture(scope="module")
def everything() -> str:
    """A page with all of its sections."""
    evidence = curve_evidence()
    drawn = draw([exhibit.model_copy(update={"at_least": {}}) for exhibit in read_exhibits().values()], evidence)
    linted = {
        "linted": linted_cells(),
        "strata": STRATA,
        "costs": [Cost("llama", 3, 0.5, 0.1, 0.0, 0.0, 0.0, 10, 5, 90, 10, 7)],
    }
    failed = [Failure("llama", "full", "C3", 42, "out of memory")]
    page = render_report(
        report(realistic_samples(), failed, drawn=drawn, differences=DIFFERENCES, signature="20 samples", **linted)
    )
    assert "Code quality" in page and "score highest of" in page and "Cost" in page and 'id="heat-map' in page
    return page


def test_a_page_with_edits_runs_without_an_error_and_folds_the_pairs(tmp_path: Path):
    edits = edit_evidence(made(["llama"]), answers=KnownAnswers())
    exhibits = read_exhibits()
    drawn = draw([exhibits["repairs"], exhibits["edit-pages"]], edits)
    page, console = visit(tmp_path, render_report(report([pair()], scores=[], drawn=drawn)))
    assert console == []
    assert "Repairing one layer" in page.text
    folded = [attributes for tag, attributes in page.elements if tag == "details" and attributes.get("class") == "pair"]
    assert len(folded) == 15 and not any("open" in attributes for attributes in folded)


def test_the_page_opens_on_what_the_headline_is_about(tmp_path: Path, sweep: str):
    page, console = visit(tmp_path, sweep)
    assert console == []
    chosen = [attributes["value"] for tag, attributes in page.elements if tag == "option" and "selected" in attributes]
    assert chosen == ["llama", "base", "C"]
    pairs = {(p.model, p.training_set, p.perturbation): p.results for p in realistic_samples()}
    both = zip(pairs["llama", "base", "clean"], pairs["llama", "base", "C"], strict=True)
    broken = sum(clean.outcome == "passed" != perturbed.outcome for clean, perturbed in both)
    assert f"{broken} of 14,400 samples" in page.text
    shown = [cell for table in page.tables for row in table for cell in row]
    for values in PASS.values():
        assert all(f"{100 * value:.1f}" in shown for value in values)


def test_on_a_narrow_screen_a_wide_table_says_that_it_scrolls(tmp_path: Path, sweep: str):
    for size, scrolls in (("390,844", True), ("2400,844", False)):
        page, _ = visit(tmp_path, sweep, flags=[f"--window-size={size}"])
        classes = [str(attributes.get("class")).split() for _, attributes in page.elements]
        assert any({"frame", "scrolls"} <= {*names} for names in classes) == scrolls


def test_an_address_selects_filter_and_sample(tmp_path: Path, sweep: str):
    at = "gpt_bigcode~C~lora~42~minicode~C3~minicode/7~0"
    page, console = visit(tmp_path, sweep, f"#samples?model=gpt_bigcode&set=C&test=C3&at={at}")
    assert console == []
    assert "240 of 14,400 samples" in page.text
    assert "gpt_bigcode · typos (C) · changed case (C3) · 8 of 240" in page.text
    options = [attributes for _, attributes in page.elements if attributes.get("role") == "option"]
    assert 5 < len(options) < 40  # only what is in view
    assert [a["id"] for a in options if a["aria-selected"] == "true"] == ["option-7"]


def test_verdict_broken_and_text_filters_count_right(tmp_path: Path):
    passes = pair("llama", "base", "clean", 6, ["right\n"], fails=[0])
    breaks = pair("llama", "base", "C", 6, ["right\n", "odd\n"], fails=[0, 1, 2])
    html = render_report(report([passes, breaks], scores=[]))
    for hash, count in (("q=nubmer&verdict=failed", 3), ("q=odd&broke=1", 1)):
        page, console = visit(tmp_path, html, f"#samples?{hash}")
        assert console == []
        assert f"{count} of 12 samples" in page.text


def test_changes_are_marked_on_both_sides(tmp_path: Path):
    samples = [pair("llama", "base", name, 1, ["    return x\n"]) for name in ("clean", "C")]
    page, _ = visit(tmp_path, render_report(report(samples, scores=[])), "#samples?test=C")
    tags = [tag for tag, _ in page.elements]
    assert tags.count("del") == tags.count("ins") == 2
    assert "(the same)" in page.text


def test_hostile_completions_do_nothing(tmp_path: Path):
    samples = [pair("llama", "base", name, 1, ["\n".join(HOSTILE)]) for name in ("clean", "C")]
    page, console = visit(tmp_path, render_report(report(samples, scores=[])), "#samples?test=C")
    assert console == []
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert page.title == "Small models under typos"
    for text in HOSTILE:
        start = re.split(r"[\x00-\x1f\u2028\u202e\ud800]", text)[0]
        assert page.text.count(start) >= 2  # clean and perturbed
    assert "\\ud800 surrogate" in page.text and "\\u202e override" in page.text


def test_a_later_draw_of_a_perturbation_has_its_words_too(tmp_path: Path):
    later = dataclasses.replace(pair("llama", "base", "C1", 2, ["x\n"]), perturbation="C1 draw 1")
    first = pair("llama", "base", "C1", 2, ["x\n"])
    page, console = visit(tmp_path, render_report(report([first, later], scores=[])), "#samples?q=")
    assert console == []
    assert "neighbouring keys (C1) perturbation sample 1" in page.text


AXE_CORE = REPO / "node_modules" / "axe-core" / "axe.min.js"
AXE = """
axe.run(document, {resultTypes: ["violations"]}).then((found) => {
  const lines = found.violations.flatMap((v) => v.nodes.map((node) => `${v.id}: ${node.html.slice(0, 160)}`));
  const note = document.createElement("pre");
  note.id = "axe";
  note.textContent = [`${found.passes.length} rules hold`, ...lines].join("\\n");
  document.body.append(note);
});
"""


@pytest.mark.skipif(not AXE_CORE.is_file(), reason="needs axe-core: npm install --no-save axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(tmp_path: Path, everything: str, scheme: str):
    """The page's policy lets in its own script alone; the test's script gets a hash of its own beside that."""
    axe = AXE_CORE.read_text(encoding="utf-8") + AXE
    digest = base64.b64encode(hashlib.sha256(axe.encode()).digest()).decode()
    page = everything.replace("script-src 'sha256-", f"script-src 'sha256-{digest}' 'sha256-", 1)
    page = page.replace("</body>", f"<script>{axe}</script></body>")
    dark = ("--blink-settings=preferredColorScheme=0",) if scheme == "dark" else ()
    shown, console = visit(tmp_path, page, flags=("--virtual-time-budget=60000", *dark))
    assert console == []
    (found,) = re.findall(r"(\d+) rules hold(.*)", shown.text, re.DOTALL)
    assert int(found[0]) > 20 and not found[1].strip(), found[1]


def test_another_script_does_not_run(tmp_path: Path, sweep: str):
    page = sweep.replace("</body>", "<script>document.title = 'hacked'</script></body>")
    shown, console = visit(tmp_path, page)
    assert shown.title != "hacked" and any("Content Security Policy" in line for line in console)
