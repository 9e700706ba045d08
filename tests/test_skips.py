"""A laptop may skip what it has no browser for; CI may skip nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.served import ROOT

TESTS = """
import pytest

def test_that_passes():
    pass

def test_that_is_skipped():
    pytest.skip("no browser here")
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
@pytest.mark.parametrize(("skips", "code"), [("", 0), ("fail", 1)])
def test_a_skip_fails_the_run_where_that_is_asked_for(tmp_path, workers, skips, code):
    (tmp_path / "test_some.py").write_text(TESTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path), *workers, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "SKIPS": skips},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 1 skipped" in done.stdout
    assert done.returncode == code
