"""How much memory this process has had at most. Knows nothing of what it was needed for."""

from __future__ import annotations

import resource
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak() -> float:
    """MiB. What `getrusage` tells on Linux is the peak of the process that started this one, where that was higher."""
    if STATUS.exists():
        sizes = dict(line.split(":", 1) for line in STATUS.read_text(encoding="ascii").splitlines() if ":" in line)
        return int(sizes["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
