"""`python -m tests.simulation`: random histories, by number or by time, until one is wrong. The seed is printed."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time

from tests.simulation.running import run_histories


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--histories", type=int, default=150)
    parser.add_argument("--minutes", type=float, help="as many histories as that takes, in lots of --histories")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--as-found", action="store_true", help="print the history as it was found, not the shortest")
    chosen = parser.parse_args()
    logging.disable()
    began, seed, done = time.monotonic(), chosen.seed, 0
    while True:
        sys.stdout.write(f"seed {seed}\n")
        sys.stdout.flush()
        counts = run_histories(seed, histories=chosen.histories, steps=chosen.steps, shrink=not chosen.as_found)
        done += chosen.histories
        sys.stdout.write(f"{done} histories: {counts}\n")
        seed += 1
        if chosen.minutes is None or time.monotonic() - began > chosen.minutes * 60:
            return 0


if __name__ == "__main__":
    sys.exit(main())
