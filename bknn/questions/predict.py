"""`bknn predict`: branching fractions, spectra, polarisation of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from bknn import errors, precision
from bknn.answers.digits import in_digits
from bknn.questions.compare import FromFits, measured_json, measured_table, verdict
from bknn.questions.shared import build, output, progress, values
from bknn.questions.shared.heading import counted
from bknn.questions.shared.kinds import Bounds, Numbers, Regions, Texts
from bknn.questions.shared.numbers import number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.question import (
    OfAnalysis,
    OfModel,
    bounds_option,
    given,
    option,
    without_option,
)
from bknn.storage.identity import digests, of_model, parts
from bknn.storage.machine import versions
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.studies.observables.quantities import Quantity


@dataclass(frozen=True, kw_only=True)
class Asked(FromFits, OfModel):
    """What may be asked of predictions."""

    name = "predict"
    summary = "branching fractions, spectra, polarisation of a model"
    description = (
        "Predict observables of a model at a point of its parameters, with the uncertainty of form "
        "factors and inputs; or, with --fit, where data leave it, with the uncertainty of "
        "everything."
    )
    examples = """\
bknn predict sm --channel "B+ -> K+" "B0 -> K*0"
bknn predict vector --set mass=2.1 h_V=7e-9 --observable branching_ratio f_l \\
    --channel "B+ -> K*+"
bknn predict wet --set C_TL=8 --observable f_l --channel "B0 -> K*0" --q2 0,4 4,8 8,16
bknn predict sm --observable dbr_dq2 --q2 1 5 10 --form-factors hpqcd-2022 --out results/
bknn predict vector --set mass=2.1 h_T=4.8e-9 --part new
bknn predict vector --basis chiral --fit belle2-2025 babar-2013 --fix mass=2.1
bknn predict vector --basis chiral --fit belle2-2025 --fix mass=2.1 --observable f_l \\
    --channel "B0 -> K*0" --around 0.5 1 2 --from posterior
