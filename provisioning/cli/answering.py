"""`on-demand`, `explain`, `status`: what happened or would happen to one object, and where the job stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from msgspec import to_builtins
from rich.text import Text
from rich.tree import Tree

from provisioning.app import App
from provisioning.cli import waiting as waits
from provisioning.cli.holding import as_json as held_as_json
from provisioning.cli.holding import rejected_sentence, sentences
from provisioning.cli.shell import Exit, Shell
from provisioning.cli.summary import STATUS_STYLES
from provisioning.engine.on_demand import Answer, provision_on_demand
from provisioning.engine.waiting_list import MOST_WAITING, counted
from provisioning.model import Lifecycle
from provisioning.rules.durations import duration
from provisioning.rules.error_codes import ERROR_CODES
from provisioning.rules.sentences import Entry, sentence, who_is_it
from provisioning.rules.summary import CONNECTION, DETERMINED, Initiator

STEPS = {
    "import": "Import",
    "scoping": "Scoping",
    "matching": "Matching",
    "referenceResolution": "References",
    "processing": "Values",
    "export": "Action",
}
PLANNED = {"create": "would create", "update": "would update", "disable": "would disable", "delete": "would delete"}
VALUES_SHOWN = 40
MEMBERS_SHOWN = 10
STATES = (*get_args(Lifecycle), "unknown")


@dataclass(frozen=True, slots=True)
class Asked:
    """One user or group; of a group's members those that are named (None: all); whether to `write` what is decided."""

    key: str
    members: tuple[str, ...] | None
    write: bool


async def answer(app: App, shell: Shell, asked: Asked, *, as_json: bool) -> Exit:
    """One object, now: what was found, decided and, if asked for, done."""
    write, by = asked.write, Initiator("user", shell.who)
    found = await provision_on_demand(app.engine, asked.key, write=write, members=asked.members, by=by)
    failed = any(entry["provisioningStatusInfo"]["status"] == "failure" for entry in found.entries)
    if as_json:
        shell.print_json({"object": found.object, "name": found.name, "held": found.held, "entries": found.entries})
    else:
        _show_answer(found, shell, write=write)
    return Exit.ERROR if failed else Exit.HELD if found.held else Exit.OK


def _show_answer(found: Answer, shell: Shell, *, write: bool) -> None:
    own = [entry for entry in found.entries if _key(entry) == found.object]
    others = sorted((entry for entry in found.entries if _key(entry) != found.object), key=_urgency)
    for entry in own:
        shell.show(_tree(entry, write=write))
    if not own:
        shell.say(f"{found.name or found.object}: nothing to do")
    for entry in others[:MEMBERS_SHOWN]:
        verb = PLANNED.get(entry["provisioningAction"]) if not write else None
        shell.say(f"  {verb} {who_is_it(entry)}" if verb else f"  {sentence(entry)}")
    if len(others) > MEMBERS_SHOWN:
        shell.say(f"  and {len(others) - MEMBERS_SHOWN:,} more; --json shows all")
    if found.held:
        shell.say(
            f"Held: the guard against accidental removal holds this, in plan {found.held}; `status` says what is held"
        )


def _key(entry: Entry) -> str:
    kind = {"User": "user", "Group": "group"}.get(entry["sourceIdentity"]["identityType"], "member")
    return f"{kind}:{entry['sourceIdentity']['id']}"


def _urgency(entry: Entry) -> int:
    """Failures before changes before what was left as it is."""
    status = entry["provisioningStatusInfo"]["status"]
    return 0 if status == "failure" else 2 if entry["provisioningAction"] == "other" else 1


def _tree(entry: Entry, *, write: bool) -> Tree:
    tree = Tree(Text(who_is_it(entry), style="bold"))
    action = entry["provisioningAction"]
    for step in entry["provisioningSteps"]:
        kind, status = step["provisioningStepType"], step["status"]
        label = "Action" if step is entry["provisioningSteps"][-1] else STEPS.get(kind, kind)
        if step["name"] in DETERMINED.values():
            label = "Decision"
        elif step["name"] == CONNECTION:
            label = "Connection"
        description = step["description"]
        if kind == "export" and not write and action in PLANNED:
            description = f"{PLANNED[action]} the record; nothing was sent"
            status = "skipped"
        line = Text(f"{label:<11} ")
        line.append(f"{status:<8}", style=STATUS_STYLES.get(status, ""))
        line.append(f" {description}")
        branch = tree.add(line)
        if result := step["details"].get("ScopeEvaluationResult"):
            for part in result.split("; "):
                branch.add(Text(part))
    _add_values(tree, entry)
    error = entry["provisioningStatusInfo"]["errorInformation"]
    if error and error["recommendedAction"] and not _mends_itself(error["errorCode"], entry):
        tree.add(Text(f"{'Way out':<11} {error['recommendedAction']}", style="yellow"))
    return tree


