"""Pieces of a run on a Dask scheduler with certificates: dead workers, strangers, a dead head."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bknn
from bknn import errors, models
from bknn.run.cluster import Cluster

from ..small import one_bin

ROOT = Path(__file__).parents[3]

pytest.importorskip("distributed")
pytestmark = [
    # Of Dask's own sockets, when the other end was killed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificates"),
]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate of one's own, in the settings by which Dask finds it."""
    folder = tmp_path_factory.mktemp("tls")
    words = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2"
    names = ("-subj", "/CN=bknn", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run([*words.split(), *names], cwd=folder, check=True, capture_output=True)
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    found = {f"{tls}CA_FILE": str(folder / "cert.pem")}
    for who in ("SCHEDULER", "WORKER", "CLIENT"):
        found |= {
            f"{tls}{who}__CERT": str(folder / "cert.pem"),
            f"{tls}{who}__KEY": str(folder / "key.pem"),
        }
    return found | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}


@pytest.fixture
def head(
    certificates: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """A scheduler and two workers."""
    import dask

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in certificates.items():
        monkeypatch.setenv(name, value)
    dask.config.refresh()
    where = f"tls://127.0.0.1:{port}"
    own = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "cwd": tmp_path}
    own |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def start(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]], **own
        )

    scheduler = start("dask_scheduler", "--host", where, "--no-dashboard")
    workers = [
        start("dask_worker", where, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        for _ in range(2)
    ]
    yield {"where": where, "scheduler": scheduler, "workers": workers}
    for process in (*workers, scheduler):
        process.kill()
        process.wait()
    monkeypatch.undo()
    dask.config.refresh()


def _where(analysis: bknn.Analysis, *, progress: Any, n: int) -> dict[str, np.ndarray]:
    """A piece: who computes, and what."""
    time.sleep(0.5)
    value = float(analysis.log_likelihood(analysis.init)) + n
    return {"value": np.array([value]), "process": np.array([os.getpid()])}


def _analysis() -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), one_bin())


def test_a_worker_that_dies_costs_nothing(head):
    analysis = _analysis()
    expected = float(analysis.log_likelihood(analysis.init))
    found = {}
    with Cluster(head["where"]) as pool:
        for i, piece in pool.each(_where, analysis, [{"n": n} for n in range(20)]):
            found[i] = piece["value"][0]
            if len(found) == 3:
                head["workers"][0].send_signal(signal.SIGKILL)
    np.testing.assert_allclose([found[i] for i in range(20)], expected + np.arange(20), rtol=1e-12)


def test_a_scheduler_that_dies_is_told(head):
    def run(pool):
        for _ in pool.each(_where, _analysis(), [{"n": n} for n in range(20)]):
            head["scheduler"].send_signal(signal.SIGKILL)

    gone = pytest.raises(errors.RunError, match=r"scheduler is gone, .* go on with --resume")
    with Cluster(head["where"]) as pool, gone:
        run(pool)


def test_strangers_are_refused(head, monkeypatch):
    """Neither without a certificate nor without encryption."""
    import dask
    from distributed import Client

    with Cluster(head["where"]):
        pass  # it is there
    for name in list(os.environ):
        if name.startswith("DASK_DISTRIBUTED__COMM"):
            monkeypatch.delenv(name)
    dask.config.refresh()
    monkeypatch.setattr("bknn.run.cluster._PATIENCE", 5)
    with pytest.raises(errors.RunError, match="no Dask scheduler answers there"):
        Cluster(head["where"])
    with pytest.raises((OSError, TimeoutError)):
        Client(head["where"].replace("tls", "tcp"), timeout=5)
