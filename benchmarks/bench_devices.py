"""From which batch size on an accelerator pays: profiles over the mass and toys, on each backend.

python benchmarks/bench_devices.py            # time a fit against the number of fits
python benchmarks/bench_devices.py --full     # 10^5 mass-grid fits and 10^6 toys, time and memory

Every backend that JAX sees has a process of its own, since JAX keeps to one. On CPUs the small
table stops earlier; give `--most N` for another largest batch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

#: Largest batches of the table.
MOST = {"cpu": 4096, "gpu": 65536}
SIZES = tuple(64 * 4**k for k in range(6))

#: How the cost grows, and what we claim.
GROWTH = (1_000, 10_000, 100_000)
FULL_GRID, FULL_TOYS = 100_000, 1_000_000

#: Toys are thrown and fitted in pieces of so many.
PIECE = 50_000


def backends() -> list[str]:
    """Return the backends that work here; asked in processes of their own."""
    found = []
    for name, platform in (("cpu", "cpu"), ("gpu", "cuda"), ("gpu", "rocm")):
        code = "import jax; jax.devices()"
        environment = {**os.environ, "JAX_PLATFORMS": platform}
        asked = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
        if asked.returncode == 0:
            found.append(f"{name}:{platform}")
    return found


def peak_memory() -> float:
    """Return the largest memory that this process has had, MB."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def device_memory() -> str:
    """Return the largest memory on the devices, where they say."""
    import jax

    stats = [d.memory_stats() or {} for d in jax.devices()]
    peak = sum(s.get("peak_bytes_in_use", 0) for s in stats)
    return f", {peak / 1e6:.0f} MB on the device" if peak else ""


class Work:
    """The two kinds of batch, on whatever JAX runs on."""

    def __init__(self) -> None:
        import numpy as np

        import bknn
        from bknn import inference, models

        bknn.enable_x64()
        belle2 = bknn.data.load("belle2-2025")
        self.inference, self.numpy = inference, np
        self.resonance = bknn.Analysis(models.load("resonance"), belle2)
        self.strength = bknn.Analysis(models.load("signal-strength"), belle2)
        self.truth = inference.fit(self.strength).vector

    def grid(self, n: int) -> int:
        """Fit at n masses, all nuisances profiled; return how many fits failed."""
        masses = self.numpy.linspace(0.1, 4.7, n)
        result = self.inference.fit(self.resonance, fixed={"mass": masses})
        return int(self.numpy.sum(~result.converged))

    def toys(self, n: int, first: int = 0) -> int:
        """Throw n toys of mu and fit them; return how many fits failed."""
        thrown = self.inference.throw(self.strength, self.truth, n, seed=1, first=first)
        result = self.inference.fit(self.strength, data=thrown)
        return int(self.numpy.sum(~result.converged))

    def many_toys(self, n: int) -> int:
        """The same in pieces, so that memory does not grow with n."""
        return sum(self.toys(min(PIECE, n - k), first=k) for k in range(0, n, PIECE))


def timed(call: Callable[[int], int], n: int) -> tuple[float, int]:
    start = time.perf_counter()
    failed = call(n)
    return time.perf_counter() - start, failed


def table(work: Work, most: int) -> dict[str, dict[int, float]]:
    """Print and return microseconds a fit, {kind: {fits: microseconds}}."""
    result: dict[str, dict[int, float]] = {}
    for kind, call in (("mass grid", work.grid), ("toys of mu", work.toys)):
        result[kind] = {}
        for n in (s for s in SIZES if s <= most):
            first, _ = timed(call, n)
            repeated = [timed(call, n) for _ in range(3 if n <= 4096 else 1)]
            best = min(seconds for seconds, _ in repeated)
            result[kind][n] = 1e6 * best / n
            print(
                f"  {kind:12}{n:>8} fits{1e6 * best / n:>12.1f} us a fit"
                f"{best:>10.3f} s   first call {first:.1f} s, {repeated[0][1]} failed",
                flush=True,
            )
    return result


def growth(work: Work, sizes: tuple[int, ...], what: str, call: Callable[[int], int]) -> None:
    """Print time and memory of ever more fits."""
    for n in sizes:
        seconds, failed = timed(call, n)
        print(
            f"  {what:12}{n:>8} fits{seconds:>10.2f} s{1e6 * seconds / n:>10.1f} us a fit"
            f"   peak {peak_memory():.0f} MB{device_memory()}, {failed} failed",
            flush=True,
        )


def one_backend(kind: str, full: bool, most: int | None) -> None:
    """Measure on the backend that the environment names; the last line is for `main`."""
    from timing import machine

    print(machine(), flush=True)
    start = time.perf_counter()
    work = Work()
    print(f"  ready after {time.perf_counter() - start:.1f} s, {peak_memory():.0f} MB", flush=True)
    if full:
        # So that compiling does not count.
        for n in {min(GROWTH), 5000}:
            work.grid(n)
            work.toys(n)
        growth(work, GROWTH, "mass grid", work.grid)
        growth(work, (*GROWTH, FULL_TOYS), "toys of mu", work.many_toys)
        return
    print(json.dumps(table(work, most or MOST[kind])))


def compare(tables: dict[str, dict[str, dict[str, float]]]) -> None:
    """Say from which batch on the accelerator pays."""
    accelerators = [name for name in tables if not name.startswith("cpu")]
    if not accelerators or "cpu:cpu" not in tables:
        print("no accelerator here, so there is nothing to compare the CPU with")
        return
    for name in accelerators:
        for kind, times in tables[name].items():
            # A CPU does not get faster beyond the largest batch it was asked for.
            cpu = tables["cpu:cpu"][kind]
            last = min(cpu.values())
            pays = [int(n) for n, t in times.items() if t < cpu.get(n, last)]
            best = last / min(times.values())
            text = f"pays from {min(pays)} fits on, {best:.1f} times" if pays else "does not pay"
            print(f"{kind} on {name}: {text} (best against best)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="10^5 grid fits and 10^6 toys")
    parser.add_argument("--most", type=int, help="largest batch of the table")
    parser.add_argument("--backend", help="one of cpu:cpu, gpu:cuda, gpu:rocm")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        one_backend(options.here, options.full, options.most)
        return
    tables = {}
    for name in [options.backend] if options.backend else backends():
        kind, platform = name.split(":")
        print(f"{name}", flush=True)
        command = [sys.executable, "-u", __file__, "--here", kind]
        command += ["--full"] * options.full + (["--most", str(options.most)] * bool(options.most))
        process = subprocess.Popen(
            command,
            env={**os.environ, "JAX_PLATFORMS": platform},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                tables[name] = json.loads(line)
            else:
                print(line, end="", flush=True)
        if process.wait():
            raise SystemExit(f"the measurement on {name} failed")
    if not options.full:
        compare(tables)


if __name__ == "__main__":
    main()
