"""The public chain behind arXiv:2507.12393, built here: EOS, redist, pyhf and minuit.

The authors' scripts (github.com/lorenzennio/knunu-reinterpretation-mini) do the following, and so
does `literal_model`, in our words and on the same files (HEPData 10.17182/hepdata.166082):

- The signal strength `mu` and the form-factor modifiers `corr_ff_c1..c3` leave the workspace.
- redist multiplies the signal samples of three channels by (map @ weights) / (sum of the map), the
  weight of a true-q2 bin being its integral of EOS's dB/dq2 over that of the null. redist 2.0 takes
  16 Gauss-Legendre nodes a bin. The first bin, [-1, 0], lies outside the cutoff (0, 22.885) and
  keeps weight 1.
- Null: HPQCD's central values, m_B and m_K averaged over isospin. Alternative: EOS, B+ -> K+,
  `sbnunu::Re{cVL}`, `Re{cSL}`, `Re{cTL}` in [0, 20] and eight form-factor parameters with a normal
  constraint. So the weights of the standard model are not 1.
- Form factors: posterior of two lattice constraints. The authors sample it; it is an exact normal
  distribution, because form factors are linear in the parameters, and `exact_posterior` says which.

`Folded` is the same likelihood without redist: the rate is a quadratic form in the form-factor
parameters times the squares of the coefficients, so that EOS need be asked only once.

    python tests/peers/public_chain.py [output.json]

runs the chain (some three minutes) and writes the numbers in tests/fixtures/wet_chain/results.json.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib.metadata
import itertools
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

FIXTURES = Path(__file__).parents[1] / "fixtures" / "wet_chain"

#: Parameters of B -> K in the parametrisation of Bharucha, Straub and Zwicky, f_0(0) = f_+(0).
FORM_FACTORS = ("f+_0", "f+_1", "f+_2", "f0_1", "f0_2", "fT_0", "fT_1", "fT_2")
EOS_FORM_FACTORS = tuple(f"B->K::alpha^{name}@BSZ2015" for name in FORM_FACTORS)
COEFFICIENTS = ("cvl", "csl", "ctl")
EOS_COEFFICIENTS = ("sbnunu::Re{cVL}", "sbnunu::Re{cSL}", "sbnunu::Re{cTL}")
CONSTRAINTS = ("B->K::f_0+f_++f_T@FLAG:2021A", "B->K::f_0+f_++f_T@HPQCD:2022A")
REMOVED = ("mu", "corr_ff_c1", "corr_ff_c2", "corr_ff_c3")
SENTINEL = -1.0
EOS_SM = 6.613114906357177  # C_VL of the standard model in EOS 1.0.21


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """EOS reports its progress, pyhf and minuit warn of deprecated packages."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@dataclasses.dataclass(frozen=True)
class Posterior:
    """Mean (8,) and covariance (8, 8) of the form-factor parameters."""

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviations (8,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def root(self) -> np.ndarray:
        """Columns that redist's decorrelated parameters multiply."""
        rotation, variances, _ = np.linalg.svd(self.covariance)
        return rotation @ np.diag(np.sqrt(variances))


def published_posterior() -> Posterior:
    """Return the optimum and the covariance of the authors' samples, as they stored them."""
    stored = json.loads((FIXTURES / "published_form_factors.json").read_text())
    return Posterior(np.array(stored["mean"]), np.array(stored["covariance"]))


def _lattice() -> Any:
    import eos

    published = published_posterior()
    box = zip(EOS_FORM_FACTORS, published.mean, 15 * published.sigma, strict=True)
    return eos.Analysis(
        priors=[
            {"parameter": name, "min": centre - width, "max": centre + width, "type": "uniform"}
            for name, centre, width in box
        ],
        likelihood=list(CONSTRAINTS),
    )


def exact_posterior() -> Posterior:
    """Return the posterior of the two lattice constraints: EOS's log likelihood is quadratic.

    Second differences of a quadratic function are its second derivatives, whatever the step.
    """
    with quiet():
        analysis = _lattice()

    def log_likelihood(values: np.ndarray) -> float:
        for name, value in zip(EOS_FORM_FACTORS, values, strict=True):
            analysis.parameters[name].set(float(value))
        return float(analysis._log_likelihood.evaluate())

    published = published_posterior()
    centre, step = published.mean, published.sigma
    moves = np.diag(step)
    here = log_likelihood(centre)
    up = np.array([log_likelihood(centre + move) for move in moves])
    down = np.array([log_likelihood(centre - move) for move in moves])
    gradient = (up - down) / 2
    hessian = np.diag(up + down - 2 * here)
    for i, j in zip(*np.tril_indices(len(step), -1), strict=True):
        both = log_likelihood(centre + moves[i] + moves[j])
        hessian[i, j] = hessian[j, i] = both - up[i] - up[j] + here
    scaled = np.linalg.inv(-hessian)
    return Posterior(centre + step * (scaled @ gradient), scaled * np.outer(step, step))


def sampled_posterior(chains: int = 5, samples: int = 5000) -> Posterior:
    """Return what the authors' settings give with this EOS: optimum, covariance of samples."""
    with quiet():
        analysis = _lattice()
        analysis.optimize()
        mean = np.array([analysis.parameters[name].evaluate() for name in EOS_FORM_FACTORS])
        drawn = [
            analysis.sample(
                N=samples, stride=5, pre_N=1000, preruns=5, rng=np.random.RandomState(74205 + n)
            )[0]
            for n in range(chains)
        ]
    return Posterior(mean, np.cov(np.concatenate(drawn).T))


def eos_spectrum() -> Callable[..., np.ndarray]:
    """Return EOS's dB/dq2 of B+ -> K+ nu nubar: q2 (n,), three coefficients, eight parameters."""
    import eos

    parameters = eos.Parameters.Defaults()
    kinematics = eos.Kinematics(q2=1.0)
    options = eos.Options({"model": "WET", "form-factors": "BSZ2015"})
    observable = eos.Observable.make("B->Knunu::dBR/dq2", parameters, kinematics, options)
    handles = [parameters[name] for name in (*EOS_COEFFICIENTS, *EOS_FORM_FACTORS)]
    q2_handle = kinematics["q2"]

    def spectrum(q2: np.ndarray, *values: float) -> np.ndarray:
        for handle, value in zip(handles, values, strict=True):
            handle.set(float(value))
        result = np.empty(np.shape(q2))
        for index, x in np.ndenumerate(q2):
            q2_handle.set(float(x))
            result[index] = observable.evaluate()
        return result

    return spectrum


def null_spectrum(q2: np.ndarray) -> np.ndarray:
    """Return dB/dq2 behind the number densities: arXiv:2207.13371, eq. 16, arXiv:2207.12468."""
    m_b, m_k, pole = 5.279495, 0.4956440, 5.4158
    t_plus = (m_b + m_k) ** 2
    root, start = np.sqrt(t_plus - q2), np.sqrt(t_plus)
    z = (root - start) / (root + start)
    series = sum(
        a * (z**n - n / 3 * (-1) ** (n - 3) * z**3) for n, a in enumerate((0.2545, -0.71, 0.32))
    )
    f_plus = 1.304 * series / (1 - q2 / pole**2)
    kallen = m_b**4 + m_k**4 + q2**2 - 2 * (m_b**2 * m_k**2 + (m_b**2 + m_k**2) * q2)
    coupling = 1.1663787e-5 / 127.952 * 1.468 / 0.23124 * 0.04185
    lifetime = 1.638e-12 / 6.58211e-25
    return coupling**2 * lifetime / (32 * np.pi**5) * (kallen / (4 * m_b**2)) ** 1.5 * f_plus**2


def tables(belle2: Any) -> dict[str, np.ndarray]:
    """Return the number densities {channel: (fit bins, 101)} as HEPData has them."""
    return {
        name: np.column_stack([density.unmatched, density.counts])
        for name, density in belle2.densities.items()
    }


def edges(belle2: Any) -> np.ndarray:
    """Return the edges (102,) of the true-q2 bins, with the sentinel in front."""
    first, *others = belle2.densities.values()
    assert all(np.array_equal(first.edges, other.edges) for other in others)
    return np.append(SENTINEL, first.edges)


def _pruned(belle2: Any) -> Any:
    import pyhf

    with quiet():
        workspace = pyhf.Workspace(copy.deepcopy(belle2.workspace))
        return workspace.prune(modifiers=list(REMOVED))


def literal_model(
    belle2: Any, posterior: Posterior, spectrum: Callable[..., Any] | None = None
) -> tuple[Any, np.ndarray]:
    """Return the chain's pyhf model and data (auxiliary ones included).

    `spectrum` takes the place of EOS; on pyhf's JAX backend it must.
    """
    from redist import modifier

    free = {"bounds": ((0.0, 20.0),), "paramset_type": "unconstrained"}
    new = {
        "cvl": {"inits": (EOS_SM,), **free},
        "csl": {"inits": (0.0,), **free},
        "ctl": {"inits": (0.0,), **free},
        "FFK": {
            "inits": tuple(posterior.mean),
            "bounds": (),
            "cov": posterior.covariance.tolist(),
            "paramset_type": "constrained_by_normal",
        },
    }
    bins = [edges(belle2)]
    spectrum = spectrum or eos_spectrum()
    workspace = _pruned(belle2)
    with quiet():
        model = workspace.model(poi_name=None)
        modifiers = {
            channel: modifier.Modifier(
                new,
                spectrum,
                null_spectrum,
                table,
                bins,
                name=f"theory_{i}",
                cutoff=((0.0, bins[0][-1]),),
            )
            for i, (channel, table) in enumerate(tables(belle2).items())
        }
        known: dict[str, Any] = {}
        for custom in modifiers.values():
            known |= custom.expanded_pyhf
        for channel, custom in modifiers.items():
            entry = {
                "name": f"{custom.name}_weights",
                "type": custom.name,
                "data": {"expr": f"{custom.name}_weight_fn"},
            }
            model = modifier.add_to_model(
                model, [channel], [belle2.signal[channel]], known, entry, poi_name=None
            )
        data = np.array(workspace.data(model, include_auxdata=False) + model.config.auxdata)
    return model, data


class Folded:
    """The chain's log pdf without redist: EOS once, then pyhf with a factor on each signal bin.

    Functions take `physics` (11,), the coefficients and the decorrelated form-factor parameters,
    and `nuisances`, those of the workspace in the order of `names`. They run on pyhf's backend.
    """

    def __init__(self, belle2: Any, posterior: Posterior, backend: str = "numpy") -> None:
        import pyhf

        self.posterior = posterior
        self.forms, self.offset = _fold(belle2)
        workspace = _pruned(belle2)
        channels = list(tables(belle2))
        for channel in workspace["channels"]:
            for sample in channel["samples"]:
                if belle2.signal.get(channel["name"]) == sample["name"]:
                    factor = {"name": channel["name"], "type": "shapefactor", "data": None}
                    sample["modifiers"].append(factor)
        with quiet(), jax.numpy_rank_promotion("allow"):
            pyhf.set_backend(backend, precision="64b")
            workspace = pyhf.Workspace(workspace)
            self.model = workspace.model(poi_name=None)
            self.data = pyhf.tensorlib.astensor(workspace.data(self.model))
        config = self.model.config
        position = np.arange(len(config.par_names))
        factors = np.concatenate([position[config.par_slice(name)] for name in channels])
        others = np.setdiff1d(position, factors)
        self.names = [config.par_names[i] for i in others]
        self._order = np.argsort(np.concatenate([factors, others]))

    def factors(self, physics: Any) -> Any:
        """Return what the signal templates are multiplied with, (18,)."""
        parameters = self.posterior.mean + self.posterior.root @ physics[3:]
        return self.offset + physics[:3] ** 2 @ (self.forms @ parameters @ parameters)

    def log_pdf(self, physics: Any, nuisances: Any) -> Any:
        """Return the log pdf, constraints of nuisances and of form factors included."""
        import pyhf

        both = pyhf.tensorlib.concatenate([self.factors(physics), nuisances])
        constraint = -0.5 * (physics[3:] ** 2).sum() - 0.5 * 8 * np.log(2 * np.pi)
        return self.model.logpdf(both[self._order], self.data)[0] + constraint


def _fold(belle2: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return quadratic forms (3, fit bins, 8, 8), and the part that is always there (fit bins,)."""
    spectrum, bins = eos_spectrum(), edges(belle2)[1:]
    nodes, weights = np.polynomial.legendre.leggauss(16)
    half = np.diff(bins)[:, None] / 2
    grid = (bins[1:] + bins[:-1])[:, None] / 2 + half * nodes
    null = np.sum(null_spectrum(grid) * half * weights, axis=1)
    basis = np.eye(8)

    def weight(coefficient: int, parameters: np.ndarray) -> np.ndarray:
        values = spectrum(grid, *np.eye(3)[coefficient], *parameters)
        return np.sum(values * half * weights, axis=1) / null

    forms = np.zeros((3, 8, 8, len(null)))
    # f_+ knows the parameters 0 to 2, f_0 knows 0 (its value at q2 = 0), 3 and 4, f_T the others.
    for c, known in enumerate([(0, 1, 2), (0, 3, 4), (5, 6, 7)]):
        for i in known:
            forms[c, i, i] = weight(c, basis[i])
        for i, j in itertools.combinations(known, 2):
            both = weight(c, basis[i] + basis[j])
            forms[c, i, j] = forms[c, j, i] = (both - forms[c, i, i] - forms[c, j, j]) / 2
    table = np.concatenate(list(tables(belle2).values()))
    table = table / table.sum(axis=1)[:, None]
    return np.einsum("cijz,xz->cxij", forms, table[:, 1:]), table[:, 0]


# The fits -------------------------------------------------------------------------------------

#: What is kept where in the fits whose results are stored.
FITS = {
    "free": {},
    "sm": {"cvl": 6.613, "csl": 0.0, "ctl": 0.0},
    "vector": {"csl": 0.0, "ctl": 0.0},
}
PHYSICS = (*COEFFICIENTS, *(f"FFK_decorrelated[{i}]" for i in range(8)))


def minuit_fit(model: Any, data: np.ndarray, fixed: dict[str, float]) -> tuple[dict, float]:
    """Return what the chain's own fit finds: {parameter: value}, -2 log L."""
    import pyhf

    names = model.config.par_names
    start, held = model.config.suggested_init(), model.config.suggested_fixed()
    for name, value in fixed.items():
        start[names.index(name)], held[names.index(name)] = value, True
    with quiet():
        pyhf.set_backend("numpy", "minuit")
        best, twice_nll = pyhf.infer.mle.fit(
            data, model, init_pars=start, fixed_params=held, return_fitted_val=True
        )
    return dict(zip(names, map(float, best), strict=True)), float(twice_nll)


class Newton:
    """Newton's method on `Folded`, started where minuit stopped."""

    def __init__(self, folded: Folded) -> None:
        function = lambda v: -2 * folded.log_pdf(v[:11], v[11:])  # noqa: E731
        self.names = (*PHYSICS, *folded.names)
        self.value, self.gradient = jax.jit(function), jax.jit(jax.grad(function))
        self.hessian = jax.jit(jax.hessian(function))

    def fit(self, start: dict[str, float], fixed: dict[str, float]) -> dict[str, Any]:
        """Return the minimum over what is not fixed, with C_SL >= 0.

        -2 log L depends on C_SL^2, so that C_SL = 0 is a stationary point; it is the minimum if the
        derivative by C_SL^2 (half the second one by C_SL) is not negative.
        """
        values = {**start, **fixed, "csl": 0.0}
        point = np.array([values[name] for name in self.names])
        free = np.array([n not in fixed and n != "csl" for n in self.names])
        for _ in range(30):
            gradient = np.asarray(self.gradient(point))[free]
            step = np.linalg.solve(np.asarray(self.hessian(point))[np.ix_(free, free)], gradient)
            point[free] -= step
            if gradient @ step < 1e-16:
                break
        else:
            raise RuntimeError(f"no convergence, {gradient @ step:.1e} left")
        scalar = self.names.index("csl")
        return {
            "twice_nll": float(self.value(point)),
            "coefficients": point[:3].tolist(),
            "form_factors_decorrelated": point[3:11].tolist(),
            "slope_in_C_SL_squared": float(self.hessian(point)[scalar, scalar]) / 2,
        }


def run() -> dict[str, Any]:
    """Run the chain and return what tests/fixtures/wet_chain/results.json holds."""
    import bknn

    belle2 = bknn.data.load("belle2-2025")
    packages = ("eoshep", "redistpy", "pyhf", "iminuit", "jax")
    results: dict[str, Any] = {"versions": {p: importlib.metadata.version(p) for p in packages}}
    begin = time.perf_counter()
    sampled = sampled_posterior()
    sampling = time.perf_counter() - begin
    published, exact = published_posterior(), exact_posterior()
    results["exact_form_factors"] = {
        "names": FORM_FACTORS, "mean": exact.mean.tolist(), "covariance": exact.covariance.tolist()
    }  # fmt: skip
    results["sampled_against_published"] = {
        "mean_in_sigma": float(np.abs((sampled.mean - published.mean) / published.sigma).max()),
        "sigma_ratio": (sampled.sigma / published.sigma).tolist(),
        "published_sigma_over_exact": (published.sigma / exact.sigma).tolist(),
    }
    model, data = literal_model(belle2, published)
    results["minuit"], starts = {}, {}
    seconds = {"sampling": sampling}
    for name, fixed in FITS.items():
        begin = time.perf_counter()
        starts[name], twice_nll = minuit_fit(model, data, fixed)
        seconds[f"minuit {name}"] = time.perf_counter() - begin
        found = [starts[name][c] for c in COEFFICIENTS]
        results["minuit"][name] = {"twice_nll": twice_nll, "coefficients": found}
    at = np.array([starts["free"][n] for n in model.config.par_names])
    begin = time.perf_counter()
    for i in range(20):
        model.logpdf(at + 1e-3 * i, data)  # another point each time: redist keeps what it computed
    seconds["log pdf at a new point"] = (time.perf_counter() - begin) / 20
    results["seconds"] = seconds
    jax.config.update("jax_enable_x64", True)
    for label, posterior in {"published": published, "exact": exact}.items():
        newton = Newton(Folded(belle2, posterior, "jax"))
        results[label] = {n: newton.fit(starts[n], fixed) for n, fixed in FITS.items()}
    return results


if __name__ == "__main__":
    text = json.dumps(run(), indent=1) + "\n"
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES / "results.json"
    target.write_text(text)
    print(text)
