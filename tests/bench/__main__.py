"""Measures the ServiceNow client, a whole load and the cycles after it: `make bench`, which writes docs/benchmarks.md.
Ratios within one run; not part of the tests. Everything is the real code against both emulators in this process; CPU
time is this process's own, the emulators' share included.
"""

from __future__ import annotations

import argparse
import warnings

from tests.bench import capacity, discovery, large, leaver, load, mapping, pysnc, reading, startup
from tests.bench.report import publish


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--accounts", type=int, default=250_000, help="of the instance that discover reads")
    parser.add_argument("--large", type=int, default=100_000, help="users of the large company")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the Graph SDK's own deprecations
    size = f"{options.users:,} users, {options.groups} groups"
    accounts, tenant = options.accounts, 2 * options.accounts
    cost = f"{mapping.ratio():.1f}"
    publish(
        [
            ("The ServiceNow client, in virtual time", [*capacity.creating(), *capacity.matching()]),
            ("The ServiceNow client beside PySNC, over HTTPS in real time", pysnc.creating()),
            (
                f"Cycles of a tenant: {size}, in virtual time",
                [*load.loading(options.users, options.groups), *leaver.leaving()],
            ),
            (
                f"Discovery: {accounts:,} accounts, {tenant:,} users in Entra, in virtual time",
                discovery.discovering(accounts, tenant),
            ),
            (
                f"A company of {options.large:,} users, emulators in another process, no service time",
                large.growing(options.users, options.large),
            ),
            ("Reading Graph, and starting", [*reading.reading(), *startup.starting()]),
            ("Mapping", [("one user through the default mapping / json.loads of its Graph JSON", cost, "at most 15")]),
        ]
    )


if __name__ == "__main__":
    main()
