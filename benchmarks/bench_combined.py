"""A grid of two couplings and a mass, all data together, every nuisance fitted at each point.

    python benchmarks/bench_combined.py [N]

The grid has N x N x N points, 20 by default.
"""

from __future__ import annotations

import sys
import time

import jax
import numpy as np

import bknn

bknn.enable_x64()

from bknn import inference, models

DATA = ("belle2-2025", "babar-2013", "belle-2017", "aleph-bs-invisible")
#: Model, couplings with their largest values, and masses in GeV.
GRIDS = (
    ("scalar", {"g_S": 3e-8, "g_P": 1.5e-7}, (0.5, 4.0)),
    ("vector", {"h_V": 2e-8, "h_A": 6e-8}, (0.5, 4.0)),
    ("fermion-pair", {"f_VA": 6.0, "f_AA": 6.0}, (0.1, 2.2)),
)


def main(n: int) -> None:
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {len(jax.devices())} device(s)")
    print(f"{'model':14} {'points':>7} {'parameters':>11} {'first':>8} {'again':>8} {'a point':>9}")
    sets = [bknn.data.load(name) for name in DATA]
    for name, largest, masses in GRIDS:
        start = time.perf_counter()
        analysis = bknn.Analysis(models.load(name, floats=tuple(largest)), sets)
        over = {"mass": np.linspace(*masses, n)}
        over |= {c: np.linspace(0.0, high, n) for c, high in largest.items()}
        found = inference.profile(analysis, over)
        first = time.perf_counter() - start
        start = time.perf_counter()
        found = inference.profile(analysis, over)
        again = time.perf_counter() - start
        print(
            f"{name:14} {n**3:7} {analysis.size:11} {first:7.1f}s {again:7.1f}s "
            f"{1e3 * again / n**3:7.2f}ms   {found.status}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
