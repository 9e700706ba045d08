"""What `--help` and docs/commands.md say of each command beyond its options: examples, the JSON that it prints, and its
exit codes. Knows the commands by name only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

PROGRAM = "python -m provisioning"
EXITS: Mapping[int, str] = {0: "done", 1: "an error, or bad input", 130: "interrupted"}
"""Of every command, where its page says nothing else."""
NO_READER = (141, "whoever read the output has gone, as in `| head`")
HELD = "held by the guard against accidental removal, until a person approves or rejects it"


@dataclass(frozen=True, slots=True)
class Page:
    """`examples` are what follows the program's name, and what that is for; `prints` the JSON; `exits` what the exit
    codes of this command mean where that is not what they always mean.
    """

    examples: Sequence[tuple[str, str]]
    prints: str
    exits: Mapping[int, str] = field(default_factory=dict)

    @property
    def codes(self) -> dict[int, str]:
        return dict(sorted({**EXITS, **self.exits}.items()))


SOMEBODY = "lukasz.wisniewski@contoso.com"
JOB = "Graph's synchronizationJob"
SUMMARY = (
    '{"cycle", "kind": "initial" | "incremental", "planned", "planId": what the guard holds can be approved by it, or '
    'null, "counts": {"users" | "groups" | "memberships": {"created", "updated", "disabled", "deleted", "skipped", '
    '"held", "failed"}}, "held": what is held and why, or null, "rejected": {kind: number}, "halted": why it stopped '
    'early, or null, "failures": [{"name", "code", "reason", "wayOut"}], "graphRequests", "servicenowRequests", '
    '"seconds"}'
)
ANSWER = '{"object", "name", "held": a plan id or null, "entries": [Graph\'s provisioningObjectSummary]}'
LINK = "Graph's objectConnection, with state, lifecycle, match value and times"
LISTED = "as one document with its head: job, target, numbers of requests, notes"

PAGES: Mapping[str, Page] = {
    "check": Page(
        (
            ("check", "connections, rights by table and field, ways of the instance"),
            ("check --allow-test-writes", "also with test records, which it deletes"),
        ),
        '{"ok", "findings": [{"side", "what", "verdict": "ok" | "warning" | "failed", "detail", "wayOut", "owner"}]}',
        {0: "nothing failed; warnings may be there", 1: "something failed, or bad input"},
    ),
    "plan": Page(
        (
            ("plan", "what the next cycle would do, in numbers"),
            ("plan --out plan.json", "every decision with its fields and reasons, one a line"),
            ("plan --schema exported.json", "the same with other mappings; stores nothing"),
        ),
        f"{SUMMARY}. The file of --out has the same members, and decisions",
        {0: "nothing to do", 2: "there are changes", 3: HELD},
    ),
    "run": Page(
        (
            ("run", "one cycle, or the rest of an unfinished one"),
            ("run --approve 0123456789abcdef", "with a person's word for what that plan holds"),
            ("run --reconcile", "compares everything that is managed with both sides"),
        ),
        "the members that `plan` prints",
        {0: "the cycle is done; objects that failed alone stand in the summary", 3: HELD},
    ),
    "status": Page(
        (("status", ""), ("status --json", "for a monitor: status.code is Active, Paused or Quarantine")),
        f"{JOB}, and beside its members ours: target, scope, managed, states, lastCycle, lastFailure, unfinished, "
        "held, rejected, due, nextDue, waiting, managedByAnotherJob",
    ),
    "metrics": Page((("metrics", "for Prometheus' textfile collector"),), '[{"name", "labels", "value"}]'),
    "cycles": Page(
        (("cycles --limit 5", "the last five"),),
        '[{"kind", and the members of Graph\'s synchronizationTaskExecution}]',
    ),
    "approve": Page(
        (("approve 0123456789abcdef", "the next cycle does it, whoever starts that one"),),
        '{"planId", "approves", "by", "at", "expires"}',
    ),
    "reject": Page(
        (("reject 0123456789abcdef", "each of these objects stays as it is until `resync` offers it again"),),
        '{"planId", "approves", "by", "at", "expires"}',
    ),
    "serve": Page(
        (
            ("serve", "then open http://127.0.0.1:7071/dashboard"),
            ("serve --no-ticks", "cycles are started by hand only"),
        ),
        '{"address", "dashboard"}, once it answers',
        {0: "it was ended by Ctrl-C"},
    ),
    "notify": Page(
        (("notify", "what has not arrived yet"), ("notify --test", "a test by each way that is set")),
        '{"sent", "waiting": [notices]}; with --test {"notice", "channels": {"mail" | "webhook": null or why not}}',
        {1: "nobody is to be told, or with --test: a test did not arrive"},
    ),
    "explain": Page(
        (
            (f"explain {SOMEBODY}", "why this user was provisioned, or skipped"),
            ("explain 'ServiceNow Approvers' --no-members", "a group without its members"),
        ),
        ANSWER,
        {1: "something would fail, or bad input", 3: HELD},
    ),
    "on-demand": Page(
        (
            (f"on-demand {SOMEBODY}", ""),
            (f"on-demand 'ServiceNow Approvers' --member {SOMEBODY}", "of a group only this member"),
        ),
        ANSWER,
        {1: "something failed, or bad input", 3: HELD},
    ),
    "jobs": Page(
        (("jobs", ""),),
        f"[{JOB}]; of other jobs than that of the settings the schedule's interval is null",
    ),
    "pause": Page((("pause", ""),), JOB),
    "start": Page((("start", ""),), JOB),
    "restart": Page(
        (
            ("restart", "Watermark, Escrows and QuarantineState, as in the Entra admin center"),
            ("restart --scope Escrows", "only what failed is tried at once"),
            ("restart --scope Full", "the links too: everybody is matched again"),
        ),
        JOB,
    ),
    "resync": Page(
        (
            (f"resync {SOMEBODY}", ""),
            ("resync --filter 'department EQUALS Sales' --filter 'city IS NOT NULL'", "all users who pass both"),
        ),
        '{"type", "id", "rejected": how many removals are offered again}; with --filter {"users"}',
    ),
    "secrets": Page(
        (("secrets SkipOutOfScopeDeletions=true", ""), ("secrets SkipOutOfScopeDeletions=", "takes it back")),
        '{"kept": [keys]}',
    ),
    "delete": Page((("delete --yes", ""),), JOB),
    "links list": Page((("links list --type group", ""),), f"[{LINK}]"),
    "links show": Page(
        ((f"links show {SOMEBODY}", "by name, object id or sys_id"),),
        f'{LINK}, and "grants", "manager", "memberships": [{{"group", "member", "sysId", "origin"}}]',
    ),
    "links verify": Page(
        (("links verify", ""),),
        f'{{"counts": {{state: number}}, "links": [{LINK}, and "keys"]}}',
        {0: "all links are as remembered", 2: "some are not"},
    ),
    "links relink": Page(((f"links relink {SOMEBODY} 62826bf03710200044e0bfc8bcbe5df1", ""),), LINK),
    "links unlink": Page(((f"links unlink {SOMEBODY}", ""),), f"{LINK}, as it was"),
    "links export": Page(
        (("links export --out links.csv --csv", ""), ("links export", "JSON, to standard output")), f"[{LINK}]"
    ),
    "logs": Page(
        (
            (f"logs --user {SOMEBODY}", "what was done to this user, and why"),
            ("logs --status failure --since 2026-01-31", ""),
            ("logs --filter \"provisioningAction eq 'disable'\" --json", ""),
            ("logs --csv --out .", "Microsoft's three tables, into this folder"),
        ),
        "[Graph's provisioningObjectSummary]",
    ),
    "audit": Page(
        (("audit --limit 5", ""), ("audit --filter \"activityDisplayName eq 'Resync'\"", "")),
        "[Graph's directoryAudit]",
    ),
    "waiting": Page(
        (("waiting --limit 10", ""),),
        '[{"type", "id", "name", "missing", "missingName"}]; "table" instead of those two where a record is missing, '
        '"group" and "groupName" where a membership waits',
    ),
    "discover": Page(
        (
            ("discover", "counts, and what needs attention"),
            ("discover --users --state stale --stale-days 180", ""),
            ("discover --csv --out accounts.csv", "everything, to a file"),
        ),
        f'{{..., "counts", "objects": [{{"type", "sysId", "name", "state", "active", "job", "sourceIds", "lastLogin", '
        f'"reason"}}]}}, {LISTED}',
    ),
    "drift": Page(
        (("drift", "of the last 7 days"), ("drift --all --json", "of everything that is managed")),
        f'{{..., "changes": [{{"type", "sourceId", "sysId", "attribute", "entraValue", "serviceNowValue", "policy", '
        f'"updatedBy", "updatedOn"}}]}}, {LISTED}',
    ),
    "schema import": Page(
        (("schema import exported.json", ""), ("schema import --default", "back to the schema of the product")),
        '{"ok", "findings": [{"severity": "error" | "warning" | "note", "where", "text", "wayOut"}]}',
        {1: "the schema has errors and nothing was stored, or bad input"},
    ),
    "schema export": Page(
        (("schema export --out schema.json", ""), ("schema export --default", "")), "Graph's synchronizationSchema"
    ),
    "schema validate": Page(
        (
            ("schema validate exported.json", "also against the columns of the instance"),
            ("schema validate exported.json --offline", ""),
        ),
        '{"ok", "findings": [{"severity": "error" | "warning" | "note", "where", "text", "wayOut"}]}',
        {1: "the schema has errors, or bad input"},
    ),
    "schema functions": Page((("schema functions", ""),), "[Graph's attributeMappingFunctionSchema]"),
    "schema operators": Page((("schema operators", ""),), "[Graph's filterOperatorSchema]"),
    "schema discover": Page((("schema discover --table sys_user", ""),), "Graph's directoryDefinition"),
    "expression": Page(
        (
            ("expression 'Join(\" \", [givenName], [surname])' --attribute givenName=Ada --attribute surname=King", ""),
            (f"expression 'ToUpper([city])' --user {SOMEBODY}", "with the values of a real user"),
        ),
        "Graph's parseExpressionResponse, and evaluationResult",
        {1: "the expression has an error, or bad input"},
    ),
}
SECTIONS: Sequence[tuple[str, Sequence[str]]] = (
    ("Cycles", ("check", "plan", "run", "status", "cycles", "metrics", "approve", "reject", "serve", "notify")),
    ("Users and groups", ("explain", "on-demand", "links")),
    ("Orders", ("jobs", "pause", "start", "restart", "resync", "secrets", "delete")),
    ("Reports", ("logs", "audit", "waiting", "discover", "drift")),
    ("Mappings", ("schema", "expression")),
)
ALIASES: Mapping[str, str] = {
    "validate-credentials": "check",
    "provision-on-demand": "on-demand",
    "executions": "cycles",
    "object-connections": "links",
    "provisioning-logs": "logs",
    "directory-audits": "audit",
    "parse-expression": "expression",
}
"""Words of Microsoft's API that are typed for a command, in whatever case."""
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def known_as(word: str) -> str:
    """The command that a word stands for: itself, or what Microsoft's API calls so."""
    plain = _HUMP.sub("-", word).lower()
    return ALIASES.get(plain, word)


