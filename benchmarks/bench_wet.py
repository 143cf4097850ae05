"""Value and gradient of the WET log density, theory included, beside redist on JAX; and fits.

    python benchmarks/bench_wet.py [--minuit]

239 parameters: 3 Wilson coefficients, 8 of form factors, 228 nuisances. redist 2.0 runs on pyhf's
JAX backend with the theory below, which is EOS's, so that both compute the same number. With
`--minuit` the public chain (EOS, redist, pyhf, minuit) is fitted too, which takes most of a minute.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyhf
from timing import first, machine, seconds

import bknn
from bknn import inference, models

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "peers"))
import public_chain

BATCHES = (1, 256, 1024)
POINT = {"C_VL": 8.0, "C_SL": 2.0, "C_TL": 4.0}
THEIRS = {"C_VL": "cvl", "C_SL": "csl", "C_TL": "ctl"}


def wet(q2, cvl, csl, ctl, p0, p1, p2, z1, z2, t0, t1, t2):
    """dB/dq2 of B+ -> K+ nu nubar (arXiv:2111.04327, eq. 8) with the inputs of EOS 1.0.21."""
    plus, minus = (5.279 + 0.492) ** 2, (5.279 - 0.492) ** 2
    start = jnp.sqrt(plus) * (1.0 - minus / plus) ** 0.25
    z = lambda x: (jnp.sqrt(plus - x) - start) / (jnp.sqrt(plus - x) + start)  # noqa: E731
    y = z(q2) - z(0.0)
    f_plus = (p0 + p1 * y + p2 * y**2) / (1.0 - q2 / 5.415**2)
    f_zero = (p0 + z1 * y + z2 * y**2) / (1.0 - q2 / 5.63**2)
    f_t = (t0 + t1 * y + t2 * y**2) / (1.0 - q2 / 5.415**2)
    m_b, m_k, m_quarks = 5.27934, 0.493677, 4.169889249562193 - 0.0796169427862923
    kallen = (m_b**2 - m_k**2 - q2) ** 2 - 4.0 * m_k**2 * q2
    kallen = jnp.where(q2 < (m_b - m_k) ** 2, kallen, 0.0)
    coupling = 4.0 * 1.1663787e-5 / 133.0 / (2.0 * jnp.pi) * 0.04117549192573447
    norm = 1.5 * coupling**2 * jnp.sqrt(kallen) / (4.0 * jnp.pi * m_b) ** 3
    vector = kallen / 24.0 * f_plus**2 * cvl**2
    scalar = q2 / 8.0 * ((m_b**2 - m_k**2) / m_quarks * f_zero * csl) ** 2
    tensor = 2.0 / 3.0 * q2 * kallen * (f_t * ctl / (m_b + m_k)) ** 2
    rate = norm * (vector + scalar + tensor) * 1.641e-12 / 6.58211928e-25
    return jnp.where(q2 < 0.0, 0.0, rate)


def start_of(analysis):
    """A point off the symmetric ones, form factors and nuisances at their centres."""
    return np.asarray(analysis.flatten({**analysis.init, **POINT}))


def main() -> None:
    bknn.enable_x64()
    print(machine())
    belle2 = bknn.data.load("belle2-2025")
    form_factors = public_chain.exact_posterior()

    model = models.load("wet", inputs="eos-1.0.21")
    reference = bknn.Analysis(model, belle2, response="reweighting")
    smooth = bknn.Analysis(model, belle2)
    cases = {f"bknn, {a.response}": (a.log_density, start_of(a)) for a in (reference, smooth)}

    pyhf.set_backend("jax", precision="64b")
    peer, data = public_chain.literal_model(belle2, form_factors, wet)
    data = jnp.asarray(data)
    centre = np.array(peer.config.suggested_init())
    for name, value in POINT.items():
        centre[peer.config.par_names.index(THEIRS[name])] = value
    cases["redist 2.0 on JAX"] = (lambda x: peer.logpdf(x, data)[0], centre)
    ours = float(reference.log_density(start_of(reference)))
    theirs = float(peer.logpdf(jnp.asarray(centre), data)[0])
    print(f"log pdf at one point: bknn {ours:.10f}, redist {theirs:.10f}")

    print(f"{'value and gradient':28}{'batch':>8}{'compile s':>12}{'us/point':>12}{'best':>10}")
    random = np.random.default_rng(1)
    slowest: dict[int, float] = {}
    for name, (function, centre) in reversed(cases.items()):
        both = jax.value_and_grad(function)
        for batch in BATCHES:
            many = jnp.asarray(centre + 1e-2 * random.normal(size=(batch, len(centre))))
            if batch == 1:
                call, argument = jax.jit(both), many[0]
            else:
                if "redist" in name and batch > 256:
                    continue
                call, argument = jax.jit(jax.vmap(both)), many
            compile_time = first(call, argument)
            median, best = seconds(call, argument, repeat=200 if batch == 1 else 20)
            ratio = slowest.setdefault(min(batch, 256), median / batch) / (median / batch)
            print(
                f"{name:28}{batch:>8}{compile_time:>12.2f}{1e6 * median / batch:>12.2f}"
                f"{1e6 * best / batch:>10.2f}   {ratio:6.1f} x redist"
            )
    pyhf.set_backend("numpy", "minuit")
    for analysis in (reference, smooth):
        fit(analysis)
    chain(belle2, form_factors)


def fit(analysis) -> None:
    compile_time = first(lambda: inference.fit(analysis).twice_nll)
    median, best = seconds(lambda: inference.fit(analysis).twice_nll, repeat=30)
    times = f"{1e3 * median:.1f} ms (best {1e3 * best:.1f}), the first one {compile_time:.1f} s"
    print(f"bknn, {analysis.response}: fit {times}")


def chain(belle2, form_factors) -> None:
    model, data = public_chain.literal_model(belle2, form_factors)
    centre = np.array(model.config.suggested_init())
    with public_chain.quiet():
        times = []
        for i in range(30):
            start = time.perf_counter()
            model.logpdf(centre + 1e-4 * (i + 1), data)
            times.append(time.perf_counter() - start)
        print(f"public chain: one log pdf at a new point {1e3 * np.median(times):.1f} ms")
        if "--minuit" in sys.argv:
            start = time.perf_counter()
            _, twice_nll = public_chain.minuit_fit(model, data, {})
            print(f"public chain: fit {time.perf_counter() - start:.0f} s, {twice_nll:.5f}")


if __name__ == "__main__":
    main()