def _mends_itself(code: str, entry: Entry) -> bool:
    """Of what is as it should be nobody needs to be told a way out."""
    known = ERROR_CODES.get(code)
    skipped = entry["provisioningStatusInfo"]["status"] == "skipped"
    return skipped and known is not None and known.owner == "nobody"


def _add_values(tree: Tree, entry: Entry) -> None:
    values = entry["modifiedProperties"]
    if not values:
        return
    branch = tree.add(Text(f"{'Changes':<11} {len(values)} value{'s' * (len(values) > 1)}"))
    for value in values[:VALUES_SHOWN]:
        line = Text(f"{value['displayName']:<20} ")
        if value["oldValue"] is not None:
            line.append(value["oldValue"], style="dim")
            line.append(" -> ")
        line.append(value["newValue"] or "(empty)")
        branch.add(line)


async def status(app: App, shell: Shell, *, as_json: bool) -> Exit:
    """Where the job stands, from its own state; asks neither side."""
    rows, now = app.engine.context.rows, app.engine.context.now()
    state, _ = await rows.state()
    found = await rows.progress()
    running = found[0] if found is not None and not found[0].finished else None
    cycles = await rows.cycles(limit=1)
    waiting = counted(await app.engine.context.waiting.everything(MOST_WAITING))
    rejected = await app.engine.context.rejections.count()
    elsewhere = await app.engine.context.waiters.count()
    document: dict[str, Any] = {
        "job": app.settings.job_id,
        "source": app.settings.tenant_id,
        "target": app.settings.instance_host,
        "scope": app.settings.scope,
        "managed": state.managed,
        "states": _states(state.states),
        "lastCycle": cycles[0] if cycles else None,
        "lastSucceeded": _when(state.last_succeeded),
        "lastFailure": state.last_failure or None,
        "unfinished": {"cycle": running.cycle, "phase": running.phase, "began": _when(running.began)}
        if running
        else None,
        "held": held_as_json(state.held),
        "rejected": rejected,
        "due": await app.engine.is_due(),
        "waiting": waiting,
        "managedByAnotherJob": elsewhere,
        "status": state.status,
        "quarantine": to_builtins(state.in_quarantine) if state.in_quarantine is not None else None,
        "nextDue": _when(state.last_began + app.settings.interval) if state.last_began else None,
    }
    if as_json:
        shell.print_json(document)
        return Exit.OK
    shell.say(f"Job         {document['job']}")
    shell.say(f"Target      {document['target']}, scope {document['scope']}")
    for line in _managed_lines(state.managed, document["states"]):
        shell.say(line)
    shell.say(_last_cycle(cycles[0] if cycles else None))
    if running is not None:
        ago = duration(max(0.0, now - running.began))
        shell.say(f"Unfinished  a cycle that began {ago} ago, at {running.phase}; `run` goes on with it")
    if state.last_failure:
        shell.say(f"Failure     {state.last_failure}")
    if state.paused or state.disabled:
        shell.say("Paused      no cycle begins until `start`")
    if state.in_quarantine is not None:
        following = _when(state.in_quarantine.next_attempt)
        shell.say(f"Quarantine  {state.in_quarantine.reason}, tried again by itself at {following}")
    if waiting["objects"]:
        shell.say(f"Waiting     {waits.in_short(waiting)}")
    if any(elsewhere.values()):
        told = ", ".join(f"{number:,} {kind}s" for kind, number in elsewhere.items())
        shell.say(f"Other jobs  {told} in scope wait until another job of the instance lets go of their records")
    for text in sentences(state.held) if state.held is not None else ():
        shell.say(f"Held        {text}")
    if (left := rejected_sentence(rejected)) is not None:
        shell.say(f"Rejected    {left}")
    if (ruling := state.ruling) is not None and not ruling.used:
        word, until = "approved" if ruling.approves else "rejected", _when(ruling.expires)
        shell.say(
            f"Ruling      plan {ruling.plan} {word} by {ruling.by}; for the next cycle that begins before {until}"
        )
    return Exit.OK


def _last_cycle(last: Mapping[str, Any] | None) -> str:
    if last is None:
        return "Last cycle  none yet: start one with `python -m provisioning run`"
    return f"Last cycle  {last['kind']}, began {_when(last['began'])}, took {duration(last['ended'] - last['began'])}"


def _managed_lines(managed: Mapping[str, int], states: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    told = ", ".join(f"{number:,} {kind}s" for kind, number in sorted(managed.items()))
    yield f"Managed     {told or 'nothing yet'}"
    for kind, numbers in states.items():
        yield f"  {kind}s".ljust(12) + ", ".join(f"{number:,} {name}" for name, number in numbers.items())


def _states(numbers: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """By kind, and in the order in which an object goes through them."""
    known = {kind: {name: numbers.get(f"{kind}.{name}", 0) for name in STATES} for kind in ("user", "group")}
    found = {kind: {name: number for name, number in each.items() if number} for kind, each in known.items()}
    return {kind: each for kind, each in found.items() if each}


def _when(seconds: float) -> str | None:
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
