"""The nuisances of a posterior, each beside its constraint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from bknn import errors
from bknn.inference.posteriors.hdi import highest_density
from bknn.plot.fits.nuisances import Ranges, constraints, draw
from bknn.plot.posteriors.corner import LEVELS, caption

if TYPE_CHECKING:
    from bknn.inference.posteriors.posterior import Posterior


def forest(posterior: Posterior) -> Figure:
    """Draw the 68% and 95% highest-density intervals of each nuisance in units of its constraint.

    Grey is what was known before: one and two widths of the constraint. A thick bar from -1 to 1
    around 0 means that the data said nothing. Those whose median was pulled by more than one width
    are diamonds. Parameters stand where `nuisances` has them.

    Raises:
        ParameterError: no constrained parameter floated.
    """
    analysis = posterior.analysis
    index, centre, width = constraints(analysis, analysis.data)
    floats = np.asarray(posterior.moving)[index]
    index, centre, width = index[floats], centre[floats], width[floats]
    if not index.size:
        raise errors.ParameterError(
            f"{analysis!r} has no constrained parameter that floats, so there is no forest to draw."
        )
    scaled = (np.asarray(posterior.flat)[:, index] - centre) / width
    inner, outer = (
        np.array([highest_density(column, level) for column in scaled.T]) for level in LEVELS
    )
    found = Ranges(
        index, np.median(scaled, axis=0), 0.5 * (inner[:, 1] - inner[:, 0]), inner, outer
    )
    return draw(
        analysis,
        found,
        lambda wide, *extra: caption(posterior, wide, *extra),
        "(posterior − centre) / prior width",
    )
