"""Tries every fault at every kind of call: `python -m tests.matrix` shows the matrix, with `--write` it becomes a part
of docs/reliability.md. What ends wrong is told, and then nothing is written.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.matrix.calls import calls
from tests.matrix.cells import column
from tests.matrix.document import drawn, write


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    options = parser.parse_args()
    logging.disable()
    with ProcessPoolExecutor(os.cpu_count(), initializer=logging.disable) as processes:
        columns = dict(zip(calls(), processes.map(column, calls()), strict=True))
    matrix = {call: results for call, (results, _) in columns.items()}
    wrong = [text for _, found in columns.values() for text in found]
    sys.stdout.write("\n".join([drawn(matrix), *wrong, ""]))
    if options.write and not wrong:
        write(matrix)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
