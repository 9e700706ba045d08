"""The command line: a thin shell around `provisioning.app`. It asks the engine, shows what it answers, and turns the
answer into an exit code: 0 done or nothing to do, 1 an error or bad input, 2 changes are planned, 3 held by a guard,
130 interrupted, 141 nobody reads on.
"""

from provisioning.cli.program import main

__all__ = ["main"]
