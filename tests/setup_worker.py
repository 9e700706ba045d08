"""Installs the Functions worker into a folder of the virtual environment; part of `make setup`.

Microsoft publishes the worker's library for Python 3.13 and later, where the host loads it from the app; for 3.11 it
comes only inside the host. It is the same code and runs on 3.11, so it is installed without asking for the version, and
apart from the app's own packages. The messages between host and worker come with the tests of its sister package.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(sys.prefix) / "functions-worker"
PACKAGES = (
    "azure-functions-runtime==1.3.0",
    "azure-functions-runtime-v1==1.2.0",  # for FunctionRpc_pb2, in its folder tests/protos
    "azurefunctions-extensions-base==1.2.0",
    "protobuf==7.36.2",
)


def main() -> None:
    if is_installed():
        return
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--target", str(FOLDER), "--upgrade", "--no-deps", "--ignore-requires-python"),
            *PACKAGES,
        ],
        check=True,
    )
    (FOLDER / "installed.txt").write_text("\n".join(PACKAGES), encoding="utf-8")


def is_installed() -> bool:
    note = FOLDER / "installed.txt"
    return note.exists() and note.read_text(encoding="utf-8").split("\n") == list(PACKAGES)


if __name__ == "__main__":
    main()
