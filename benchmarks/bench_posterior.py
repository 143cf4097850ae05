"""The posterior of the Belle II likelihood, beside numpyro on pyhf and emcee in the same run.

python benchmarks/bench_posterior.py           the claimed numbers, about twelve minutes
python benchmarks/bench_posterior.py --quick   every part for a short time, to see that it works

232 parameters: mu, uniform within its bounds, and 231 nuisances. numpyro has pyhf's JAX log pdf,
parameters with bounds on the real line, and no whitening but its own adaptation; emcee has our
log posterior, all walkers in one call. Numbers of peers hold only where R-hat says that they have
converged; else they are what there is after the time given. Effective draws of emcee are walkers
times steps over the autocorrelation time, which a short run takes for shorter than it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pyhf
from numpyro import distributions
from numpyro.distributions import constraints
from timing import first, machine, seconds

import bknn
from bknn import inference, models
from bknn.inference.posteriors.posterior import diagnostic

QUICK = "--quick" in sys.argv

#: Seconds for each of the peers, warm-up not included.
LIMIT = 20 if QUICK else 180

#: Above this R-hat the effective draws of a peer mean nothing: its walkers are where they began.
CONVERGED = 1.1


class Row(NamedTuple):
    """A sampler's line of the table."""

    name: str
    seconds_all: float
    seconds_run: float
    draws: str
    r_hat: float
    bulk: float
    tail: float
    note: str

    @property
    def rate(self) -> float:
        """Effective draws of the worst parameter, a second, without compilation."""
        return min(self.bulk, self.tail) / self.seconds_run


def row(
    name: str,
    draws: np.ndarray,
    seconds_all: float,
    seconds_run: float,
    text: str,
    note: str,
    effective: float | None = None,
) -> Row:
    """Measure draws (chains, draws, n) of all parameters."""
    found = Row(
        name,
        seconds_all,
        seconds_run,
        text,
        float(np.max(diagnostic("rhat", draws, method="rank"))),
        effective or float(np.min(diagnostic("ess", draws, method="bulk"))),
        effective or float(np.min(diagnostic("ess", draws, method="tail"))),
        note,
    )
    print(
        f"{name:34}{found.draws:>12}{seconds_all:>10.1f} s{seconds_run:>10.1f} s{found.r_hat:>8.3f}"
        f"{found.bulk:>8.0f}{found.tail:>8.0f}{found.rate:>10.2f}   {note}",
        flush=True,
    )
    return found


def ours(analysis: bknn.Analysis) -> Row:
    chains, draws = 4, 100 if QUICK else 1000
    call = lambda seed: inference.sample(analysis, chains=chains, draws=draws, seed=seed)  # noqa: E731
    start = time.perf_counter()
    posterior = call(1)
    seconds_all = time.perf_counter() - start
    values = posterior.draws[..., posterior.moving]
    return row(
        "bknn, NUTS, whitened",
        values,
        seconds_all,
        posterior.seconds_run,
        f"{chains} x {draws}",
        f"{posterior.divergences} divergences",
    )


def numpyro_on_pyhf(measurement: Any, mu: tuple[float, float]) -> Row:
    """NUTS of numpyro, all settings its defaults, two chains side by side."""
    chains, warmup, piece = (2, 20, 10) if QUICK else (2, 300, 50)
    pyhf.set_backend("jax")
    workspace = pyhf.Workspace(measurement.workspace)
    model = workspace.model()
    data = jnp.asarray(workspace.data(model))
    bounds = np.array(model.config.suggested_bounds(), float)
    bounds[model.config.poi_index] = mu
    inside = constraints.independent(constraints.interval(*jnp.asarray(bounds).T), 1)

    def program() -> None:
        prior = distributions.ImproperUniform(inside, (), (len(bounds),))
        theta = numpyro.sample("theta", prior)
        numpyro.factor("pyhf", model.logpdf(theta, data)[0])

    centre = jnp.clip(jnp.asarray(model.config.suggested_init()), bounds[:, 0], bounds[:, 1])
    sampler = numpyro.infer.MCMC(
        numpyro.infer.NUTS(
            program, init_strategy=numpyro.infer.init_to_value(values={"theta": centre})
        ),
        num_warmup=warmup,
        num_samples=piece,
        num_chains=chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    compiling: list[float] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiling.append(seconds) if "compile" in event else None
    )
    begin = time.perf_counter()
    sampler.warmup(jax.random.PRNGKey(1))
    warm = time.perf_counter() - begin
    parts, steps, divergences = [], [], 0
    start = time.perf_counter()
    most = 20 if QUICK else 1000
    while sum(len(p[0]) for p in parts) < most and time.perf_counter() - start < LIMIT:
        sampler.run(jax.random.PRNGKey(2 + len(parts)), extra_fields=("num_steps", "diverging"))
        sampler.post_warmup_state = sampler.last_state
        parts.append(np.asarray(sampler.get_samples(group_by_chain=True)["theta"]))
        fields = sampler.get_extra_fields()
        steps.append(float(np.mean(fields["num_steps"])))
        divergences += int(np.sum(fields["diverging"]))
    pyhf.set_backend("numpy")
    drawn = np.concatenate(parts, axis=1)
    drawn = drawn[..., np.ptp(drawn, axis=(0, 1)) > 0]
    taken = time.perf_counter() - begin
    return row(
        "numpyro NUTS on pyhf's JAX log pdf",
        drawn,
        taken,
        taken - sum(compiling),
        f"{chains} x {drawn.shape[1]}",
        f"{divergences} divergences, {np.mean(steps):.0f} steps a draw, warm-up of {warmup} draws "
        f"{warm:.0f} s (compilation included)",
    )


