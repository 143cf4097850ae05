"""Draws of a posterior, and whether to believe them.

One class, which is longer than 450 lines: every diagnostic of the draws is a property of it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span as interval
from bknn.answers.digits import with_error
from bknn.answers.outline import fitting, subject, unit_of
from bknn.answers.packing import Coordinate, Packing, Unpacking, piece
from bknn.inference.estimate import Estimate
from bknn.inference.posteriors.hdi import highest_density
from bknn.inference.posteriors.point_estimates import joint_mode, marginal_mode
from bknn.inference.posteriors.smoothing import curve, heights, span
from bknn.inference.samplers.whitening import in_pieces
from bknn.inference.slopes import rates_of_many
from bknn.priors import log_density, support_bounds
from bknn.storage import sealed
from bknn.storage.files import replacing, reserve

#: Rank-normalised R-hat of chains that agree (Vehtari et al., arXiv:1903.08008).
LARGEST_R_HAT = 1.01

#: Effective draws, bulk and tail, that intervals need (the same).
LEAST_ESS = 400.0

#: Energies of chains that find the tails (Betancourt, arXiv:1604.00695).
LEAST_BFMI = 0.3

#: A mode with more than this of the posterior, as Laplace's method guesses, must have been visited.
LEAST_SHARE = 0.02

#: Two maxima with more than this part of the height between them are one region.
_SHALLOW = 0.8

#: A trajectory that diverges now and then is an accident, more of them are a region.
MOST_DIVERGENCES = 1e-3


@piece
class Mode(NamedTuple):
    """A maximum of the posterior that was found before sampling.

    Attributes:
        values: {name: value} of the model's own parameters that are sampled.
        share: of the posterior, as Laplace's method guesses.
    """

    values: Mapping[str, float]
    share: float


@dataclass(frozen=True, eq=False, repr=False)
class Posterior(Answer):
    """Draws of the posterior of an analysis.

    Attributes:
        analysis: what was sampled.
        draws: parameters (chains, draws, size), in the order of `names`.
        stats: {name: (chains, draws)}: "diverging", "energy", "n_steps", "accept_prob"; of a
            tempered ladder also "short_steps", the number of those that are watched for divergence;
            of populations "evaluations" of the density, up to the draw.
        moving: which parameters were sampled (size,); the others are constant.
        method: "nuts", "tempered" or "population".
        seed: of the random numbers.
        warmup: steps before the first draw.
        seconds_compile, seconds_run: how long it took.
        log_evidence: log of the evidence, of a tempered sampler or of populations.
        modes: that were found before sampling, the first where the sampler was set up.
        stopped: why there are fewer draws than are wanted, empty if there are not.
    """

    analysis: Analysis
    draws: np.ndarray
    stats: Mapping[str, np.ndarray]
    moving: np.ndarray
    method: str
    seed: int
    warmup: int
    seconds_compile: float = 0.0
    seconds_run: float = 0.0
    log_evidence: Estimate | None = None
    modes: tuple[Mode, ...] = ()
    stopped: str = ""

    KEPT: ClassVar[tuple[str, ...]] = ("log_posterior", "mode")

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return {
            "draws": ("chain", "draw", "parameter"),
            "stats": ("chain", "draw"),
            "log_posterior": ("chain", "draw"),
            "moving": ("parameter",),
            "mode": ("parameter",),
        }

    def coordinates(self) -> dict[str, Coordinate]:
        return {"parameter": Coordinate(self.names)}

    def columns(self) -> dict[str, Any]:
        """One row a parameter of the model that was sampled."""
        rows = [self.summary(name) for name in self.own]
        wanted = ("mode", "mean", "median", "r_hat", "ess_bulk", "ess_tail")
        found: dict[str, Any] = {"name": list(self.own)}
        found |= {column: [row[column] for row in rows] for column in wanted}
        for level in ("68", "95"):
            for k, end in enumerate(("low", "high")):
                found[f"{end}_{level}"] = [row[f"hdi_{level}"][k] for row in rows]
        return found

    def shown(self) -> Shown:
        rows = []
        for name in self.own:
            x = self.values(name)
            unit = unit_of(self.analysis, name)
            regions = self.highest_density(name, 0.6827)
            rows.append(
                (
                    name,
                    with_error(float(np.mean(x)), float(np.std(x)), unit),
                    " and ".join(interval(*ends) for ends in regions),
                )
            )
        return Shown(
            f"Posterior of {subject(self.analysis)}: {self.n_chains} chains x {self.n_draws} draws "
            f"({self.method})",
            ("parameter", "mean", "68% most probable"),
            rows,
            [self.status],
        )

    # What was drawn ------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """One name an entry of the vector."""
        return self.analysis.names

    @property
    def own(self) -> tuple[str, ...]:
        """The model's own parameters that were sampled, nuisances left out."""
        parameters = enumerate(self.analysis.parameters)
        return tuple(p.name for i, p in parameters if self.moving[i] and not p.nuisance)

    @property
    def n_chains(self) -> int:
        return self.draws.shape[0]

    @property
    def n_draws(self) -> int:
        """Draws of each chain."""
        return self.draws.shape[1]

    @property
    def flat(self) -> np.ndarray:
        """All draws (chains * draws, size), one chain after the other."""
        return self.draws.reshape(-1, self.draws.shape[-1])

    @property
    def params(self) -> dict[str, np.ndarray]:
        """{name: (chains, draws)}; nuisances that come one a bin are (chains, draws, n)."""
        return {k: np.asarray(v) for k, v in self.analysis.unflatten(self.draws).items()}

    @cached_property
    def log_posterior(self) -> np.ndarray:
        """Log likelihood + log priors of what was sampled, not normalised (chains, draws)."""
        parameters = [
            (i, p.distribution)
            for i, p in enumerate(self.analysis.parameters)
            if self.moving[i] and p.constraint is None and p.distribution is not None
        ]

        density = self.analysis.density

        def log_posterior(vector: Array) -> Array:
            priors = sum((log_density(d, vector[i]) for i, d in parameters), start=jnp.zeros(()))
            return density(vector) + priors

        program = self.analysis.programs.get(
            "log posterior of draws",
            tuple(i for i, _ in parameters),
            lambda: jax.vmap(log_posterior),
        )
        return in_pieces(program, self.flat).reshape(self.draws.shape[:2])

    @cached_property
    def rates(self) -> np.ndarray:
        """Expected counts (chains * draws, bins)."""
        return in_pieces(rates_of_many(self.analysis), self.flat)

    # Convergence ---------------------------------------------------------------------------

    @cached_property
    def r_hat(self) -> np.ndarray:
        """Rank-normalised split R-hat (size,); NaN for what was not sampled, or one chain."""
        return self._diagnostic("rhat", method="rank")

    @cached_property
    def ess_bulk(self) -> np.ndarray:
        """Effective draws of the bulk (size,); NaN for what was not sampled."""
        return self._diagnostic("ess", method="bulk")

    @cached_property
    def ess_tail(self) -> np.ndarray:
        """Effective draws of the 5% and 95% quantiles (size,); NaN for what was not sampled."""
        return self._diagnostic("ess", method="tail")

    def _diagnostic(self, name: str, **options: Any) -> np.ndarray:
        result = np.full(len(self.names), np.nan)
        if name == "rhat" and self.n_chains < 2:
            return result
        result[self.moving] = diagnostic(name, self.draws[..., self.moving], **options)
        return result

    @property
    def _trajectories(self) -> int:
        """How many could diverge: of a ladder the draws that hold a short step."""
        watched = self.stats.get("short_steps", np.ones(self.stats["diverging"].shape))
        return int(np.count_nonzero(watched))

    @property
    def divergences(self) -> int:
        """Trajectories that broke off."""
        return int(np.sum(self.stats["diverging"]))

    @cached_property
    def bfmi(self) -> np.ndarray:
        """Change of the energy from draw to draw, over its variance (chains,)."""
        energy = np.asarray(self.stats["energy"], float)
        variance = np.var(energy, axis=1)
        change = np.mean(np.diff(energy, axis=1) ** 2, axis=1)
        return change / np.where(variance > 0, variance, np.inf)

    @cached_property
    def _nearest(self) -> np.ndarray:
        """Which of the modes is nearest to each draw (chains * draws,)."""
        if len(self.modes) < 2:
            return np.zeros(len(self.flat), int)
        names = list(self.modes[0].values)
        places = np.array([[mode.values[name] for name in names] for mode in self.modes])
        unit = np.ptp(places, axis=0)
        apart = unit > 0
        index = np.array([self.analysis.index(name) for name in names])[apart]
        away = (self.flat[:, None, index] - places[:, apart]) / unit[apart]
        return np.argmin(np.sum(away**2, axis=2), axis=1)

    @property
    def visited(self) -> np.ndarray:
        """Which part of the draws is nearest to each of the modes (modes,)."""
        counts = np.bincount(self._nearest, minlength=len(self.modes))[: len(self.modes)]
        return counts / len(self._nearest)

    def _place(self, mode: Mode) -> str:
        return ", ".join(f"{name} = {value:.4g}" for name, value in mode.values.items())

    @cached_property
    def problems(self) -> list[str]:
        """Why these draws are not to be trusted, in sentences; empty if they are."""
        found = []
        names = np.array(self.names)

        def several(bad: np.ndarray, worst: int) -> str:
            count = int(bad.sum())
            more = f" (and {count - 1} more)" if count > 1 else ""
            return f"{names[worst]}{more}"

        if self.n_chains > 1:
            bad = self.r_hat > LARGEST_R_HAT
            if bad.any():
                worst = int(np.nanargmax(self.r_hat))
                found.append(
                    f"the chains disagree about {several(bad, worst)}: R-hat is "
                    f"{self.r_hat[worst]:.3f}, above {LARGEST_R_HAT}; {self._advice}."
                )
        for kind, ess in (("bulk", self.ess_bulk), ("tail", self.ess_tail)):
            bad = ess < LEAST_ESS
            if bad.any():
                worst = int(np.nanargmin(ess))
                found.append(
                    f"few draws are independent: {several(bad, worst)} has {ess[worst]:.0f} "
                    f"effective ones in the {kind}, fewer than {LEAST_ESS:.0f}; take more draws."
                )
        for mode, part in zip(self.modes, self.visited, strict=True):
            if part == 0 and mode.share > LEAST_SHARE:
                found.append(
                    f"no draw is near the mode at {self._place(mode)}, which has about "
                    f"{100 * mode.share:.0f}% of the posterior; {self._advice}."
                )
        if self.divergences > MOST_DIVERGENCES * self._trajectories:
            found.append(
                f"{self.divergences} of {self._trajectories} trajectories diverged, so some region "
                "may not have been explored; take a longer warm-up."
            )
        if self.method == "nuts" and np.any(self.bfmi < LEAST_BFMI):
            chain = int(np.argmin(self.bfmi))
            found.append(
                f"the energy of chain {chain} changes little from draw to draw (E-BFMI "
                f"{self.bfmi[chain]:.2f}, below {LEAST_BFMI}), so it may miss the tails; take more "
                "draws, or priors that are less wide."
            )
        if found and self.stopped:
            found.append(self.stopped)
        return found

    @property
    def _end(self) -> str:
        return f" {self.stopped[0].upper()}{self.stopped[1:]}" if self.stopped else ""

    @property
    def _advice(self) -> str:
        """What may help chains that do not cross: never the method that they used."""
        if self.method == "nuts":
            return 'take method="tempered" if there are several modes, or more draws'
        return "take more draws, or priors that are less wide"

    @property
    def converged(self) -> bool:
        """Whether the draws are to be trusted."""
        return not self.problems

    @property
    def status(self) -> str:
        """Whether to trust the draws, in a sentence or two."""
        if self.problems:
            return " ".join(text[0].upper() + text[1:] for text in self.problems)
        broken = ", no divergence"
        if self.method == "population":  # which has no trajectory of all parameters
            broken = ""
        elif self.divergences:
            broken = f", {self.divergences} of {self._trajectories} trajectories diverged"
        worst = "" if self.n_chains < 2 else f"R-hat at most {np.nanmax(self.r_hat):.3f}, "
        return (
            f"converged: {worst}at least {np.nanmin(self.ess_bulk):.0f} effective draws in the "
            f"bulk and {np.nanmin(self.ess_tail):.0f} in the tails of every parameter"
            f"{broken}.{self._shares}{self._end}"
        )

    @property
    def _shares(self) -> str:
        """Where the modes are and what was drawn near each, in a sentence; empty for one mode."""
        if len(self.modes) < 2:
            return ""
        order = np.argsort(-self.visited, kind="stable")
        parts = [f"{self._place(self.modes[i])} ({100 * self.visited[i]:.2g}%)" for i in order]
        return f" Modes, with the draws that are nearest to each: {'; '.join(parts)}."

    # What they say -------------------------------------------------------------------------

    @cached_property
    def mode(self) -> np.ndarray:
        """The joint mode (size,): the maximum of likelihood times priors, all parameters free."""
        # The best draw of each chain, the best of all first.
        best = np.argsort(-np.max(self.log_posterior, axis=1))
        starts = self.draws[best, np.argmax(self.log_posterior, axis=1)[best]]
        return joint_mode(self.analysis, self.moving, starts, np.std(self.flat, axis=0))

    def values(self, name: str) -> np.ndarray:
        """Draws of one entry of the vector (chains, draws)."""
        return self.draws[..., self.analysis.index(name)]

    def summary(self, name: str) -> dict[str, Any]:
        """Return what is reported of a parameter.

        "mode" is that of all parameters together, "marginal_mode" where the density of this one
        alone is highest; "hdi_68" and "hdi_95" are the shortest intervals [low, high], "regions_68"
        and "regions_95" where the density is highest: several intervals, if it has several maxima.
        """
        i = self.analysis.index(name)
        x = self.draws[..., i].reshape(-1)
        return {
            "mode": float(self.mode[i]),
            "marginal_mode": marginal_mode(x, self.ends(name)),
            "mean": float(np.mean(x)),
            "median": float(np.median(x)),
            "hdi_68": list(highest_density(x, 0.6827)),
            "hdi_95": list(highest_density(x, 0.95)),
            "regions_68": self.highest_density(name, 0.6827),
            "regions_95": self.highest_density(name, 0.95),
            "r_hat": float(self.r_hat[i]),
            "ess_bulk": float(self.ess_bulk[i]),
            "ess_tail": float(self.ess_tail[i]),
        }

    def highest_density(self, name: str, level: float) -> list[tuple[float, float]]:
        """Return where the density of a parameter is highest, intervals that hold `level` together.

        Of a posterior with one mode it is the shortest interval. Otherwise the density is smoothed
        around each mode by itself; dips that are as shallow as its noise are not seen.
        """
        x = self.values(name).reshape(-1)
        one = highest_density(x, level)
        if len(self.modes) < 2 or not np.ptp(x) > 0:
            return [one]
        ends = span(x, self.ends(name))
        density = np.zeros(0)
        for k in np.unique(self._nearest):
            near = x[self._nearest == k]
            centres, part = curve(near, ends)
            density = (density if density.size else 0.0) + part * len(near) / len(x)
        height = heights(density, [level])[0]
        half = 0.5 * (centres[1] - centres[0])
        deep = density < _SHALLOW * height
        found: list[tuple[int, int]] = []
        for first, last in runs(np.flatnonzero(density >= height)):
            if found and not deep[found[-1][1] : first].any():
                first = found.pop()[0]
            found.append((first, last))
        regions = [(float(centres[a] - half), float(centres[b] + half)) for a, b in found]
        return regions if len(regions) > 1 else [one]

    def ends(self, name: str) -> tuple[float, float]:
        """Return between which values the prior allows a parameter."""
        i = self.analysis.index(name)
        parameters = self.analysis.parameters
        prior = parameters[i].distribution if i < len(parameters) else None
        lower, upper = self.analysis.bounds[i]
        if prior is None or parameters[i].constraint is not None:
            return float(lower), float(upper)
        low, high = support_bounds(prior)
        return max(low, float(lower)), min(high, float(upper))

    # Storage -------------------------------------------------------------------------------

    def to_arviz(self) -> Any:
        """Return the draws for arviz: InferenceData (arviz 0.x) or DataTree (1.x).

        Groups: posterior, sample_stats, and observed_data. Counts that the posterior predicts are
        in `inference.posterior_predictive`.
        """
        arviz = _arviz()
        groups: dict[str, dict[str, np.ndarray]] = {
            "posterior": {k: v for k, v in self.params.items() if self._sampled(k)},
            "sample_stats": {k: np.asarray(v) for k, v in self.stats.items() if np.ndim(v) == 2},
            "observed_data": {"counts": np.asarray(self.analysis.data.counts)},
        }
        if arviz.__version__.startswith("0."):
            return arviz.from_dict(**groups)
        return arviz.from_dict(groups)

    def _sampled(self, name: str) -> bool:
        where = self.analysis.nuisances.get(name)
        if where is None:
            return bool(self.moving[self.analysis.index(name)])
        return bool(np.any(self.moving[where]))

    def save(self, path: str | Path) -> Path:
        """Write the draws as NetCDF 4, for `Posterior.load`, `arviz.from_netcdf` and
        `xarray.open_datatree`. A reader sees the old file or the new one, whole, and its checksum
        at the end."""
        import xarray

        path = Path(path)
        tree = self.to_arviz()
        record = {
            "analysis": repr(self.analysis),
            "mode": self.mode.tolist(),
            "method": self.method,
            "seed": self.seed,
            "warmup": self.warmup,
            "seconds_compile": self.seconds_compile,
            "seconds_run": self.seconds_run,
            "log_evidence": None if self.log_evidence is None else list(self.log_evidence),
            "modes": [[dict(mode.values), mode.share] for mode in self.modes],
            "stopped": self.stopped,
            "constants": {
                self.names[i]: float(self.draws[0, 0, i]) for i in np.flatnonzero(~self.moving)
            },
        }
        packing = Packing()
        packing.pack(self.analysis)
        record["analyses"] = packing.analyses
        tree["posterior"].attrs["bknn"] = json.dumps(record)
        tree["sample_stats"]["lp"] = xarray.Variable(("chain", "draw"), self.log_posterior)
        with replacing(path) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # HDF5 ends the process if the disk is full when it closes a file.
            reserve(
                temporary,
                2**20 + 2 * self.draws.nbytes + 16 * self.log_posterior.size * len(self.stats),
            )
            # InferenceData takes names of files only.
            tree.to_netcdf(str(temporary), engine="h5netcdf")
            sealed.seal(temporary)
        return path

    @classmethod
    def load(cls, path: str | Path, analysis: Any = None) -> Posterior:
        """Read what `save` wrote; without the analysis, there are no more than draws and data.

        Raises:
            DataError: no such file, a damaged one, or draws of another analysis.
        """
        import xarray

        path = Path(path)
        sealed.check(path)
        try:
            posterior = xarray.load_dataset(path, group="posterior", engine="h5netcdf")
            stats = xarray.load_dataset(path, group="sample_stats", engine="h5netcdf")
            record = json.loads(posterior.attrs["bknn"])
        except (OSError, KeyError, ValueError) as problem:
            raise errors.DataError(
                f"{path}: cannot be read as draws of a posterior ({problem}); give a file that "
                "`bknn sample` wrote."
            ) from None
        if analysis is None:
            (analysis,) = Unpacking(lambda how, name: np.zeros(0)).outlines(record["analyses"])
        else:
            (kept,) = Unpacking(lambda how, name: np.zeros(0)).outlines(record["analyses"])
            fitting(kept, analysis, str(path))
        shape = posterior.sizes["chain"], posterior.sizes["draw"]
        draws = np.empty((*shape, analysis.size))
        moving = np.ones(analysis.size, bool)
        for name in (*(p.name for p in analysis.parameters), *analysis.nuisances):
            where = analysis.nuisances.get(name)
            where = slice(i := analysis.index(name), i + 1) if where is None else where
            if name in posterior:
                draws[..., where] = posterior[name].values.reshape(*shape, -1)
        for name, value in record["constants"].items():
            draws[..., analysis.index(name)] = value
            moving[analysis.index(name)] = False
        evidence = record["log_evidence"]
        logs = stats["lp"]
        found = cls(
            analysis,
            draws,
            {str(k): v.values for k, v in stats.data_vars.items() if k != "lp"},
            moving,
            record["method"],
            record["seed"],
            record["warmup"],
            record["seconds_compile"],
            record["seconds_run"],
            None if evidence is None else Estimate(*evidence),
            tuple(Mode(*mode) for mode in record.get("modes", ())),
            record.get("stopped", ""),
        )
        vars(found).update(log_posterior=logs.values, mode=np.array(record["mode"]))
        return found


def runs(numbers: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last of every run of consecutive numbers, in order.

    >>> runs(np.array([3, 4, 5, 9]))
    [(3, 5), (9, 9)]
    """
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts if part.size]


def diagnostic(name: str, draws: np.ndarray, **options: Any) -> np.ndarray:
    """Return arviz's "rhat" or "ess" of draws (chains, draws, n), (n,).

    NaN where there is nothing to compute: a single chain has no R-hat, a constant no draws.
    """
    import xarray

    arviz = _arviz()
    data = xarray.Dataset({"x": (("chain", "draw", "parameter"), draws)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(getattr(arviz, name)(data, **options)["x"].values, float)


def _arviz() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz
    return arviz
