"""How the figures look: colours, fonts, sizes, and the line of text below each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from bknn.answers.digits import has_error, power_of_ten, rounded
from bknn.data import Measurement
from bknn.inference import FitResult
from bknn.inference.fits.result import single
from bknn.parameters import Parameter, symbol
from bknn.tables import visible

#: Width of a figure across two columns of a journal, inches.
WIDTH = 7.1

#: Colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart by colour-blind readers.
BLACK, GREY = "#000000", "#6E6E6E"
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

#: Settings that differ from matplotlib's, in force while a figure is made or written. Those that
#: repeat a default are here because a user's matplotlibrc may say otherwise.
STYLE: dict[str, Any] = {
    # By name: "sans-serif" is looked up when a figure is drawn, and EOS makes it another font.
    "font.family": ["DejaVu Sans"],
    "font.size": 7.5,
    "mathtext.fontset": "dejavusans",
    "text.usetex": False,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "axes.linewidth": 0.6,
    # Formulas take a hundred times as long to set as text, and most of what is set is tick labels.
    "axes.formatter.use_mathtext": False,
    # A fixed place; finding one that touches nothing takes a third of the time of a figure.
    "axes.titley": 1.0,
    "axes.unicode_minus": True,
    "axes.grid": False,
    "axes.spines.top": True,
    "axes.spines.right": True,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "hatch.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.2,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    # Outlines; embedding TrueType takes three times as long, and every printer takes these.
    "pdf.fonttype": 3,
    "savefig.bbox": None,
    "savefig.facecolor": "auto",
    "path.simplify": True,
}


@contextmanager
def style() -> Iterator[None]:
    """The style of the figures, for the time of a `with` block."""
    with matplotlib.rc_context(STYLE):
        yield


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """Return a colour mixed with white; strength 1 is the colour itself.

    >>> tint("#000000", 0.25)
    (0.75, 0.75, 0.75)
    """
    rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (1 - strength * (1 - x) for x in rgb)
    return red, green, blue


def number(value: float, uncertainty: float = 0.0, unit: str = "") -> str:
    """Return a number as one writes it in a paper, as mathtext where it needs a power of ten.

    The uncertainty decides the digits (`bknn.answers.digits`). A unit may have powers, GeV^-1.

    >>> number(2.1076, 0.0547, "GeV")
    '2.11 ± 0.05 GeV'
    >>> number(8.579e-06, 2.562e-06)
    '(8.6 ± 2.6)$\\\\,\\\\times\\\\,10^{-6}$'
    >>> number(4.97e-06)
    '4.97$\\\\,\\\\times\\\\,10^{-6}$'
    """
    tail = f" {powers(unit)}" if unit else ""
    if not math.isfinite(value):
        return f"{value}{tail}"
    power = power_of_ten(max(abs(value), uncertainty if has_error(value, uncertainty) else 0.0))
    factor = f"$\\,\\times\\,10^{{{power}}}$" if power else ""
    if has_error(value, uncertainty):
        text = " ± ".join(rounded([value, uncertainty], uncertainty, power))
        return _minus((f"({text})" if factor else text) + factor + tail)
    size = math.floor(math.log10(abs(value))) if value else 0
    text = f"{value / 10.0**power:.{2 if factor else max(3 - size, 0)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return _minus(f"{text}{factor}{tail}")


def powers(unit: str) -> str:
    """Return a unit with its powers as mathtext.

    >>> powers("GeV^-1"), powers("GeV")
    ('GeV$^{-1}$', 'GeV')
    """
    return re.sub(r"\^(-?\d+)", r"$^{\1}$", unit)


def branching_ratio(value: float, uncertainty: float = 0.0) -> str:
    """Return a branching ratio in units of 1e-6, so that several are easily compared.

    >>> branching_ratio(1.234e-5, 2.1e-6)
    '(12.3 ± 2.1)$\\\\,\\\\times\\\\,10^{-6}$'
    >>> branching_ratio(3.1e-12)
    '3.1$\\\\,\\\\times\\\\,10^{-12}$'
    """
    if not 1e-8 <= abs(value) < 1e-3 or not math.isfinite(uncertainty):
        return number(value, uncertainty)
    text = number(1e6 * value, 1e6 * uncertainty)
    text = f"({text})" if "±" in text else text
    return f"{text}$\\,\\times\\,10^{{-6}}$"


def _minus(text: str) -> str:
    """Replace the hyphen of a negative number by a minus sign, but not within mathtext."""
    head, dollar, rest = text.partition("$")
    return head.replace("-", "−") + dollar + rest


def plain(text: str) -> str:
    """Return a name that is text and nothing else: a dollar sign in it does not start a formula.

    >>> plain("cost in $")
    'cost in \\\\$'
    """
    return visible(text).replace("$", r"\$")


def data_labels(measurements: Iterable[Measurement]) -> str:
    """Return what data sets are called, with the channels that are used, as mathtext.

    >>> from bknn import data
    >>> data_labels([data.load("belle2-2025"), data.load("aleph-bs-invisible")])
    'Belle II 2025 (inclusive, hadronic) + ALEPH (Bs → invisible)'
    """
    return " + ".join(plain(m.label).replace("->", "→") for m in measurements)


#: A caption names at most this many parameters.
_SHOWN = 6


def best_fit(result: FitResult) -> list[str]:
    """Return `name = value ± uncertainty` of the model's parameters, the first few of them.

    What theory does not know (form factors) is with the other nuisances, not here.
    """
    analysis = single(result, "a figure shows")
    sigma = result.uncertainty_vector
    own = [i for i, p in enumerate(analysis.parameters) if not p.nuisance]
    texts = []
    for i in own[:_SHOWN]:
        parameter = analysis.parameters[i]
        moved = bool(result.moving[i])
        value = number(float(result.vector[i]), float(sigma[i]) if moved else 0.0, parameter.unit)
        remark = "" if moved else " (fixed)"
        if parameter.name in result.at_bounds:
            remark = " (at\0its\0bound)"
        texts.append(f"{parameter.label} = {value}{remark}")
    if len(own) > _SHOWN:
        texts.append(f"and {len(own) - _SHOWN} more parameters")
    if np.isnan(sigma[own]).any():
        texts.append("uncertainties\0unknown")
    return texts


def kept(parameters: Iterable[Parameter], fixed: Mapping[str, float]) -> list[str]:
    """Return `name = value` of parameters that did not float and are not 0.

    >>> kept([Parameter("mass", 2.0, unit="GeV")], {"mass": 2.1, "g_P": 0.0})
    ['$m$ = 2.1 GeV']
    """
    known = {p.name: p for p in parameters}
    return [
        f"{symbol(name)} = {number(x)}"
        if name not in known
        else f"{known[name].label} = {number(x, unit=known[name].unit)}"
        for name, x in fixed.items()
        if x
    ]


class Caption:
    """A few small lines along the lower edge of a figure.

    Args:
        text: what to say.
        width: of the figure, inches.
    """

    def __init__(self, text: str, width: float) -> None:
        self.lines = _wrapped(text, int(width * 20))

    @classmethod
    def of_fit(
        cls, result: FitResult, null: FitResult | None, width: float, *extra: str
    ) -> Caption:
        """Say model, data and best fit.

        Args:
            result, null: the fit, and that of the standard model.
            width: of the figure, inches.
            extra: what else to say.
        """
        analysis = single(result, "a figure shows")
        data = data_labels(analysis.measurements)
        if result.data is not None:
            data = f"given counts in place of those of {data}"
        head = f"{plain(analysis.model.name)}, fitted to {data}"
        if not bool(np.all(result.converged)):
            head = f"NOT CONVERGED: {head}"
        fitted = ", ".join(best_fit(result))
        twice = _minus(f"{float(result.twice_nll):.2f}")
        twice = f"$-2\\,\\ln L$ = {twice}"
        if null is not None:
            higher = float(null.twice_nll) - float(result.twice_nll)
            more = "more" if higher >= 0 else "less"
            twice += f", in the standard model {abs(higher):.2f} {more}"
        return cls("; ".join([f"{head}: {fitted}" if fitted else head, twice, *extra]), width)

    @property
    def room(self) -> float:
        """Height that it needs, inches."""
        return 0.1 + 0.125 * len(self.lines)

    def write(self, figure: Figure) -> None:
        figure.text(
            0.5,
            0.06 / float(figure.get_figheight()),
            "\n".join(self.lines),
            ha="center",
            va="bottom",
            fontsize=6.2,
            color="#404040",
            linespacing=1.35,
        )


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text between words, but never inside a formula or around an equals sign.

    >>> _wrapped("one two $a b c$ x = 3", 9)
    ['one two', '$a b c$', 'x = 3']
    """
    held = "$".join(p.replace(" ", "\0") if i % 2 else p for i, p in enumerate(text.split("$")))
    words = re.sub(r" ([±=]|\() ?| (?=GeV)", lambda m: m[0].replace(" ", "\0"), held).split(" ")
    # Markup takes no room.
    sizes = [len(re.sub(r"\\[a-z]+|[\\${}^]", "", w)) + 1 for w in words]
    fewest = len(_lines(words, sizes, width))
    # Of all ways to break it into so few lines, the one with the most even lines.
    even = next(n for n in range(1, width + 1) if len(_lines(words, sizes, n)) <= fewest)
    return [" ".join(line).replace("\0", " ") for line in _lines(words, sizes, even)]


def _lines(words: list[str], sizes: list[int], width: int) -> list[list[str]]:
    lines: list[list[str]] = [[]]
    used = 0
    for word, size in zip(words, sizes, strict=True):
        if lines[-1] and used + size > width + 1:
            lines.append([])
            used = 0
        lines[-1].append(word)
        used += size
    return lines
