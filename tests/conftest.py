"""The strict conditions under which everything is tested.

Two virtual CPU devices, double precision, no silent rank promotion; warnings are errors
(pyproject.toml). With BKNN_PEERS_REQUIRED=1 a peer test that would be skipped fails instead.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

# XLA reads this once, when JAX makes its first array; so it stands before every other import.
# Most of the time goes into compiling: fast rather than well halves it. What is given comes first.
OPTIONS: dict[str, int | str] = {
    "force_host_platform_device_count": 2,
    "backend_optimization_level": 0,
    "cpu_parallel_codegen_split_count": 1,
}
# These make kernels that are as fast and take XLA a third longer; later versions may not know them.
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):
    OPTIONS["cpu_use_fusion_emitters"] = "false"
given = os.environ.get("XLA_FLAGS", "")
os.environ["XLA_FLAGS"] = " ".join(
    [given, *(f"--xla_{name}={x}" for name, x in OPTIONS.items() if f"--xla_{name}" not in given)]
).strip()
os.environ.setdefault("MPLBACKEND", "Agg")
# What one worker or module has compiled the others need not compile again. Kept for one run only:
# a run from nothing must work from nothing.
CACHE = tempfile.TemporaryDirectory(prefix="bknn-xla-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", CACHE.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import hypothesis
import jax
import pytest

# Not through the environment: a `bknn` started by a test must find its own way to x64.
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

# `pytest.approx` also accepts what is off by 1e-12, so that every cross section in cm^2 would equal
# every other one: of small numbers only the relative tolerance counts.
type(pytest.approx(1.0)).DEFAULT_ABSOLUTE_TOLERANCE = property(
    lambda self: 0.0 if 0.0 < abs(self.expected) < 1e-6 else 1e-12
)

# The same examples in every run, on every machine; `make nightly` draws new ones.
# Compilation makes the first example slow, so time says nothing.
hypothesis.settings.register_profile("default", deadline=None, derandomize=True)
hypothesis.settings.register_profile("nightly", deadline=None, print_blob=True)
hypothesis.settings.load_profile("default")


@pytest.fixture(scope="module", autouse=True)
def forget_what_was_compiled() -> Iterator[None]:
    """Thousands of compiled programs would take gigabytes until the end of the run, and more pieces
    of memory than Linux allows a process (65,530); a few of them save the next module some time."""
    yield
    if _pieces_of_memory() > 16_000:
        jax.clear_caches()


def _pieces_of_memory() -> float:
    try:
        return len(Path("/proc/self/maps").read_text().splitlines())
    except OSError:  # not Linux
        return math.inf


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """Compile without LLVM's expensive passes, too: where most of the time goes into compiling."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


PEERS = Path(__file__).parent / "peers"
PEERS_REQUIRED = os.environ.get("BKNN_PEERS_REQUIRED", "0") not in ("", "0")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if PEERS in item.path.parents:
            item.add_marker(pytest.mark.peers)


def _not_skipped(report: pytest.TestReport | pytest.CollectReport, path: Path) -> None:
    """Turn a skip in tests/peers into a failure; an expected failure stays what it is."""
    if not (PEERS_REQUIRED and report.skipped and PEERS in path.parents):
        return
    if hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = (
        f"{report.nodeid} was skipped ({reason}), but BKNN_PEERS_REQUIRED is set: an agreement "
        "that was not checked must not look like one. Install the peers (make test does)."
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    _not_skipped(report, item.path)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    _not_skipped(report, getattr(collector, "path", Path()))
    return report