class Command(TyperCommand):
    """A command with its page under the options."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        page = PAGES[_path_of(ctx)]
        with formatter.section("Examples"):
            for words, purpose in page.examples:
                formatter.write(f"  {PROGRAM} {words}\n")  # in one line, to be copied
                formatter.write(f"      {purpose}\n" if purpose else "")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in page.codes.items()])
        with formatter.section("With --json"):
            formatter.write_text(page.prints)


def _path_of(context: Any) -> str:
    """The command's own words, whatever was typed for it."""
    return f"{_path_of(context.parent)} {context.command.name}".strip() if context.parent is not None else ""


class Group(TyperGroup):
    """Commands with what each does in a whole sentence; those of the program under headings."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, known_as(cmd_name))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as typer calls it
        sections = SECTIONS if isinstance(self, Program) else (("Commands", tuple(self.commands)),)
        for heading, names in sections:
            with formatter.section(heading):
                formatter.write_dl([(name, _first_sentence(self.commands[name].help)) for name in names])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        formatter.write_paragraph()
        formatter.write_text(f"What one of them does, with examples: {ctx.command_path} COMMAND --help")


class Program(Group):
    """All commands."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        super().format_epilog(ctx, formatter)
        codes = {**EXITS, 2: "plan: there are changes; links verify: some links are not as remembered", 3: HELD}
        codes = dict(sorted({**codes, NO_READER[0]: NO_READER[1]}.items()))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in codes.items()])


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split()).partition(". ")[0].rstrip(".")


def commands_of(group: TyperGroup, path: str = "") -> Iterator[tuple[str, TyperCommand]]:
    """Every command by its path, those of groups within included."""
    for name, command in group.commands.items():
        whole = f"{path} {name}".strip()
        if isinstance(command, TyperGroup):
            yield from commands_of(command, whole)
        elif isinstance(command, TyperCommand):
            yield whole, command


def options_of(command: TyperCommand) -> Iterator[tuple[str, str]]:
    """Each option and argument, as it is written, and what it is for."""
    context = typer.Context(command, info_name=command.name)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield record
