"""The look of all figures, and their SVG and PDF forms.

The two colours are Okabe and Ito's, and the shapes of marks differ too. In an SVG colours are CSS variables with
fallbacks, so that it fits a light and a dark page. Equal figures give equal bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from raysweep.analysis.tables.table import safe_name
from raysweep.errors import UnknownName

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {  # CSS variable -> (light, dark); matplotlib draws with the light one
    "--rs-ink": ("#1c1b1a", "#e8e6e1"),
    "--rs-muted": ("#66635e", "#a5a29b"),
    "--rs-rule": ("#dcd8d0", "#3b3a37"),
    "--rs-clean": ("#0072b2", "#56b4e9"),
    "--rs-perturbed": ("#c2410c", "#f0894e"),
}
INK, MUTED, RULE, CLEAN_COLOUR, PERTURBED_COLOUR = (light for light, _ in COLOURS.values())
FORMATS = ("svg", "pdf")


@dataclass(frozen=True)
class ReportFigure(ABC):
    """A figure of a report.

    Title and caption stand beside the figure, not in it. `label` names its files. `signature`: settings and versions
    that all numbers rest on; the files have it among their metadata.
    """

    title: str
    caption: str
    label: str
    signature: str = field(default="", kw_only=True)

    @property
    def name(self) -> str:
        """Return the label reduced to characters that are safe in a file name."""
        return safe_name(self.label)

    @abstractmethod
    def render(self, format: str = "svg") -> bytes:
        """Return the figure as SVG or PDF; equal figures give equal bytes."""


@contextmanager
def plotting() -> Iterator[None]:
    import matplotlib

    settings: dict[Any, Any] = {
        "svg.hashsalt": "raysweep",
        "svg.fonttype": "none",  # keep text as text, not as paths
        "pdf.fonttype": 42,  # likewise
        "text.parse_math": False,  # names may contain a dollar sign
        "text.color": INK,
        "font.family": "DejaVu Sans",
        "font.size": 10,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a browser has others
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure; width and height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def make_plain(axes: Axes, grid: Literal["both", "x", "y"] | None) -> None:
    """Leave of the axes' frame only labels, and grid lines across these axes; None: no grid."""
    if grid is not None:
        axes.grid(axis=grid, color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)


def rendered(figure: Figure, format: str, signature: str = "") -> bytes:
    """Return a figure as SVG or PDF, without date and versions of its making.

    `format`: one of `FORMATS`. `signature`: what its numbers rest on: the description of an SVG, the subject of a PDF;
    empty: neither.

    Raises:
        UnknownName: there is no such format.
    """
    if format not in FORMATS:
        raise UnknownName("format of figures", format, FORMATS)
    figure.set_layout_engine(None)  # after `tight_layout` there is one that does nothing, for which all is drawn twice
    out = io.BytesIO()
    if format == "pdf":
        no_time = dict.fromkeys(("CreationDate", "Creator", "Producer"))  # time and version would change the bytes
        figure.savefig(out, format=format, metadata={**no_time, "Subject": signature or None})
        return out.getvalue()
    no_time = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(out, format=format, transparent=True, metadata={**no_time, "Description": signature or None})
    svg = out.getvalue().decode()
    for name, (light, _) in COLOURS.items():
        svg = svg.replace(light, f"var({name}, {light})")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, 'DejaVu Sans', sans-serif", svg)
    dark = "; ".join(f"{name}: {dark}" for name, (_, dark) in COLOURS.items())
    style = f"<style>@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}</style>"
    return re.sub(r"(<svg [^>]*>)", lambda match: match[1] + "\n " + style, svg, count=1).encode()
