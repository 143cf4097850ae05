"""Wilson coefficients of b -> s nu nubar: flavour matrices, and the basis of EOS.

Everything here is new physics alone, as in WCxf files (`bknn.models.wcxf`); models add the standard
model. The effective Hamiltonian, with a the flavour of the field nubar and b that of nu, is

    H = -(4 G_F/sqrt2) V_tb V_ts* (alpha/4pi) sum_i sum_ab C_i[a, b] O_i[a, b] + h.c.

with flavio's operators for left-handed neutrinos and their like for the others. EOS writes
H = +(4 G_F/sqrt2) V_tb V_ts* (alpha/2pi) sum C O with P_L nu for (1 - g5) nu, so that
**C(EOS) = -C(here)** for every operator that both have, and C_VL(EOS) also holds the standard
model, X_t/s_w^2. docs/wilson_coefficients.md has the derivation and the traps.
"""

from __future__ import annotations

import cmath
import importlib
import json
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bknn import errors
from bknn.storage.files import replacing as replacing_file
from bknn.version import VERSION

__all__ = ["OPERATORS", "Normalisation", "WilsonCoefficients", "flavio_names"]

#: What the entry [a, b] of each matrix multiplies; "nu^c" is the charge conjugate of nu_L.
OPERATORS = {
    "C_L": "(sbar g_mu P_L b)(nubar_a g^mu (1-g5) nu_b)",
    "C_Lp": "(sbar g_mu P_R b)(nubar_a g^mu (1-g5) nu_b)",
    "C_R": "(sbar g_mu P_L b)(nubar_a g^mu (1+g5) nu_b)",
    "C_Rp": "(sbar g_mu P_R b)(nubar_a g^mu (1+g5) nu_b)",
    "C_SLL": "(sbar P_L b)(nubar_a (1-g5) nu_b)",
    "C_SLR": "(sbar P_L b)(nubar_a (1+g5) nu_b)",
    "C_SRL": "(sbar P_R b)(nubar_a (1-g5) nu_b)",
    "C_SRR": "(sbar P_R b)(nubar_a (1+g5) nu_b)",
    "C_TLL": "(sbar sigma_mn P_L b)(nubar_a sigma^mn (1-g5) nu_b)",
    "C_TRR": "(sbar sigma_mn P_R b)(nubar_a sigma^mn (1+g5) nu_b)",
    "C_LNV_SL": "(sbar P_L b)(nubar^c_a (1-g5) nu_b), symmetric in a, b",
    "C_LNV_SR": "(sbar P_R b)(nubar^c_a (1-g5) nu_b), symmetric in a, b",
    "C_LNV_TL": "(sbar sigma_mn P_L b)(nubar^c_a sigma^mn (1-g5) nu_b), antisymmetric in a, b",
}
FLAVOURS = ("e", "mu", "tau")
FLAVIO_SCALE, EOS_SCALE = 4.8, 4.2  #: GeV, where flavio 2 and EOS 1 take their coefficients

LOWEST_SCALE, HIGHEST_SCALE = 4.0, 5.0  # GeV: "at m_b"
#: Parts of the largest coefficient that are rounding.
ROUNDING = 1e-9
_FLAVIO = {"C_L": "CL", "C_Lp": "CR"}
EOS_NAMES = {
    "C_L": "C_VL",
    "C_Lp": "C_VR",
    "C_LNV_SL": "C_SL",
    "C_LNV_SR": "C_SR",
    "C_LNV_TL": "C_TL",
}
# EOS has one C_TL for "three flavours" although a tensor of nu^c and nu is antisymmetric; its rate
# is that of any antisymmetric matrix with sum |C_ab|^2 = 3 |C_TL|^2. This is the cyclic one.
_CYCLIC = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]) / math.sqrt(2)
EOS_PATTERNS = {name: _CYCLIC if name == "C_LNV_TL" else np.eye(3) for name in EOS_NAMES}


