"""What importing the app costs above what Azure's own two packages cost, in the same process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.report import Measure

RUNS = 5
_CODE = """
import sys, time
import azure.functions, azure.durable_functions
before = time.process_time()
import function_app
print(time.process_time() - before, sum(name.startswith(("msgraph", "kiota")) for name in sys.modules))
"""


def starting() -> list[Measure]:
    runs = [_run() for _ in range(RUNS)]
    seconds, modules = min(seconds for seconds, _ in runs), runs[0][1]
    return [
        ("import of function_app above azure.functions and durable: CPU seconds", f"{seconds:.2f}", "at most 0.5"),
        ("modules of msgraph and kiota loaded by it", f"{modules}", "at most 0"),
    ]


def _run() -> tuple[float, int]:
    root = Path(__file__).parent.parent.parent
    said = subprocess.run([sys.executable, "-c", _CODE], cwd=root, capture_output=True, text=True, check=True).stdout
    seconds, modules = said.split()
    return float(seconds), int(modules)
