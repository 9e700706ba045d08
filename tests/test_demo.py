"""`make demo` does what it says, in the time it promises, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

from tests.served import ROOT, without_settings


def test_the_demonstration_shows_three_cycles_and_leaves_nothing_behind(tmp_path):
    environ = {**without_settings(), "TMPDIR": str(tmp_path)}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 60
    assert done.stderr == "" or "objects" in done.stderr
    assert done.stdout.count("created   updated   disabled") == 3
    assert "Ada Lovelace" in done.stdout
    assert "last_name 'Gonçalves' -> 'Gonçalves-Novák'" in done.stdout
    assert "deleted in Microsoft Entra ID" in done.stdout
    assert "ServiceNow counted 0 writes." in done.stdout
    assert "ENTRA_TENANT_ID" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert not emulators_in(tmp_path)


def emulators_in(folder: Path) -> list[str]:
    """Processes that were started with a file in the folder, where the system shows them."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(command.read_bytes().decode(errors="replace"))
    return [command for command in found if str(folder) in command]
