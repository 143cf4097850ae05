"""WCxf files (arXiv:1712.05298): Wilson coefficients in, also from other scales through `wilson`.

A file names its effective theory, basis and scale. `load` takes what b -> s nu nubar is computed
with, WET at m_b in the basis of flavio or of EOS, and says what is wrong with anything else; `run`
brings other scales, bases and the SMEFT there. Files are written by `WilsonCoefficients.save`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bknn import errors
from bknn.models.wilson_coefficients import (
    EOS_NAMES,
    EOS_PATTERNS,
    FLAVIO_SCALE,
    HIGHEST_SCALE,
    LOWEST_SCALE,
    OPERATORS,
    ROUNDING,
    Normalisation,
    WilsonCoefficients,
    flavio_names,
    need,
    number_of,
    scale_at_mb,
    shown,
)
from bknn.reading import user_files

__all__ = [
    "OPERATORS",
    "Normalisation",
    "WilsonCoefficients",
    "at_mb",
    "from_smeft",
    "load",
    "run",
]

#: So many coefficients of a file stand in messages.
_SHOWN = 4


def load(source: Any) -> WilsonCoefficients:
    """Read Wilson coefficients: EFT `WET`, basis `flavio` or `EOS`, at m_b (4 to 5 GeV).

    Args:
        source: path of a WCxf file (JSON, or YAML with PyYAML installed), its content as a dict,
            or an object of the packages wilson and flavio (`WC`, `Wilson`, `WilsonCoefficients`).
            Coefficients that were read already pass through.

    Coefficients of other sectors do not enter b -> s nu nubar; their names are in `.ignored`. A
    file that has no others is the standard model, which its `.note` says.

    Raises:
        DataError: not a WCxf file; another EFT, basis, sector or scale; a value that is no number.
        UnknownNameError: a name that looks like one of this sector and is none.

    Example:
        >>> load({"eft": "WET", "basis": "flavio", "scale": 4.8,
        ...       "values": {"CR_bsnuenumu": {"Re": 1.0, "Im": -0.5}}})
        WilsonCoefficients(scale=4.8, C_Lp[mu, e]=1-0.5j)
    """
    if isinstance(source, WilsonCoefficients):
        return source
    document = _Document.read(source)
    if document.eft != "WET":
        raise errors.DataError(
            f"{document.where} is of the EFT {document.eft!r}; {_advice(document)}"
        )
    if document.basis not in ("flavio", "EOS"):
        raise errors.DataError(
            f"{document.where} is in the basis {document.basis!r}, and bknn reads flavio and EOS; "
            "translate it with bknn.models.wcxf.run(...)."
        )
    if not LOWEST_SCALE <= document.scale <= HIGHEST_SCALE:
        raise errors.DataError(
            f"{document.where} is at {document.scale:g} GeV, far from m_b ({LOWEST_SCALE:g} to "
            f"{HIGHEST_SCALE:g} GeV); run it to {FLAVIO_SCALE} GeV with bknn.models.wcxf.run(...)."
        )
    matrices, ignored = document.matrices()
    return document.coefficients(matrices, document.scale, ignored)


def at_mb(source: Any, inputs: Any) -> WilsonCoefficients:
    """Return coefficients for a model with these inputs: as `load` reads them, or, of another basis
    or scale or of the SMEFT, `run` to m_b.

    Raises:
        DataError, UnknownNameError: as for `load` and `run`.
    """
    if isinstance(source, WilsonCoefficients):
        return source
    document = _Document.read(source)
    if document.eft == "SMEFT" or (document.eft == "WET" and not document.readable):
        return run(source, inputs=inputs)
    return load(source)


def run(
    source: Any,
    scale: float = FLAVIO_SCALE,
    *,
    inputs: Any = None,
    parameters: Mapping[str, float] | None = None,
) -> WilsonCoefficients:
    """Bring coefficients of another scale, basis or EFT to m_b with the wilson package.

    Args:
        source: as in `load`, with the EFT SMEFT (the scale of new physics) or WET, in any basis
            that wilson translates to flavio's; or `WilsonCoefficients`.
        scale: where to, GeV.
        inputs: the inputs of the model that will use the result. Coefficients in GeV^-2 (all but
            those of the flavio basis) are divided by *its* G_F, alpha and |V_tb V_ts*|; without
            it by wilson's, which are alpha = 1/127.9 and 0.04134.
        parameters: changes of wilson's parameters ("Vcb", "alpha_e", ...).

    Phases of entries between different flavours mean nothing after SMEFT running: neutrinos are
    massless there, and wilson fixes the phases of leptons as it happens (wilson's issue 63).

    Raises:
        DataError: wilson is not installed, or does not take these coefficients.
    """
    scale_at_mb(scale, "the result of running")
    if isinstance(source, WilsonCoefficients):
        source = source.to_dict("flavio")
    document = _Document.read(source)
    if document.eft not in ("SMEFT", "WET"):
        raise errors.DataError(
            f"{document.where} is of the EFT {document.eft!r}; {_advice(document)}"
        )
    eft, basis, values = document.eft, document.basis, document.numbers()
    if basis == "EOS":  # wilson's EOS basis has no sbnunu
        matrices, ignored = document.matrices()
        values = WilsonCoefficients(matrices, FLAVIO_SCALE, ignored)._flavio()
        basis = "flavio"
    wilson = need("wilson", "running and matching Wilson coefficients", "bknn[wilson]")
    try:
        point = wilson.Wilson(values, scale=document.scale, eft=eft, basis=basis)
        point.set_option("parameters", dict(parameters or {}))
        found = point.match_run(scale, eft="WET", basis="flavio", sectors=("sbnunu",))
    except (AssertionError, AttributeError, KeyError, ValueError) as error:
        raise errors.DataError(
            f"{document.where} ({eft}, basis {basis}, {document.scale:g} GeV) is not what the "
            f"package wilson can run to WET: {str(error).strip().rstrip('.')}."
        ) from error
    read = load(found)
    result = document.coefficients(read.matrices, read.scale, read.ignored)
    if inputs is None or basis == "flavio":
        return result
    return result.rescaled(_wilson_normalisation(point.parameters), inputs)


def from_smeft(
    values: Mapping[str, complex],
    scale: float,
    *,
    basis: str = "Warsaw",
    inputs: Any = None,
    parameters: Mapping[str, float] | None = None,
) -> WilsonCoefficients:
    """Match SMEFT coefficients (GeV^-2, at `scale` in GeV) and run them to 4.8 GeV; see `run`.

    At tree level and without running (arXiv:1409.4557)

        C_L[a, b] = N (C_lq1 - C_lq3 + d_ab (C_phiq1 + C_phiq3)),  C_Lp = N (C_ld + d_ab C_phid),
        N = sqrt2 pi / (2 G_F alpha V_tb V_ts*)

    with C_lq[a, b] = `lq1_ab23` in wilson's names.
    """
    document = {"eft": "SMEFT", "basis": basis, "scale": scale, "values": dict(values)}
    return run(document, inputs=inputs, parameters=parameters)


@dataclass(frozen=True)
class _Document:
    """A WCxf file that was read: types are right, names and numbers are not looked at yet."""

    where: str
    eft: str
    basis: str
    scale: float
    values: Mapping[str, Any]

    @classmethod
    def read(cls, source: Any) -> _Document:
        where = "the WCxf content"
        if isinstance(source, (str, os.PathLike)):
            where = str(Path(source))
            content = _parse(Path(source))
        else:
            content = source
        if not isinstance(content, Mapping):
            held = getattr(content, "wc", content)  # Wilson and flavio hold a WC
            content = {key: getattr(held, key, None) for key in ("eft", "basis", "scale", "values")}
            where = f"the {type(source).__name__}"
        missing = [k for k in ("eft", "basis", "scale", "values") if content.get(k) is None]
        if missing:
            raise errors.DataError(
                f"{where} is not in WCxf: it has no {', '.join(missing)}; give eft, basis, scale "
                "and values (arXiv:1712.05298)."
            )
        if not isinstance(content["values"], Mapping):
            raise errors.DataError(f"{where}: `values` must be a mapping {{name: number}}.")
        scale = number_of(content["scale"], "scale", where)
        if scale.imag != 0 or scale.real <= 0:
            raise errors.DataError(
                f"{where}: the scale {content['scale']} is not a positive number of GeV."
            )
        names = {str(name): value for name, value in content["values"].items()}
        return cls(where, str(content["eft"]), str(content["basis"]), scale.real, names)

    @property
    def readable(self) -> bool:
        """Whether b -> s nu nubar can be computed with it as it is."""
        at_mb = LOWEST_SCALE <= self.scale <= HIGHEST_SCALE
        return self.eft == "WET" and self.basis in ("flavio", "EOS") and at_mb

    def coefficients(
        self, matrices: Mapping[str, Any], scale: float, ignored: tuple[str, ...]
    ) -> WilsonCoefficients:
        """Return what was found in it."""
        names = [name for name in self.values if name not in ignored]
        if len(names) > _SHOWN:
            names = [*names[:_SHOWN], f"... ({len(names)} in all)"]
        origin = f"{self.where} ({', '.join(names)})" if names else self.where
        found = WilsonCoefficients(matrices, scale, ignored, origin)
        if found.matrices:
            return found
        note = (
            f"{self.where} has no coefficient of b -> s nu nubar (sector sbnunu, EFT {self.eft}, "
            f"basis {self.basis}) that is not 0, so it means the standard model here."
        )
        return replace(found, note=note)

    def numbers(self) -> dict[str, complex]:
        return {name: number_of(value, name, self.where) for name, value in self.values.items()}

    def matrices(self) -> tuple[dict[str, NDArray[np.complex128]], tuple[str, ...]]:
        """The sector sbnunu, and the names of other sectors."""
        known = _flavio_terms() if self.basis == "flavio" else _eos_terms()
        mark = "bsnu" if self.basis == "flavio" else "sbnunu"
        ours: dict[str, NDArray[np.complex128]] = {}
        ignored = []
        for name, number in self.numbers().items():
            if name not in known:
                if mark in name:
                    raise errors.unknown(f"{self.basis} coefficient", name, known, self.where)
                ignored.append(name)
                continue
            whole = name.replace("Re{", "").replace("Im{", "").replace("}", "")
            if name != whole and abs(number.imag) > ROUNDING * abs(number):
                raise errors.DataError(
                    f"{self.where}: {name} is the real or imaginary part of a coefficient, but its "
                    f"value {shown(number)} is complex; give two real numbers."
                )
            if name != whole and whole in self.values:
                raise errors.DataError(
                    f"{self.where} has both {name} and {whole}, which is the same coefficient; "
                    "keep one."
                )
            if name != whole:
                number = complex(number.real)
            matrix, term = known[name]
            ours[matrix] = ours.get(matrix, 0) + number * term
        return ours, tuple(ignored)


def _flavio_terms() -> dict[str, tuple[str, NDArray[np.complex128]]]:
    """{name in the file: (matrix, what one unit adds to it)}"""
    unit = np.eye(9, dtype=complex).reshape(3, 3, 3, 3)
    return {name: (matrix, unit[a, b]) for name, (matrix, a, b) in flavio_names().items()}


def _eos_terms() -> dict[str, tuple[str, NDArray[np.complex128]]]:
    """The same, with EOS's names in WCxf (complex) and those of its parameters (two real ones)."""
    terms = {}
    for matrix, eos in EOS_NAMES.items():
        name, pattern = f"c{eos[2:]}", EOS_PATTERNS[matrix].astype(complex)
        terms[f"sbnunu::{name}"] = terms[f"sbnunu::Re{{{name}}}"] = (matrix, -pattern)
        terms[f"sbnunu::Im{{{name}}}"] = (matrix, -1j * pattern)
    return terms


def _parse(path: Path) -> Any:
    if path.suffix in (".yaml", ".yml"):
        need("yaml", f"{path}", "pyyaml")
        content = user_files.from_yaml(
            user_files.content(path, most=user_files.MOST_YAML), str(path)
        )
    else:
        try:
            content = user_files.read_json(path)
        except errors.DataError as error:
            raise errors.DataError(f"{error} A WCxf file in YAML ends in .yaml or .yml.") from None
    if not isinstance(content, Mapping):
        raise errors.DataError(f"{path} is not in WCxf: it does not hold a mapping.")
    return content


def _advice(document: _Document) -> str:
    if document.eft == "SMEFT":
        return "match and run it to m_b with bknn.models.wcxf.run(...)."
    if document.eft.startswith("WET-"):
        return "there is no b quark in it, hence no b -> s nu nubar; give the EFT WET at m_b."
    return "b -> s nu nubar needs WET at m_b, or SMEFT through bknn.models.wcxf.run(...)."


def _wilson_normalisation(parameters: Mapping[str, float]) -> Normalisation:
    ckm_tree = need("ckmutil.ckm", "running Wilson coefficients", "bknn[wilson]").ckm_tree
    v = ckm_tree(*(parameters[name] for name in ("Vus", "Vub", "Vcb", "gamma")))
    return Normalisation(parameters["GF"], parameters["alpha_e"], abs(v[2, 2] * v[2, 1]))
