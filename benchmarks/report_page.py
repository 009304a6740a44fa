"""Measures how soon a report of 50,000 samples opens in headless Chromium, and how soon its filter shows what it found.

    PYTHONPATH=. python benchmarks/report_page.py [--tasks 834] [--rounds 3]

The samples are random (tests/analysis/examples.py): twelve models on five test sets, `--tasks` problems each. The page
opens when its script has drawn the list; a filter is timed from the typed text to the new layout.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import shutil
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from raysweep.analysis.page.report import render_report
from tests.analysis.examples import realistic_samples, report

TYPED = ("x12", "x", "x999", "-", "")
SCRIPT = """
const opened = performance.now(), times = [], search = document.getElementById("f-q");
for (const text of TYPED) {
  const before = performance.now();
  search.value = text;
  search.dispatchEvent(new Event("input", {bubbles: true}));
  document.body.offsetHeight;
  times.push((performance.now() - before).toFixed(0));
}
const note = document.createElement("pre");
note.id = "timing";
note.textContent = `opened after ${opened.toFixed(0)} ms; filters: ${times.join(", ")} ms; `;
note.textContent += document.getElementById("count").textContent;
document.body.append(note);
""".replace("TYPED", repr(list(TYPED)))
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *("--disable-quic", "--disable-background-networking", "--disable-component-update", "--window-size=1400,1000"),
)


def main() -> None:
    """Print a line for each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=834)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("needs a chromium binary")
    began = time.process_time()
    page = render_report(report(realistic_samples(options.tasks)), options.tasks)
    print(f"{len(page) / 2**20:.1f} MiB, made in {time.process_time() - began:.1f} CPU s")
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    page = page.replace("script-src 'sha256-", f"script-src 'sha256-{digest}' 'sha256-", 1)
    page = page.replace("</body>", f"<script>{SCRIPT}</script></body>")
    with TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        file.write_text(page, encoding="utf-8")
        for number in range(options.rounds):
            command = [
                chromium,
                *FLAGS,
                f"--user-data-dir={folder}/{number}",
                "--dump-dom",
                f"{file.as_uri()}#samples?q=",
            ]
            shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
            print(re.findall(r'<pre id="timing">(.*?)</pre>', shown)[0])


if __name__ == "__main__":
    main()