"""

    set: Numbers = option(
        "the point; the start elsewhere, but couplings that are not named are 0 once one is",
        {},
        keyword="",
    )
    fit: Texts = option(
        "data to fit first, as --data of `bknn fit`",
        (),
        metavar="SET",
        files="data set",
        keyword="",
    )
    without: Texts = without_option()
    fix: Numbers = option("with --fit: keep parameters at values", {}, keyword="")
    observable: Texts = option(
        "branching_ratio, dbr_dq2, f_l, r_k, r_kstar, r_phi, r_f_l, or a derived quantity",
        (),
        shown="branching_ratio; with --fit, what tells scenarios apart",
        keyword="",
    )
    channel: Texts = option(
        '"B+ -> K+", "B0 -> K0", "B+ -> K*+", "B0 -> K*0", "Bs -> phi", "Bs -> invisible"',
        (),
        metavar="CHANNEL",
        shown='"B+ -> K+"',
        keyword="",
    )
    q2: Regions = option(
        "bins A,B or points A in GeV^2", (), shown="all of phase space", keyword=""
    )
    bounds: Bounds = bounds_option()
    part: str = option(
        "'all', or 'new' for the new state alone, without the standard model",
        "all",
        metavar="PART",
    )

    def plan(self, desk: Desk) -> Plan:
        regions = [values.region(text) for text in self.q2]
        if self.fit:
            if self.set:
                name, value = next(iter(self.set.items()))
                raise errors.ParameterError(
                    "--set is the point of a prediction without a fit; with --fit parameters are "
                    f"kept by --fix, as in --fix {name}={value:g}."
                )
            return self._plan_of_fit(regions, desk)
        # A card says what floats, and which data are used, for all its questions.
        on_card = desk.kept is not None
        names = ("fix", "around", "source", *(() if on_card else ("free", "bounds", "without")))
        for name in given(names, self):
            flag = "--from" if name == "source" else f"--{name}"
            hint = "; the point is set by --set" if name == "fix" else ""
            raise errors.ParameterError(
                f"{flag} is about a fit{hint}; say to what data with --fit, as in --fit "
                "belle2-2025."
            )
        precision.prepare()
        from bknn.parameters import point as values_at

        model = build.model(self)
        rows, absent = self._values(model, regions)
        params = values_at(model, self.set)
        files = ("prediction_*.nc",) if desk.figures else ()
        return Plan(
            (model, rows, absent, params), of_model(model), {"predictions": len(rows)}, files
        )

    def answer(self, desk: Desk) -> int:
        """Predict, print, write."""
        if self.fit:
            return self._measured(desk)
        model, rows, absent, params = self.planned(desk).made
        out = desk.folder()
        print(predictions_table(model, rows, params, absent))
        if out is not None:
            from bknn.studies.observables.spectra import all_spectra

            drawn = [row["channel"] for row in rows if row["channel"]]
            print()
            content = predictions_json(model, rows, params, absent=absent, settings=self.record())
            spectra = all_spectra(model, self.set, drawn) if desk.figures else []
            output.write(out, content, {x.stem: x for x in spectra}, desk.figures)
        return 0

    def _values(
        self, model: Any, regions: Sequence[tuple[float, float] | float]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What the model predicts at the point, and what it does not.

        Raises:
            UndefinedError: it predicts nothing of what is asked.
        """
        from bknn.prediction import derived_quantities, predict, predict_derived

        rows: list[dict[str, Any]] = []
        absent: list[dict[str, Any]] = []
        problems: list[errors.UndefinedError] = []
        channels, observables = self.channel or ["B+ -> K+"], self.observable or ["branching_ratio"]
        where: Sequence[Any] = regions or [None]
        derived = [name for name in observables if name in derived_quantities(model)]
        for made in predict_derived(model, derived, self.set) if derived else ():
            name = made.observable
            numbers = {"value": float(made.value), "uncertainty": float(made.uncertainty)}
            rows.append({"observable": name, "channel": None, "q2": None, "part": "all", **numbers})
        others = [name for name in observables if name not in derived]
        for channel, observable, region in product(channels, others, where):
            q2 = region if isinstance(region, tuple) or region is None else (region, region)
            row: dict[str, Any] = {
                "observable": observable,
                "channel": channel,
                "q2": None if q2 is None else list(q2),
                "part": self.part,
            }
            try:
                found = predict(model, observable, channel, self.set, region, part=self.part)
            except errors.UndefinedError as error:
                absent.append({**row, "reason": str(error)})
                problems.append(error)
                continue
            row["value"], row["uncertainty"] = float(found.value), float(found.uncertainty)
            rows.append(row)
        if not rows:
            raise problems[0]
        return rows, absent

    def _plan_of_fit(self, regions: Sequence[tuple[float, float] | float], desk: Desk) -> Plan:
        shared = {one.name: getattr(self, one.name) for one in OfModel.options()}
        asked = OfAnalysis(**shared, data=self.fit, without=self.without, bounds=self.bounds)
        analysis = build.analysis(asked, desk, self.fix)

        from bknn.studies.compare import existing

        quantities, absent = existing(analysis.model, self._quantities(regions))
        build.look(analysis, self.fix)
        does = {"fits": 1, "predictions": len(quantities)}
        files = ("predictions.nc", "spectra.nc")[: 2 if desk.figures else 1]
        return Plan((analysis, quantities, absent), parts(analysis), does, files)

    def _measured(self, desk: Desk) -> int:
        """Fit, predict, print, write."""
        from bknn.studies.compare import fitted
        from bknn.studies.observables.spectra import fitted_spectra

        analysis, quantities, absent = self.planned(desk).made
        out = desk.folder()
        source = self.source or "profile"
        with progress.bar("predictions", None, "steps") as done:
            best, found = fitted(
                analysis, quantities, self.fix, method=source, seed=self.seed, progress=done
            )
        print(measured_table(best, found))
        for quantity, reason in absent.items():
            print(f"not there        {quantity}: {reason}")
        if out is not None:
            settings = {
                **self.record(),
                "source": source,
                "observables": [str(q) for q in quantities],
                "absent": {str(q): reason for q, reason in absent.items()},
            }

            print()
            output.write(
                out,
                measured_json(best, found, settings=settings),
                {
                    "predictions": found,
                    "spectra": fitted_spectra({analysis.model.name: best})
                    if desk.figures
                    else None,
                },
                desk.figures,
            )
        return verdict({analysis.model.name: best})

    def _quantities(self, regions: Sequence[tuple[float, float] | float]) -> list[Quantity]:
        """What is asked of a fit: every combination, or what tells scenarios apart."""
        from bknn.prediction import OBSERVABLES
        from bknn.studies.compare import TELLING
        from bknn.studies.observables.quantities import Quantity

        where: list[dict[str, Any]] = [{"q2": region} for region in regions]
        where += [{"around": half} for half in self.around]
        asked = self.observable or ["branching_ratio"]
        derived = [Quantity(name) for name in asked if name not in OBSERVABLES]
        pairs = [
            (channel, observable)
            for channel in self.channel or ["B+ -> K+"]
            for observable in asked
            if observable in OBSERVABLES
        ]
        if not (self.channel or self.observable or where):
            pairs = [(q.channel, q.observable) for q in TELLING]
        places = where or [{}]
        return derived + [Quantity(o, c, part=self.part, **p) for c, o in pairs for p in places]


