"""What data to come would exclude, with how much of it, and what a measurement would tell."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from bknn import errors
from bknn.channels import CHANNELS
from bknn.derived.luminosity import RULES
from bknn.models.scenarios import SCENARIOS
from bknn.parameters import symbol
from bknn.plot.drawing.files import save
from bknn.plot.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Caption,
    data_labels,
    plain,
    style,
    tint,
)
from bknn.plot.drawing.twins import COPIES, copy_of, twins
from bknn.studies.outlook import BINS, SM, Outlook

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_STYLES = ("-", "--", "-.", ":")
_MARKS = ("o", "s", "^", "D", "v", "P")

#: Beyond this many sigma the colour does not change, and curves leave their panel.
_MOST, _HIGHEST = 8.0, 12.0


def outlook_figures(found: Outlook, out_dir: str | os.PathLike[str]) -> list[Path]:
    """Draw and write `exclusion`, with several luminosities `luminosity`, and `information`."""
    drawn = all_figures(found)
    return [p for name, figure in drawn.items() for p in save(figure, Path(out_dir) / name)]


def all_figures(found: Outlook) -> dict[str, Figure]:
    """Return {name: figure}."""
    drawn = {"exclusion": exclusion(found)}
    if len(found.luminosities) > 1:
        drawn["luminosity"] = luminosity(found)
    if found.worth:
        drawn["information"] = information(found)
    return drawn


def exclusion(found: Outlook) -> Figure:
    """Draw with how many sigma each scenario is expected to be excluded if another one is true, one
    matrix a luminosity; the darker the further apart."""
    n, m = len(found.names), len(found.luminosities)
    columns = min(m, 2)
    rows = -(-m // columns)
    cell, left, gap, above, below = 0.42, 0.98, 0.16, 0.24, 0.52
    width = left + columns * (n * cell + gap)
    colours = LinearSegmentedColormap.from_list("sigma", [tint(BLUE, x) for x in (0.0, 0.75)])
    with style():
        head = "rows: true, columns: tested; expected exclusion in σ, bold from 5"
        text = Caption(_words(found, head), width)
        height = text.room + below + rows * (n * cell + above)
        figure = Figure(figsize=(width, height))
        for k, (x, power) in enumerate(zip(found.luminosities, found.powers, strict=True)):
            row, column = divmod(k, columns)
            x0 = left + column * (n * cell + gap)
            y0 = height - (row + 1) * (n * cell + above)
            ax = figure.add_axes((x0 / width, y0 / height, n * cell / width, n * cell / height))
            ax.imshow(power.z, cmap=colours, vmin=0.0, vmax=_MOST, aspect="auto")
            for i in range(n):
                for j in range(n):
                    z = power.z[i, j]
                    shown = "" if i == j else f"{z:.1f}" if power.converged[i, j] else "?"
                    bold = "bold" if z >= 5 else "normal"
                    colour = "white" if z > 0.75 * _MOST else GREY if z < 3 else BLACK
                    ax.text(
                        j, i, shown, ha="center", va="center", fontsize=6.5, color=colour,
                        fontweight=bold,
                    )  # fmt: skip
            ax.set_title(f"{x:g} ab$^{{-1}}$", pad=3)
            lowest = k + columns >= m
            ax.set_xticks(range(n), [_label(s) for s in found.names] if lowest else [])
            ax.set_yticks(range(n), [_label(s) for s in found.names] if column == 0 else [])
            ax.tick_params(length=0)
            for tick in ax.get_xticklabels():
                tick.set(rotation=35, ha="right", rotation_mode="anchor")
        text.write(figure)
    return figure


def luminosity(found: Outlook) -> Figure:
    """Draw expected significances against the luminosity, one panel for each scenario that is true
    and one line for each that is tested; dashed lines are 3 and 5 sigma.

    Raises:
        ParameterError: there is one luminosity only.
    """
    if len(found.luminosities) < 2:
        raise errors.ParameterError(
            "one luminosity makes no curve; ask for two or more, as in luminosities=(1, 5, 50)."
        )
    shown = [i for i, name in enumerate(found.names) if name != SM]
    columns = 2 if len(shown) in (2, 4) else min(len(shown), 3)
    rows = -(-len(shown) // columns)
    wide, tall, left, bottom, gap, above = 1.9, 1.55, 0.42, 0.34, 0.1, 0.24
    beside = min(columns, 3)
    legend = 0.08 + 0.14 * -(-len(found.names) // beside)
    width = left + columns * (wide + gap)
    most = min(float(found.z.max()) * 1.12, _HIGHEST)
    same = _twins(found, 0.01 * most)
    with style():
        text = Caption(_words(found, "expected significance of the exclusion"), width)
        height = text.room + bottom + rows * (tall + above) + legend
        figure = Figure(figsize=(width, height))
        handles: dict[int, Line2D] = {}
        for k, i in enumerate(shown):
            row, column = divmod(k, columns)
            x0 = left + column * (wide + gap)
            y0 = height - legend - (row + 1) * (tall + above)
            ax = figure.add_axes((x0 / width, y0 / height, wide / width, tall / height))
            for z in (3, 5):
                ax.axhline(z, color=GREY, linewidth=0.5, linestyle=(0, (5, 4)))
            for j, name in enumerate(found.names):
                if j == i:
                    continue
                (line,) = ax.plot(
                    found.luminosities,
                    found.z[:, i, j],
                    marker=_MARKS[j % len(_MARKS)],
                    markersize=2.6,
                    color=BLACK if name == SM else _COLOURS[(j - 1) % len(_COLOURS)],
                    linestyle=COPIES[copy_of(same, j) % len(COPIES)],
                )
                handles.setdefault(j, line)
            ax.set_xscale("log")
            ax.set_ylim(-0.025 * most, most)  # what is at 0 is seen
            ax.set_title(f"true: {_label(found.names[i])}", pad=3)
            ax.xaxis.set_major_locator(FixedLocator(found.luminosities.tolist()))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.set_xticklabels([f"{x:g}" for x in found.luminosities])
            ax.tick_params(top=True, right=True)
            if column == 0:
                ax.set_ylabel("significance [σ]")
            else:
                ax.set_yticklabels([])
            if k + columns >= len(shown):
                ax.set_xlabel("integrated luminosity [ab$^{-1}$]")
            else:
                ax.set_xticklabels([])
        order = sorted(handles)
        figure.legend(
            [handles[j] for j in order],
            [_tested(found, same, j) for j in order],
            loc="upper left",
            bbox_to_anchor=(left / width, 1.0),
            ncols=beside,
            borderaxespad=0.3,
        )
        text.write(figure)
    return figure


def information(found: Outlook) -> Figure:
    """Draw what measurements to come would tell: about which scenario is true (bars), about
    couplings and mass (open bars), and about the scenario for results of other precision.

    Raises:
        ParameterError: it was not computed.
    """
    if not found.worth:
        raise errors.ParameterError(
            "the worth of measurements was not computed; ask for it with worth_at= in ab^-1."
        )
    worth = found.worth[::-1]
    n = len(worth)
    tall = max(0.19 * n, 1.2)  # so that the label of the third panel has room
    bar, curve, left, gap, right, bottom, above = 1.75, 1.85, 2.05, 0.12, 0.1, 0.36, 0.12
    middle = left + 2 * bar + gap + 0.55
    width = middle + curve + right
    with style():
        text = Caption(
            _words(found, f"what results with {found.worth_at:g} ab$^{{-1}}$ would tell"),
            width,
        )
        height = text.room + bottom + tall + above
        figure = Figure(figsize=(width, height))

        def panel(x0: float, wide: float) -> Axes:
            return figure.add_axes(
                (x0 / width, (text.room + bottom) / height, wide / width, tall / height)
            )

        places = np.arange(n)
        first = panel(left, bar)
        values = [w.models.value for w in worth]
        errors_ = [w.models.error for w in worth]
        first.barh(places, values, xerr=errors_, color=tint(BLUE, 0.6), height=0.66, ecolor=GREY)
        largest = float(np.log(len(found.today)))
        first.axvline(largest, color=GREY, linewidth=0.6, linestyle=(0, (5, 4)))
        first.set_xlim(0.0, 1.08 * largest)
        first.set_yticks(places, [_measurement(w.name, found) for w in worth])
        first.set_xlabel("which scenario [nats]")
        second = panel(left + bar + gap, bar)
        second.barh(
            places, [w.mean for w in worth], facecolor="white", edgecolor=VERMILLION, height=0.66
        )
        second.set_yticks(places, [""] * n)
        second.set_xlim(0.0)
        second.set_xlabel("couplings and mass [nats]")
        third = panel(middle, curve)
        colours = (BLUE, VERMILLION, GREEN)
        for k, (name, (sigma, told)) in enumerate(found.precision.items()):
            at = sigma[len(sigma) // 2]
            label = f"{_measurement(name)}: σ = {_width(name, at)}"
            third.plot(sigma / at, told, color=colours[k], linestyle=_STYLES[k], label=label)
        third.axhline(largest, color=GREY, linewidth=0.6, linestyle=(0, (5, 4)))
        third.set_xscale("log")
        third.set_ylim(0.0, 1.08 * largest)
        third.set_xlabel("σ / expected σ")
        third.set_ylabel("which scenario [nats]")
        third.legend(loc="upper right", fontsize=5.8, bbox_to_anchor=(1.0, 0.93), handlelength=1.4)
        for ax in (first, second, third):
            ax.tick_params(top=True, right=ax is third)
        for ax in (first, second):
            ax.tick_params(axis="y", length=0)
        text.write(figure)
    return figure


_Q2 = r"$q^2_{\mathrm{rec}}$"

#: An observable of a decay, as `--with` names it.
_RATE = re.compile(r"(BR|F_L)\(([^()]+)\)")


def _label(name: str) -> str:
    return "SM" if name == SM else SCENARIOS[name].label


def _twins(found: Outlook, closeness: float) -> list[int | None]:
    """Of each scenario the first one before it whose curves look the same in every panel."""
    n = len(found.names)
    z = np.where(np.eye(n, dtype=bool), np.nan, np.asarray(found.z, float))
    # Beyond the frame nothing is seen; what is true is not tested, and neither what it looks like.
    curves = [np.minimum(z[..., j], _HIGHEST) for j in range(n)]
    alike: list[int | None] = []
    for j, curve in enumerate(curves):
        for i in (i for i in range(j) if alike[i] is None):
            others = [k for k in range(n) if k not in (i, j) and found.names[k] != SM]
            pair = [x[:, others].ravel() for x in (curves[i], curve)]
            if others and twins(pair, closeness)[1] == 0:
                alike.append(i)
                break
        else:
            alike.append(None)
    return alike


def _tested(found: Outlook, same: Sequence[int | None], j: int) -> str:
    first = same[j]
    like = "" if first is None else f" (as {_label(found.names[first])})"
    return f"tested: {_label(found.names[j])}{like}"


def _measurement(name: str, found: Outlook | None = None) -> str:
    """A measurement as figures write it, on two lines if it is long.

    >>> _measurement("F_L(B0 -> K*0)"), _measurement("6 bins of q2")
    ('$F_L$($B^0 \\\\to K^{*0}$ + inv)', 'inclusive tag, 6 bins of $q^2_{\\\\mathrm{rec}}$')
    """
    if name in BINS:
        return f"inclusive tag, {name.replace('q2', _Q2)}"
    for m in found.measurements if found else ():
        if name.startswith(f"{m.name}-"):
            return data_labels([m])

    def written(found: re.Match[str]) -> str:
        what, decay = found.groups()
        known = CHANNELS.get(decay)
        return f"{symbol(what)}({known.symbol if known else plain(decay)})"

    lines = name.replace(" and ", ",\n") if len(name) > 34 else name
    return "\n".join(
        _RATE.sub(written, x) if _RATE.search(x) else plain(x) for x in lines.split("\n")
    )


def _width(name: str, sigma: float) -> str:
    return (
        f"{sigma:.2f}" if name.startswith("F_L") else f"{1e6 * sigma:.2g}$\\,\\times\\,10^{{-6}}$"
    )


def _words(found: Outlook, head: str) -> str:
    data = data_labels(found.measurements)
    more = f" with {', '.join(plain(x) for x in found.expected)}" if found.expected else ""
    rule = RULES[found.systematics].replace("1/sqrt(k)", "1/√k")
    return f"{head}; {data}{more} projected; with k times the luminosity {rule}"