class Normalisation(NamedTuple):
    """What multiplies the coefficients; the sets of `bknn.inputs` have these, and will do too."""

    g_fermi: float  #: GeV^-2
    alpha: float
    ckm: float  #: |V_tb V_ts*|


@dataclass(frozen=True, eq=False, repr=False)
class WilsonCoefficients:
    """Coefficients of b -> s nu nubar beyond the standard model, at one scale.

    Attributes:
        matrices: {name: complex (3, 3)} of those in `OPERATORS` that are not zero, read-only; rows
            are the flavour of nubar, columns that of nu, in the order e, mu, tau.
        scale: in GeV. The vector operators do not run under QCD; scalars and tensors do.
        ignored: names of coefficients of other sectors that stood in the file.
        origin: the file and its coefficients, for messages.
        note: what is to be said about the file, empty if nothing.

    Raises:
        ParameterError: a matrix that is not 3 x 3, not finite, or of the wrong symmetry.
        UnknownNameError: no such operator.

    Example:
        >>> c = WilsonCoefficients.from_matrices({"C_L": [[0, 0, 0], [0, 0, 2], [0, 0, 0]]})
        >>> c
        WilsonCoefficients(scale=4.8, C_L[mu, tau]=2)
        >>> c.to_dict("flavio")["values"]
        {'CL_bsnutaunumu': 2.0}
    """

    matrices: Mapping[str, NDArray[np.complex128]]
    scale: float = FLAVIO_SCALE
    ignored: tuple[str, ...] = ()
    origin: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for name in self.matrices:
            if name not in OPERATORS:
                raise errors.unknown("Wilson coefficient", name, OPERATORS)
        checked = {name: _matrix(name, value) for name, value in self.matrices.items()}
        present = {name: checked[name] for name in OPERATORS if name in checked}
        object.__setattr__(self, "matrices", {n: m for n, m in present.items() if m.any()})
        object.__setattr__(self, "scale", scale_at_mb(self.scale, "the coefficients"))

    def matrix(self, name: str) -> NDArray[np.complex128]:
        """Return one matrix, of zeros if it is absent."""
        if name not in OPERATORS:
            raise errors.unknown("Wilson coefficient", name, OPERATORS)
        return self.matrices.get(name, np.zeros((3, 3), complex))

    def only(self, names: Collection[str], where: str) -> dict[str, NDArray[np.complex128]]:
        """Return the matrices, all of which must be among `names`: those that `where` has.

        >>> c = WilsonCoefficients.from_eos({"C_SL": 2.0})
        >>> c.only(["C_L", "C_Lp"], "the flavio basis")
        Traceback (most recent call last):
        ...
        bknn.errors.ParameterError: the flavio basis has C_L, C_Lp and would lose C_LNV_SL; ...
        """
        if lost := [name for name in self.matrices if name not in names]:
            raise errors.ParameterError(
                f"{self._from}{where} has {', '.join(names)} and would lose {', '.join(lost)}; set "
                "them to zero, or use what has them: C_LNV_... are in EOS and `wet`, the others "
                "in `wet-rhn`."
            )
        return dict(self.matrices)

    @classmethod
    def from_matrices(
        cls, matrices: Mapping[str, ArrayLike], scale: float = FLAVIO_SCALE
    ) -> WilsonCoefficients:
        """Return coefficients from {name: 3 x 3 matrix}; names left out are zero."""
        return cls(matrices, scale)  # type: ignore[arg-type]

    @classmethod
    def from_eos(
        cls, values: Mapping[str, complex], inputs: Any = None, scale: float = EOS_SCALE
    ) -> WilsonCoefficients:
        """Return coefficients from EOS's C_VL, C_VR, C_SL, C_SR, C_TL, equal for all flavours.

        C_VL holds the standard model, as in EOS; without it there is no new physics in C_VL.

        Args:
            inputs: needed with C_VL, for its value in the standard model: `x_t`, `sin2_theta_w`.

        >>> WilsonCoefficients.from_eos({"C_VR": -1.5})
        WilsonCoefficients(scale=4.2, C_Lp[e, e]=1.5, C_Lp[mu, mu]=1.5, C_Lp[tau, tau]=1.5)
        """
        known = {eos: name for name, eos in EOS_NAMES.items()}
        made = {}
        for name, value in values.items():
            if name not in known:
                raise errors.unknown("Wilson coefficient", name, known, "EOS's basis of sbnunu")
            number = number_of(value, name, "EOS's coefficients")
            if name == "C_VL":
                number -= _standard_model(inputs)
            made[known[name]] = -number * EOS_PATTERNS[known[name]]
        return cls.from_matrices(made, scale)

    def universal_eos(self, inputs: Any, *, real: bool = False) -> dict[str, Any]:
        """Return EOS's {"C_VL": ..., "C_VR", "C_SL", "C_SR", "C_TL"}, the first with the SM.

        Args:
            inputs: `x_t` and `sin2_theta_w`; C_VL of the standard model is their ratio.
            real: return floats, and refuse complex coefficients.

        Raises:
            ParameterError: coefficients that EOS does not have (right-handed neutrinos), that
                differ between flavours, or that are complex where real ones are wanted.

        >>> from bknn.inputs import HPQCD_2022
        >>> nothing_new = WilsonCoefficients.from_matrices({})
        >>> round(nothing_new.universal_eos(HPQCD_2022, real=True)["C_VL"], 4)
        6.3484
        """
        values = self._universal()
        values["C_VL"] += _standard_model(inputs)
        if not real:
            return dict(values)
        largest = max(abs(value) for value in values.values())
        if found := [n for n, value in values.items() if abs(value.imag) > ROUNDING * largest]:
            raise errors.ParameterError(
                f"{self._from}{', '.join(found)} {_are(found)} complex, but real coefficients are "
                "needed here; a phase against the standard model needs a model with complex "
                "coefficients, as 'wet-rhn'."
            )
        return {name: value.real for name, value in values.items()}

    def rescaled(self, old: Any, new: Any) -> WilsonCoefficients:
        """Return the same physics for another G_F, alpha and |V_tb V_ts*|: G_F alpha V C is kept.

        flavio multiplies by alpha(4.8 GeV) = 1/132.1, EOS by 1/133, wilson by 1/127.9: taken over
        from one to another without this, alpha^2 |C|^2 changes by up to 8%.

        Args:
            old, new: sets of inputs, or `Normalisation`.

        >>> c = WilsonCoefficients.from_matrices({"C_L": np.diag([0.0, 0.0, 4.0])})
        >>> c.rescaled(Normalisation(1.17e-5, 1 / 128, 0.04), Normalisation(1.17e-5, 1 / 132, 0.04))
        WilsonCoefficients(scale=4.8, C_L[tau, tau]=4.125)
        """
        factor = _product(old) / _product(new)
        scaled = {name: factor * matrix for name, matrix in self.matrices.items()}
        return replace(self, matrices=scaled)

    def to_dict(self, basis: str = "flavio", scale: float | None = None) -> dict[str, Any]:
        """Return what a WCxf file holds: eft, basis, scale, metadata, values.

        Args:
            basis: "flavio" or "EOS".
            scale: GeV; by default that of the coefficients, and 4.2 for EOS, which reads no other.
                It may differ from that of the coefficients if these do not run.

        Raises:
            ParameterError: the basis or the scale cannot hold these coefficients.
        """
        if basis == "flavio":
            values = self._flavio()
        elif basis == "EOS":
            values = {f"sbnunu::c{eos[2:]}": value for eos, value in self._universal().items()}
        else:
            raise errors.unknown("basis", basis, ("flavio", "EOS"), "WCxf")
        if scale is None:
            scale = EOS_SCALE if basis == "EOS" else self.scale
        scale = scale_at_mb(scale, "the file to be written")
        running = [n for n in self.matrices if n.startswith(("C_S", "C_T", "C_LNV"))]
        if scale != self.scale and running:
            raise errors.ParameterError(
                f"{', '.join(running)} {_are(running)} at {self.scale:g} GeV and would be written "
                f"at {scale:g} GeV, but scalar and tensor coefficients run under QCD; write them "
                "at their own scale."
            )
        return {
            "eft": "WET",
            "basis": basis,
            "scale": scale,
            "metadata": {"generator": f"bknn {VERSION}"},
            "values": {name: _plain(value) for name, value in values.items() if value != 0},
        }

    def save(
        self, path: str | os.PathLike[str], basis: str = "flavio", scale: float | None = None
    ) -> None:
        """Write a WCxf file, JSON or YAML by the ending of its name; see `to_dict`."""
        path = Path(path)
        document = self.to_dict(basis, scale)
        if path.suffix in (".yaml", ".yml"):
            text = need("yaml", f"{path}", "pyyaml").safe_dump(document, sort_keys=False)
        elif path.suffix == ".json":
            text = json.dumps(document, indent=2) + "\n"
        else:
            raise errors.DataError(
                f"{path}: WCxf files are JSON or YAML; let the name end in .json, .yaml or .yml."
            )
        with replacing_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def __repr__(self) -> str:
        entries = [
            f"{name}[{FLAVOURS[a]}, {FLAVOURS[b]}]={shown(matrix[a, b])}"
            for name, matrix in self.matrices.items()
            for a, b in zip(*np.nonzero(matrix), strict=True)
        ]
        return f"WilsonCoefficients({', '.join([f'scale={self.scale:g}', *entries])})"

    @property
    def _from(self) -> str:
        return f"{self.origin}: " if self.origin else ""

    def _flavio(self) -> dict[str, complex]:
        self.only(tuple(_FLAVIO), "the flavio basis")
        return {name: complex(self.matrix(m)[a, b]) for name, (m, a, b) in flavio_names().items()}

    def _universal(self) -> dict[str, complex]:
        """EOS's coefficients without the standard model."""
        wrong = [f"{n} is {OPERATORS[n]}" for n in self.matrices if n not in EOS_NAMES]
        values: dict[str, complex] = {}
        for name, eos in EOS_NAMES.items():
            matrix, pattern = self.matrix(name), EOS_PATTERNS[name]
            mean = complex((matrix * pattern).sum() / (pattern**2).sum())
            # A number that was spread over the matrix comes back as it was.
            value = complex(matrix[0, 0]) if pattern is not _CYCLIC else mean
            values[eos] = 0j - value
            if np.abs(matrix - mean * pattern).max() > ROUNDING * np.abs(matrix).max():
                a, b = np.unravel_index(np.abs(matrix - mean * pattern).argmax(), (3, 3))
                wrong.append(
                    f"{name} differs between flavours (most at [{FLAVOURS[a]}, {FLAVOURS[b]}])"
                )
        if wrong:
            raise errors.ParameterError(
                f"{self._from}EOS's C_VL, C_VR, C_SL, C_SR, C_TL are for left-handed neutrinos and "
                f"equal for all flavours, but {'; '.join(wrong)}; use the flavio basis or the "
                "matrices."
            )
        return values