# What is said and written ---------------------------------------------------------------------


def predictions_json(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    params: Mapping[str, float],
    *,
    absent: Sequence[Mapping[str, Any]] = (),
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for predictions; `docs/result.md` describes it.

    A prediction is {"observable", "channel", "q2", "part", "value", "uncertainty"}; a point is a
    bin [q2, q2] without width. What does not exist is in `absent`, with "reason".
    """
    return {
        "command": "predict",
        "model": model.name,
        "parameters": dict(params),
        "predictions": [
            {**row, "value": number(row["value"]), "uncertainty": number(row["uncertainty"])}
            for row in rows
        ],
        "absent": [dict(row) for row in absent],
        "provenance": {
            **versions(),
            "settings": dict(settings),
            "computation": digests(of_model(model)),
            "form_factors": {
                t: {"set": s.name, "source": s.source}
                for t, s in getattr(model, "form_factors", {}).items()
            },
            "inputs": getattr(getattr(model, "inputs", None), "name", None),
        },
    }


def predictions_table(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    params: Mapping[str, float],
    absent: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the table that `bknn predict` prints."""
    from bknn.prediction import PARTS

    lines = []
    for row in rows:
        value, error = in_digits(row["value"], row["uncertainty"])
        lines.append((row["observable"], *_place(row), value, error))
    head = ("observable", "channel", "q2 / GeV^2", "value", "uncertainty")
    said = [f"{model.name}: {model.description}"]
    if rows and rows[0]["part"] != "all":
        said.append(f"part: {rows[0]['part']}, {PARTS[rows[0]['part']]}")
    said += ["", point_table(model, params), "", table(head, lines)]
    if absent:
        said += ["", "not there"]
        said += [f"  {', '.join([x['observable'], *_place(x)])}: {x['reason']}" for x in absent]
    return "\n".join(said)


def point_table(model: Any, params: Mapping[str, float]) -> str:
    """Return a table of all values of parameters that were used; form factors that are not there
    are at their central values."""
    units = {p.name: p.unit for p in model.parameters}
    zeros = [name for name, x in params.items() if x == 0]
    many = len(zeros) > _MANY
    rows = [
        (name, f"{float(x):g}", units.get(name, ""))
        for name, x in params.items()
        if not (many and x == 0)
    ]
    if many:
        rows.append((f"{zeros[0]}, {zeros[1]}, ...", "0", f"({counted(len(zeros), 'parameter')})"))
    return table(("parameter", "value", "unit"), rows) if rows else "no parameters"


#: More zeros than this are one row.
_MANY = 12


def _place(row: Mapping[str, Any]) -> tuple[str, str]:
    """Channel and region of q2; empty for a derived quantity."""
    return (row["channel"], _where(row["q2"])) if row["channel"] else ("", "")


def _where(q2: Sequence[float] | None) -> str:
    if q2 is None:
        return "all"
    a, b = q2
    return f"{a:g}" if a == b else f"{a:g} ... {b:g}"
