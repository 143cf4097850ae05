"""`bknn fit` from the shell: with an empty compilation cache, and again.

python benchmarks/bench_cli.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import machine


def main() -> None:
    print(machine())
    program = str(Path(sys.executable).parent / "bknn")
    print(f"{'':44}{'first':>8}{'second':>10}")
    for arguments in (
        ["fit", "signal-strength"],
        ["fit", "signal-strength", "--out", "DIR"],
        ["fit", "resonance"],
        ["fit", "resonance", "--out", "DIR"],
    ):
        with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as out:
            environment = {**os.environ, "XDG_CACHE_HOME": cache}
            environment.pop("JAX_COMPILATION_CACHE_DIR", None)
            command = [program, *(out if a == "DIR" else a for a in arguments)]
            times = []
            for _ in range(2):
                start = time.perf_counter()
                subprocess.run(command, env=environment, check=True, capture_output=True)
                times.append(time.perf_counter() - start)
        print(f"bknn {' '.join(arguments):39}{times[0]:>8.2f} s{times[1]:>8.2f} s")


if __name__ == "__main__":
    main()
