"""What can be asked of a model: observables, channels, regions of q2 that make no sense."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bknn import errors, probe
from bknn.channels import CHANNELS, Channel
from bknn.channels import channel as find_channel
from bknn.kinematics import known
from bknn.parameters import point
from bknn.prediction.derived import check_quantity, derived_quantities
from bknn.prediction.integrals import Q2, TEMPLATE, pieces
from bknn.prediction.parts import PARTS, knows_standard_model, spectrum_of, takes

#: Observables and what they are.
OBSERVABLES: Mapping[str, str] = {
    "branching_ratio": "branching fraction, of a q2 bin or in all",
    "dbr_dq2": "differential branching fraction at q2, GeV^-2 (lines without a width left out)",
    "f_l": "longitudinal fraction of the vector meson, of a q2 bin, at q2, or in all",
    "r_k": "branching fraction of B -> K over the standard model's",
    "r_kstar": "branching fraction of B -> K* over the standard model's",
    "r_phi": "branching fraction of Bs -> phi over the standard model's",
    "r_f_l": "longitudinal fraction over the standard model's",
}


def check(
    model: Any,
    observable: str,
    channel: str,
    q2: Q2 = None,
    *,
    part: str = "all",
    end: float | None = None,
    free: Container[str] = (),
) -> None:
    """Refuse what makes no sense, with the reason.

    Args:
        model, observable, channel, q2, part: as for `predict`.
        end: of the q2 at which data ask for the spectrum, GeV^2; of phase space by default.
        free: parameters that float although the model keeps them fixed.

    Raises:
        UnknownNameError, UndefinedError, ParameterError: as for `predict`.
    """
    where = find_channel(channel)
    if observable in derived_quantities(model):
        _check_derived(model, observable, q2, part)
        return
    if observable not in OBSERVABLES:
        known = [*OBSERVABLES, *derived_quantities(model)]
        raise errors.unknown("observable", observable, known)
    if part not in PARTS:
        raise errors.unknown("part", part, PARTS)
    _check_combination(observable, where, q2)
    _check_region(observable, q2)
    _check_model(model, where, end, free)
    if observable in ("f_l", "r_f_l") and not takes(model, "longitudinal"):
        raise errors.UndefinedError(
            f"model {model.name!r} says nothing about {observable!r}, because its `spectrum` does "
            "not take `longitudinal`; with longitudinal=True it must return the decays with the "
            "vector meson in helicity 0."
        )
    if part == "new":
        _check_new(model, where)
    if observable not in ("branching_ratio", "dbr_dq2"):
        _check_inside(model, observable, where, q2)


def check_point(model: Any, values: Mapping[str, Any], *, remarks: bool = True) -> None:
    """Refuse values of parameters that make no sense together, and warn of what must be known, if
    the model says so (`check`, `remarks`) and all of them are known.

    Raises:
        ParameterError: from the model.
    """
    if not (hasattr(model, "check") or hasattr(model, "remarks")) or not known(*values.values()):
        return
    numbers = {name: float(np.asarray(x)) for name, x in values.items()}
    if hasattr(model, "check"):
        model.check(numbers)
    if remarks and hasattr(model, "remarks"):
        for sentence in model.remarks(numbers):
            errors.warn(sentence)


def _check_derived(model: Any, name: str, q2: Q2, part: str) -> None:
    """Refuse a derived quantity of a region of q2, or of a part of a rate."""
    if q2 is not None or part != "all":
        what = f"part={part!r}" if q2 is None else f"q2 = {q2}"
        raise errors.UndefinedError(
            f"{name!r} of model {model.name!r} is a number that its parameters make, not a rate; "
            f"leave out {what}."
        )
    check_quantity(model, name)


def _check_region(observable: str, q2: Q2) -> None:
    """Refuse a q2 that is none."""
    if isinstance(q2, tuple):
        if observable == "dbr_dq2":
            raise errors.UndefinedError(
                f"'dbr_dq2' is asked for in a bin {q2}, but it is a function of q2; give one q2 or "
                "an array, or ask for 'branching_ratio'."
            )
        if not known(q2):
            return
        if len(q2) != 2 or not 0.0 <= q2[0] < q2[1]:
            raise errors.ParameterError(
                f"q2 = {q2} is not a bin; give (lower, upper) in GeV^2 with 0 <= lower < upper."
            )
    elif q2 is None:
        if observable == "dbr_dq2":
            raise errors.UndefinedError("'dbr_dq2' needs q2, a number or an array in GeV^2.")
    elif observable not in ("dbr_dq2", "f_l", "r_f_l"):
        raise errors.UndefinedError(
            f"{observable!r} is asked for at a point; give a bin (lower, upper) in GeV^2, or no q2 "
            "for all of phase space."
        )
    elif known(q2):
        points = np.asarray(q2, float)
        bad = points[~(np.isfinite(points) & (points >= 0.0))]
        if bad.size:
            raise errors.ParameterError(
                f"q2 = {bad.flat[0]:g} GeV^2 is no squared mass; give numbers that are not "
                "negative."
            )


def _check_combination(observable: str, where: Channel, q2: Q2) -> None:
    """Refuse an observable that a decay does not have."""
    if observable in ("f_l", "r_f_l") and not where.vector:
        raise errors.UndefinedError(
            f"{observable!r} is the polarisation of a vector meson, and {where.name!r} has none; "
            f"choose one of {', '.join(c.name for c in CHANNELS.values() if c.vector)}."
        )
    if observable in ("r_k", "r_kstar", "r_phi") and observable != where.ratio:
        fitting = [c.name for c in CHANNELS.values() if c.ratio == observable]
        other = f", or {where.ratio!r}" if where.ratio in OBSERVABLES else ""
        raise errors.UndefinedError(
            f"{observable!r} is a ratio of {' or '.join(fitting)}, not of {where.name!r}; choose "
            f"one of them{other}."
        )
    if where.daughter is None and (observable != "branching_ratio" or q2 is not None):
        raise errors.UndefinedError(
            f"{where.name!r} has one q2, m_Bs^2, so that {observable!r} of a q2 range is not "
            "defined; ask for 'branching_ratio' without q2."
        )


def _check_model(model: Any, where: Channel, end: float | None, free: Container[str]) -> None:
    """Refuse a decay that a model says nothing about, and spectra that are none."""
    if knows_standard_model(model):  # form factors of all decays
        if where.daughter is not None:
            last = pieces(model, where)[-1]
            if known(last):
                probe.look_at(model, where.name, max(float(np.asarray(last)), end or 0.0), free)
        return
    if where.name != TEMPLATE and probe.traced(model, where.name).uses_template:
        raise errors.UndefinedError(
            f"model {model.name!r} multiplies the standard-model template of {TEMPLATE!r} and "
            f"says nothing about {where.name!r}; a model with couplings ('vector', 'wet', ...) "
            "predicts all channels, and one of your own does where its `spectrum` has the standard "
            "model in the continuum."
        )
    probe.look_at(
        model, where.name, max(float(np.asarray(pieces(model, where)[-1])), end or 0.0), free
    )


def _check_new(model: Any, where: Channel) -> None:
    """Refuse to tell what is new from the standard model where that cannot be done."""
    if takes(model, "part"):
        # Only the model knows.
        values = point(model, {})
        jax.eval_shape(lambda: jnp.zeros(len(_spectrum_lines(model, values, where))))
        return
    found = probe.traced(model, where.name)
    if found.continuum is not None and not found.uses_template:
        raise errors.UndefinedError(
            f"the continuum of model {model.name!r} may hold the standard model, so that what is "
            "new cannot be told apart; let its `spectrum` take `part`, and leave the standard "
            "model out where part='new'."
        )
    if found.continuum is None and not found.lines:
        raise errors.UndefinedError(
            f"model {model.name!r} has nothing beyond the standard model; leave out `part`."
        )


def _spectrum_lines(model: Any, values: Mapping[str, Any], where: Channel) -> tuple[Any, ...]:
    return spectrum_of(model, values, where.name, part="new").lines


def _check_inside(model: Any, observable: str, where: Channel, q2: Q2) -> None:
    """Refuse polarisations and ratios beyond the end of phase space."""
    last = pieces(model, where)[-1]
    if q2 is None or not known(last, q2):
        return
    last = float(np.asarray(last))
    lowest = q2[0] if isinstance(q2, tuple) else np.max(np.asarray(q2, float), initial=0.0)
    if lowest >= last:
        what = f"in the bin {q2}" if isinstance(q2, tuple) else f"at q2 = {lowest:g} GeV^2"
        raise errors.UndefinedError(
            f"{observable!r} of {where.name!r} is not defined {what}, where nothing decays: phase "
            f"space ends at {last:.4g} GeV^2."
        )
