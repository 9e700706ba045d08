"""`make demo`: the real program against both emulators, on this machine and without any account.

A tenant of 1,000 users and 20 groups is provisioned; then people join, marry, leave, change groups, managers and
departments, and the next cycle carries exactly that over; a third one shows that nothing is left to write. Everything
between the control API and the records in ServiceNow is what runs in Azure: real HTTP, real engine, real command line.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from provisioning.adapters.sqlite import SqliteStore
from provisioning.cli import main as provisioning
from provisioning.config import Settings
from provisioning.engine.journal import Journal
from provisioning.rules.sentences import sentence
from tests.served import NotStarted, Served, serving

USERS, GROUPS = 1000, 20
CEO = "siobhan.o'brien@contoso.com"
BRIDE = "zoe.goncalves@contoso.com"
LEAVER = "lukasz.wisniewski@contoso.com"
MOVER = "taras.shevchenko@contoso.com"
GROUP = "ServiceNow Approvers"


def main() -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="provisioning-demo-") as name:
        folder = Path(name)
        say(f"Starting both emulators with {USERS:,} users and {GROUPS} groups ...")
        try:
            with serving(folder, users=USERS, groups=GROUPS) as served:
                code = demonstrate(served, folder)
        except NotStarted as error:
            sys.stderr.write(f"error: {error}\n")
            return 1
    if code == 0:
        say(NEXT.format(seconds=time.monotonic() - began))
    return code


def demonstrate(served: Served, folder: Path) -> int:
    """Three cycles; the exit code of the first one that fails."""
    environ = {**served.settings, "STATE": f"sqlite:{folder / 'state.db'}"}
    heading("First cycle: everybody who is assigned to the application")
    if code := provisioning(["run"], environ):
        return code
    heading("Meanwhile, in Microsoft Entra ID")
    for line in change(served):
        say(f"  {line}")
    heading("Second cycle: what changed, and nothing else")
    if code := provisioning(["run"], environ):
        return code
    heading("Three entries of the log, in words")
    for text in explained(environ):
        say(f"  {text}")
    heading("Third cycle: nothing changed, so nothing is written")
    served.forget_counts()
    if code := provisioning(["run"], environ):
        return code
    say(f"ServiceNow counted {served.writes} writes.")
    return int(served.writes > 0)


def change(served: Served) -> list[str]:
    """A working day in the tenant, by the emulator's control API; answers what was done, in words."""
    tenant = served.graph
    group = served.group(GROUP)
    chief = _user(served, CEO)
    hire(served, "Grace", "Hopper", managerId=chief["id"], department="Engineering", jobTitle="Director")
    hire(served, "Ada", "Lovelace", managerId="grace.hopper@contoso.com", department="Engineering")
    hire(served, "Alan", "Turing", managerId="grace.hopper@contoso.com", department="Data & Analytics")
    tenant.patch(
        f"/users/{BRIDE}",
        surname="Gonçalves-Novák",
        displayName="Zoë Gonçalves-Novák",
        userPrincipalName="zoe.novak@contoso.com",
        mail="zoe.novak@contoso.com",
    )
    tenant.delete(f"/users/{LEAVER}")
    tenant.patch(f"/users/{MOVER}", department="Legal")
    tenant.put(f"/users/{MOVER}/manager", managerId="grace.hopper@contoso.com")
    tenant.post(f"/groups/{group['id']}/members", memberId=MOVER)
    leaving = next(one for one in group["members"] if one != _user(served, MOVER)["id"])
    tenant.delete(f"/groups/{group['id']}/members/{leaving}")
    return [
        "three people join; Ada Lovelace and Alan Turing report to Grace Hopper, who is new herself",
        "Zoë Gonçalves marries: surname, user principal name and mail change",
        "Łukasz Wiśniewski leaves: the account is deleted",
        "Taras Shevchenko moves to Legal and gets Grace Hopper as manager",
        f"one person joins the group {GROUP}, another one leaves it",
    ]


def hire(served: Served, given: str, family: str, **more: Any) -> None:
    name = f"{given}.{family}".lower()
    served.graph.post(
        "/users",
        givenName=given,
        surname=family,
        displayName=f"{given} {family}",
        userPrincipalName=f"{name}@contoso.com",
        mail=f"{name}@contoso.com",
        companyName="Contoso Ltd.",
        officeLocation="London",
        usageLocation="GB",
        **more,
    )
    served.graph.post("/assignments", principalId=f"{name}@contoso.com")


def explained(environ: dict[str, str]) -> list[str]:
    """What the journal says of a hire, the marriage and the leaver: the newest entry of each."""

    async def read() -> list[str]:
        found: dict[str, str] = {}
        async with SqliteStore(environ["STATE"].removeprefix("sqlite:")) as store:
            async for entry in Journal(store, Settings.load(environ).job_id).newest(limit=1000):
                found.setdefault(entry["sourceIdentity"]["displayName"], sentence(entry))
        return [found[name] for name in ("Ada Lovelace", "Zoë Gonçalves-Novák", LEAVER)]

    return asyncio.run(read())


def _user(served: Served, name: str) -> dict[str, Any]:
    return served.graph.get(f"/users/{name}")


def heading(text: str) -> None:
    say(f"\n{text}\n{'-' * len(text)}")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


NEXT = """
Done in {seconds:.0f} s; nothing is left running and nothing was kept.

The same with your own tenant: set ENTRA_TENANT_ID, ENTRA_CLIENT_ID, ENTRA_CLIENT_SECRET, ENTRA_SERVICE_PRINCIPAL_ID,
SERVICENOW_INSTANCE, SERVICENOW_CLIENT_ID and SERVICENOW_CLIENT_SECRET in the environment (README.md says where each
value comes from), then look before anything is written:

    .venv/bin/python -m provisioning check
    .venv/bin/python -m provisioning plan --out plan.json
    .venv/bin/python -m provisioning run

and keep it going on this machine, with the timer, the HTTP API and the dashboard on 127.0.0.1. That can be tried
without a tenant as well: start `.venv/bin/python -m tests.emulators --env-file emulators.env`, and in another terminal

    set -a; . ./emulators.env; set +a
    .venv/bin/python -m provisioning serve     # open http://127.0.0.1:7071"""

if __name__ == "__main__":
    sys.exit(main())