def flavio_names() -> dict[str, tuple[str, int, int]]:
    """Return {name in the flavio basis: (matrix, row, column)} of the sector sbnunu.

    The names carry the flavour of nu before that of nubar.

    >>> flavio_names()["CL_bsnuenutau"]
    ('C_L', 2, 0)
    """
    return {
        f"{theirs}_bsnu{nu}nu{nubar}": (ours, a, b)
        for ours, theirs in _FLAVIO.items()
        for b, nu in enumerate(FLAVOURS)
        for a, nubar in enumerate(FLAVOURS)
    }


def need(name: str, purpose: str, install: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise errors.DataError(
            f'{purpose} needs the package {name}; install it with `pip install "{install}"`.'
        ) from error


def number_of(value: Any, name: str, where: str) -> complex:
    """A WCxf number: real, complex, or {Re, Im}. YAML 1.1 reads 1e-3 as text, hence text too."""
    try:
        if isinstance(value, bool):
            raise TypeError
        if isinstance(value, Mapping):
            if not value or set(value) - {"Re", "Im"}:
                raise TypeError
            number = complex(float(value.get("Re", 0)), float(value.get("Im", 0)))
        else:
            number = complex(float(value) if isinstance(value, str) else value)
    except (OverflowError, TypeError, ValueError) as error:
        raise errors.DataError(
            f"{where}: {name} is {value!r}, which is not a number; give a real number or "
            '{"Re": ..., "Im": ...}.'
        ) from error
    if not cmath.isfinite(number):
        raise errors.DataError(f"{where}: {name} is {value!r}, but only finite numbers make sense.")
    return number


def _matrix(name: str, value: Any) -> NDArray[np.complex128]:
    try:
        matrix = np.array(value, dtype=complex)
    except (OverflowError, TypeError, ValueError) as error:
        raise errors.ParameterError(f"{name} is not a matrix of numbers: {error}") from error
    if matrix.shape != (3, 3):
        raise errors.ParameterError(
            f"{name} has shape {matrix.shape}, but a flavour matrix is 3 x 3: nubar_e, nubar_mu, "
            "nubar_tau by nu_e, nu_mu, nu_tau; equal for all flavours is c * np.eye(3)."
        )
    if not np.isfinite(matrix).all():
        a, b = np.argwhere(~np.isfinite(matrix))[0]
        raise errors.ParameterError(
            f"{name}[{FLAVOURS[a]}, {FLAVOURS[b]}] is {matrix[a, b]}; give finite numbers."
        )
    if name.startswith("C_LNV"):
        sign, kind = (-1, "antisymmetric") if name == "C_LNV_TL" else (1, "symmetric")
        if np.abs(matrix - sign * matrix.T).max() > ROUNDING * np.abs(matrix).max():
            raise errors.ParameterError(
                f"{name} must be {kind} in flavour, because the rest of it multiplies an operator "
                f"that vanishes (nu^c and nu are one field); give (C {'+-'[sign < 0]} C^T)/2."
            )
    matrix.setflags(write=False)
    return matrix


def scale_at_mb(scale: Any, what: str) -> float:
    number = number_of(scale, "scale", what)
    if number.imag != 0 or not LOWEST_SCALE <= number.real <= HIGHEST_SCALE:
        raise errors.ParameterError(
            f"the scale of {what} is {shown(number)} GeV, but b -> s nu nubar is computed at m_b "
            f"({LOWEST_SCALE:g} to {HIGHEST_SCALE:g} GeV); bknn.models.wcxf.run(...) brings "
            "coefficients there."
        )
    return number.real


def _standard_model(inputs: Any) -> float:
    if inputs is None:
        raise errors.ParameterError(
            "EOS's C_VL holds the standard model; pass `inputs`, whose x_t/sin2_theta_w is its "
            "part, so that new physics can be told apart."
        )
    return float(inputs.x_t) / float(inputs.sin2_theta_w)


def _product(inputs: Any) -> float:
    return float(inputs.g_fermi) * float(inputs.alpha) * float(inputs.ckm)


def _plain(value: complex) -> float | dict[str, float]:
    return value.real if value.imag == 0 else {"Re": value.real, "Im": value.imag}


def shown(value: complex) -> str:
    return f"{value.real:g}" if value.imag == 0 else f"{value.real:g}{value.imag:+g}j"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
