"""Prints where a sheet of `raysweep audit` is, or the share of valid texts and the raters' agreement."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from raysweep.cli.views.console import new_console, print_json
from raysweep.rows.rated_sheets import PAIRS, SHEET, Answers, SheetItem
from raysweep.tools.audit.agreement import Validity, agreements, validity
from raysweep.tools.audit.sheet import PAGE
from raysweep.units import count


def print_sheet(items: Sequence[SheetItem], folder: Path) -> None:
    methods, what = len({item.method for item in items}), "preference pair" if items[0].kind == PAIRS else "text"
    console = new_console()
    console.print(f"{count(len(items), what)} of {count(methods, 'method')} to rate, methods hidden", soft_wrap=True)
    console.print(f"each rater: {folder / PAGE} in a browser, or a copy of {folder / SHEET}", soft_wrap=True)
    console.print(f"then: raysweep audit {folder} RATER1.csv RATER2.csv", soft_wrap=True)


def print_audit(items: Sequence[SheetItem], answers: Mapping[str, Answers], as_json: bool) -> None:
    shares, kappas = validity(items, answers), agreements(items, answers)
    if as_json:
        valid, agreed = ([dataclasses.asdict(one) for one in facts] for facts in (shares, kappas))
        print_json({"raters": list(answers), "valid": valid, "kappa": agreed})
        return
    console = new_console()
    for question in dict.fromkeys(share.question for share in shares):
        console.print(_table([share for share in shares if share.question == question], len(answers), question))
    for agreement in kappas:
        value = agreement.note if math.isnan(agreement.kappa) else f"{agreement.kappa:.2f}"
        raters = " and ".join(agreement.raters)
        console.print(f"Cohen's kappa, {agreement.question.replace('_', ' ')}, {raters}: {value}", soft_wrap=True)
    if not kappas:
        console.print("one rater: no agreement to compute")


def _table(shares: Sequence[Validity], raters: int, question: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("method")
    by = "the rater" if raters == 1 else f"most of {raters} raters"
    for title in ("rated", f"{question or 'valid'} to {by}", "share", "95 % interval"):
        table.add_column(title, justify="right")
    for share in shares:
        interval = f"{share.low:.2f} to {share.high:.2f}"
        table.add_row(share.method, str(share.judged), str(share.valid), f"{share.share:.2f}", interval)
    return table
