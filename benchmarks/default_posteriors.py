"""`bknn sample MODEL` with its defaults, of every model: does it converge?

python benchmarks/default_posteriors.py            all models, one row of a table each
python benchmarks/default_posteriors.py scalar wet
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bknn import models


def run(model: str) -> dict[str, Any]:
    """Sample a model by the shell command; what came out, and the CPU seconds it took."""
    before = _seconds()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bknn.cli", "sample", model, "--out", folder]
        code = subprocess.run(
            [*command, "--predictive", "0", "--no-figures"], capture_output=True, check=False
        ).returncode
        result = Path(folder) / "result.json"
        found = json.loads(result.read_text()) if result.exists() else {}
    return {"model": model, "code": code, "seconds": _seconds() - before, "result": found}


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(found: dict[str, Any]) -> str:
    """One line of the table."""
    sampling = found["result"].get("sampling", {})
    cells = [
        f"`{found['model']}`",
        sampling.get("method", ""),
        sampling.get("draws", ""),
        f"{sampling['worst_r_hat']['value']:.3f}" if sampling else "",
        f"{sampling['least_ess_bulk']['value']:.0f}" if sampling else "",
        f"{sampling['least_ess_tail']['value']:.0f}" if sampling else "",
        f"{found['seconds']:.0f}",
        found["code"],
    ]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def main() -> int:
    print("| model | sampler | draws a chain | R-hat | bulk | tails | CPU seconds | exit code |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    failed = False
    for model in sys.argv[1:] or models.available():
        found = run(model)
        failed |= found["code"] != 0
        print(row(found), flush=True)
        print(found["result"].get("sampling", {}).get("status", "no result"), file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
