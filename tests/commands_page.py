"""docs/commands.md, made from the commands themselves: `python -m tests.commands_page --write`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from provisioning.cli.manual import ALIASES, EXITS, HELD, NO_READER, PAGES, PROGRAM, SECTIONS, commands_of, options_of
from provisioning.cli.program import program

INTERRUPTED = 130
DOCUMENT = Path(__file__).parent.parent / "docs" / "commands.md"
HEAD = """\
# Commands

Made from the commands themselves by `python -m tests.commands_page --write`; `--help` of each says the same.

Every command takes `--json`. Results go to standard output; progress, notes and errors go to standard error, an error
as one line that begins with `error:`. With `--json` a command that fails prints nothing to standard output, except
where its answer says what failed (`check`, `explain`, `on-demand`, `schema validate`, `expression`). Where Microsoft
Graph has a shape for an answer it is that one; members that are not Microsoft's stand beside its own. Names of members
stay as they are, new ones may come. Progress is drawn on a terminal, with rate and time left; elsewhere it is a plain
line every few seconds. Colours are for terminals, and `NO_COLOR` switches them off.
"""


def page() -> str:
    return "\n".join(lines()) + "\n"


def lines() -> Iterator[str]:
    yield HEAD
    yield "| exit code | meaning |\n|---|---|"
    codes = {**EXITS, 2: "`plan`: there are changes; `links verify`: some links are not as remembered", 3: HELD}
    for code, meaning in sorted({**codes, NO_READER[0]: NO_READER[1]}.items()):
        yield f"| {code} | {_cell(meaning)} |"
    yield ""
    yield (
        "Words of Microsoft's API are understood too: "
        + ", ".join(f"`{_camel(alias)}` is `{command}`" for alias, command in ALIASES.items())
        + "; `restart --reset-scope` is `--scope`.\n"
    )
    yield from _completion()
    found = dict(commands_of(program()))
    for heading, names in SECTIONS:
        yield f"## {heading}\n"
        for path, command in found.items():
            if path.split()[0] in names:
                yield from _command(path, command)


def _completion() -> Iterator[str]:
    yield "A shell completes commands, options and their words, such as the scopes of a restart, after this (zsh:"
    yield "`zsh`, `~/.zshrc`). It does so for `.venv/bin/python -m provisioning`, and for `provisioning` as an alias"
    yield "of that:\n"
    yield "```"
    yield f".venv/bin/{PROGRAM} --show-completion bash >> ~/.bashrc"
    yield "```\n"


def _command(path: str, command) -> Iterator[str]:
    told = PAGES[path]
    yield f"### {path}\n"
    yield " ".join((command.help or "").split()) + "\n"
    yield "| | |\n|---|---|"
    for written, purpose in options_of(command):
        if "--help" not in written:
            yield f"| `{_cell(written)}` | {_cell(purpose)} |"
    yield "\n```"
    longest = max(len(words) for words, _ in told.examples)
    for words, purpose in told.examples:
        yield f"{PROGRAM} {words:<{longest}}    {purpose}".rstrip()
    yield "```\n"
    codes = "; ".join(f"{code} {meaning}" for code, meaning in told.codes.items() if code != INTERRUPTED)
    yield f"Exit codes: {codes}."
    yield f"\nJSON: {told.prints}.\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _camel(alias: str) -> str:
    first, *others = alias.split("-")
    return first + "".join(word.capitalize() for word in others)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        DOCUMENT.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
