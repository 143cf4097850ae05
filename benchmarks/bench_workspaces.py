"""The first fit of a workspace: a whole process, from reading to the minimum, beside pyhf's.

python benchmarks/bench_workspaces.py

Compiling is nearly all of it, so it is shown how that grows with the number of factors on a sample.
Times are those of the processor, user and system, which a busy machine changes least.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from timing import machine

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures" / "workspaces"
ATLAS = ("atlas-3l-erjr", "atlas-sbottom-sra", "atlas-stau-lowmass")

OURS = """
import sys, warnings
warnings.simplefilter("ignore")
import bknn
bknn.enable_x64()
from bknn import inference, models
analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load(sys.argv[1]))
print(analysis.size, float(inference.fit(analysis).twice_nll))
"""

PYHF = """
import json, sys, warnings
warnings.simplefilter("ignore")
import pyhf
workspace = pyhf.Workspace(json.load(open(sys.argv[1])))
codes = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
model = workspace.model(modifier_settings=codes)
pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(maxiter=1_000_000))
fitted = pyhf.infer.mle.fit(workspace.data(model), model, return_fitted_val=True)
print(model.config.npars, float(fitted[1]))
"""


def many_factors(n: int) -> dict[str, Any]:
    """One background with n normsys."""
    modifiers = [
        {
            "name": f"n{i}",
            "type": "normsys",
            "data": {"lo": 1 - 0.01 * (1 + i % 5), "hi": 1 + 0.012 * (1 + i % 4)},
        }
        for i in range(n)
    ]
    mu = {"name": "mu", "type": "normfactor", "data": None}
    samples = [
        {"name": "s", "data": [5.0] * 3, "modifiers": [mu]},
        {"name": "b", "data": [50.0] * 3, "modifiers": modifiers},
    ]
    return {
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": [57.0, 54.0, 51.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def processor_seconds(code: str, path: Path) -> tuple[float, str]:
    """Run a process; return its time and what it printed."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    time = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time, done.stdout.split("\n")[-2]


def main() -> None:
    print(machine())
    print(f"{'':24}{'bknn':>8}{'pyhf':>8}{'ratio':>8}   parameters, -2 log L of each")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workspace.json"
        for name in [*(str(n) for n in (10, 20, 40, 80, 160)), *ATLAS]:
            if name in ATLAS:
                content = gzip.decompress((FIXTURES / f"{name}.json.gz").read_bytes())
                path.write_bytes(content)
            else:
                path.write_text(json.dumps(many_factors(int(name))))
            (ours, found), (theirs, expected) = (
                processor_seconds(code, path) for code in (OURS, PYHF)
            )
            label = name if name in ATLAS else f"{name} normsys"
            print(
                f"{label:24}{ours:>6.1f} s{theirs:>6.1f} s{ours / theirs:>8.2f}   {found}; "
                f"{expected}",
                flush=True,
            )


if __name__ == "__main__":
    main()
