"""10,000 creates on an instance whose grant shrinks and grows while they run and that fails now and then, in virtual
time: how much of what was granted and free is used, how many calls are refused, whether anything is lost. And how many
calls matching 10,000 keys takes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tests.servicenow_load import Load, loading, name_of

USERS = 10_000
SLOTS = 4
INSERT, READ, SPREAD = 0.05, 0.005, 0.5
FAULTY = {"reply_lost": 0.01, "status": 0.01, "dropped_session": 0.005, "broken_body": 0.005}
"""Which of the calls fail: 3 % together. `status` is a 503."""
SHRINKS, GROWS = 20.0, 45.0
"""Seconds after the first call at which other callers take two of the four slots, and give them back."""


def creating() -> list[tuple[str, str, str]]:
    with loading(slots=SLOTS) as load:
        load.capacity.set_times(insert=INSERT, read=READ, spread=SPREAD, least=0.3, most=2.0)
        for effect, chance in FAULTY.items():
            load.instance.faults.add("POST batch", effect, times=None, chance=chance)
        refused_after: list[int] = []
        load.at(SHRINKS, _change_grant, load, 2, refused_after.append)
        load.at(GROWS, _change_grant, load, SLOTS, refused_after.append)
        before = load.instance.count("sys_user")
        began = load.now()
        load.instance.counts.clear()
        load.create(USERS)
        seconds = load.now() - began
        refused_after.append(load.capacity.refused)
        calls = load.instance.counts["POST batch"]
        faults = sum(fault.happened for fault in load.instance.faults.planned)
        names = {row["user_name"] for row in load.instance.rows("sys_user")}
        assert load.instance.count("sys_user") == before + USERS, "a record was lost or written twice"
        assert len(names) == before + USERS, "a record was written twice"
        most_refused = max(later - earlier for earlier, later in itertools.pairwise(refused_after))
        used = f"{load.used:.1%}"
        return [
            ("10,000 creates, two of the four slots gone for 25 s: granted slot-seconds used", used, "at least 95 %"),
            ("  calls refused (429) after a change of the grant", f"{most_refused}", "at most 1"),
            ("  calls that were made to fail", f"{faults} of {calls} ({faults / calls:.1%})", "about 3 %"),
            ("  HTTP calls per 20 writes, repeats and read-backs included", f"{calls * 20 / USERS:.2f}", "at most 1"),
            ("  users per minute of virtual time", f"{USERS / seconds * 60:,.0f}", ""),
        ]


def _change_grant(load: Load, calls: int, note: Callable[[int], None]) -> None:
    note(load.capacity.refused)
    load.capacity.grant(calls)


def matching() -> list[tuple[str, str, str]]:
    with loading(slots=SLOTS) as load:
        load.create(USERS)
        names = [name_of(n) for n in range(1, 2 * USERS, 2)]  # every other one exists
        load.instance.counts.clear()
        found = load.do(load.target.find("sys_user", "user_name", names, ["user_name"]))
        assert len(found) == USERS // 2, "not everybody was found"
        calls = load.instance.counts["POST batch"]
        return [("matching 10,000 keys: HTTP calls", f"{calls}", "at most 30")]