def emcee_on_ours(analysis: bknn.Analysis) -> Row:
    """The affine invariant ensemble, from a ball around the best fit; first half left out."""
    import emcee

    lower, upper = analysis.bounds.T
    best = inference.fit(analysis)
    n = analysis.size
    walkers = 2 * n + 16
    random = np.random.default_rng(1)
    width = np.minimum(0.3 * np.asarray(best.uncertainty_vector), 0.1 * (upper - lower))
    begin = best.vector + width * random.standard_normal((walkers, n))
    begin = np.clip(begin, lower + 1e-6 * width, upper - 1e-6 * width)
    program = jax.jit(jax.vmap(lambda v: analysis.log_posterior(analysis.unflatten(v))))

    def log_posterior(rows: np.ndarray) -> np.ndarray:
        # Half of the walkers move at a time; always so many rows, compiled once.
        padded = np.concatenate([rows, np.repeat(rows[:1], walkers - len(rows), axis=0)])
        values = np.asarray(program(padded))[: len(rows)]
        inside = np.all((rows >= lower) & (rows <= upper), axis=1)
        return np.where(inside & np.isfinite(values), values, -np.inf)

    compile_time = first(lambda: log_posterior(begin))
    sampler = emcee.EnsembleSampler(walkers, n, log_posterior, vectorize=True)
    start = time.perf_counter()
    state: Any = begin
    most = 100 if QUICK else 100_000
    sampler.random_state = np.random.RandomState(1).get_state()
    while sampler.iteration < most and time.perf_counter() - start < LIMIT:
        state = sampler.run_mcmc(state, 50)
    taken = time.perf_counter() - start
    steps = sampler.iteration
    kept = sampler.get_chain(discard=steps // 2, thin=max(1, steps // 400))
    # The mean over walkers, without those that have not moved.
    half = sampler.get_chain(discard=steps // 2)
    half = half[:, np.all(np.ptp(half, axis=0) > 0, axis=1)]
    tau = float(np.max(emcee.autocorr.integrated_time(half, quiet=True, tol=0)))
    return row(
        "emcee on our log posterior",
        np.moveaxis(kept, 0, 1),
        taken + compile_time,
        taken,
        f"{walkers} x {steps}",
        f"autocorrelation of {tau:.0f} steps at worst, {steps / tau:.1f} times in the run; "
        f"acceptance {np.mean(sampler.acceptance_fraction):.2f}",
        effective=walkers * len(half) / tau,
    )


def report(name: str, call: Callable[[], Any], note: Callable[[Any], str], n: int = 1) -> None:
    """Print the first call and the median of a few."""
    found: list[Any] = []
    cold = first(lambda: found.append(call()))
    median, _ = seconds(lambda: found.append(call()), repeat=1 if QUICK else 3)
    print(
        f"{name:48}{cold:>9.1f} s{median:>9.2f} s{1e3 * median / n:>10.3f} ms   {note(found[-1])}",
        flush=True,
    )


def main() -> None:
    bknn.enable_x64()
    print(machine())
    belle2 = bknn.data.load("belle2-2025")
    strength = bknn.Analysis(models.load("signal-strength"), belle2)
    print(
        f"{'':34}{'draws':>12}{'in all':>12}{'then':>12}{'R-hat':>8}{'bulk':>8}{'tail':>8}"
        f"{'ESS/s':>10}"
    )
    low, high = strength.bounds[strength.index("mu")]
    mine = ours(strength)
    peers = [numpyro_on_pyhf(belle2, (float(low), float(high))), emcee_on_ours(strength)]
    for peer in peers:
        if peer.r_hat > CONVERGED:
            print(f"no ratio to {peer.name}: it has not converged (R-hat {peer.r_hat:.2f})")
            continue
        ratio = mine.rate / peer.rate
        print(f"effective draws a second, ratio to {peer.name}: {ratio:,.1f}")

    print(f"\n{'':48}{'first':>11}{'median':>11}{'a point':>13}")
    resonance = bknn.Analysis(
        models.load("resonance"),
        belle2,
        free=["width"],
        priors={"mass": "uniform(1.5, 3.0)", "branching_ratio": "uniform(0, 24e-6)"},
    )
    narrow = {"width": 0.1}
    draws = 100 if QUICK else 1000

    def quality(posterior: inference.Posterior) -> str:
        bulk, tail = np.nanmin(posterior.ess_bulk), np.nanmin(posterior.ess_tail)
        return (
            f"R-hat {np.nanmax(posterior.r_hat):.3f}, bulk {bulk:.0f}, tail {tail:.0f}, "
            f"log evidence {posterior.log_evidence}"
        )

    report(
        f"resonance, tempered, 4 x {draws}",
        lambda: inference.sample(resonance, fixed=narrow, method="tempered", draws=draws),
        quality,
        4 * draws,
    )
    over = {"mass": np.linspace(1.5, 3.0, 40), "branching_ratio": np.linspace(0, 24e-6, 25)}
    report(
        "resonance, marginal over 40 x 25",
        lambda: inference.marginal(resonance, over, fixed=narrow),
        lambda found: f"log evidence {found.log_evidence:.3f}",
        1000,
    )
    wet = bknn.Analysis(models.load("wet"), belle2)
    grid = {name: np.linspace(0, 20, 12) for name in ("C_VL", "C_SL", "C_TL")}
    report(
        "wet, marginal over 12 x 12 x 12",
        lambda: inference.marginal(wet, grid),
        lambda found: f"log evidence {found.log_evidence:.3f}",
        12**3,
    )


if __name__ == "__main__":
    main()
