"""`bknn fit signal-strength` from the shell: with an empty compilation cache, and again.

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
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as out:
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache}
        for arguments in (
            ["fit", "signal-strength"],
            ["fit", "signal-strength"],
            ["fit", "signal-strength", "--out", out],
            ["fit", "resonance"],
            ["fit", "resonance", "--out", out],
        ):
            start = time.perf_counter()
            subprocess.run([program, *arguments], env=environment, check=True, capture_output=True)
            shown = " ".join(a if a != out else "DIR" for a in arguments)
            print(f"bknn {shown:40}{time.perf_counter() - start:8.2f} s")


if __name__ == "__main__":
    main()
