"""Everything that bknn raises on purpose.

A message is a sentence or two: what is wrong, where (file, channel, sample, bin), why it
matters and what to do. The command line prints it without a traceback and exits with 2.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable


class BknnError(Exception):
    """Base of all errors that bknn raises on purpose."""


class WorkspaceError(BknnError):
    """A HistFactory workspace that is not one, or that contradicts itself."""


class DataError(BknnError):
    """A data set that is missing, damaged, or does not fit together."""


class UnknownNameError(BknnError, KeyError):
    """A model, data set, channel, parameter or option that does not exist."""

    # KeyError would print the repr of the message, quotes and all.
    __str__ = Exception.__str__


class ParameterError(BknnError, ValueError):
    """A parameter value, shape or bound that makes no sense."""


class UndefinedError(ParameterError):
    """An observable that a decay or a model does not have, or that is not defined where it is
    asked for."""


class PrecisionError(BknnError):
    """The computation needs double precision and JAX runs in single."""


class FitError(BknnError):
    """A fit that did not converge, where a converged one is needed."""


class NotKeptError(BknnError, AttributeError):
    """Something that needs the analysis, of a result that was read from a file."""


class RunError(BknnError):
    """A run that cannot begin, go on, or be written."""


class DataWarning(UserWarning):
    """Something in the data that changes nothing, though whoever wrote it may think it does."""


def warn(message: str) -> None:
    """Warn of something in the data; the shell shows it as one line."""
    warnings.warn(message, DataWarning, stacklevel=3)


def unknown(
    kind: str, name: str, known: Iterable[str], where: str = "", more: Iterable[str] = ()
) -> UnknownNameError:
    """Return the error for an unknown name, with close matches first.

    Names in `more` (hundreds of nuisances) are matched too, but not listed.

    >>> print(unknown("model", "resonence", ["resonance", "signal-strength"]))
    unknown model 'resonence'; did you mean 'resonance'? Known: resonance, signal-strength.
    """
    known, more = sorted(known), sorted(set(more) - {name})
    close = difflib.get_close_matches(name, sorted({*known, *more}), n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else "."
    shown = known if len(known) <= 12 else [*known[:12], f"... ({len(known)} in all)"]
    place = f" in {where}" if where else ""
    rest = f" (and {len(more)} nuisance parameters)" if more else ""
    return UnknownNameError(
        f"unknown {kind} {name!r}{place}{hint} Known: {', '.join(shown)}{rest}."
    )
