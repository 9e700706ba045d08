"""`python -m provisioning`: the command line."""

import sys


def run() -> int:
    """An interrupt may come while the program is still being read."""
    try:
        from provisioning.cli import main  # noqa: PLC0415 - see above

        return main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted before anything was done\n")
        return 130


if __name__ == "__main__":
    sys.exit(run())
