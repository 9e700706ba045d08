"""The command line and what it runs in: a terminal or none, a shell that completes, a reader that goes away."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from fcntl import ioctl
from termios import TIOCSWINSZ

import pytest

from provisioning.cli.completion import script
from tests.served import ROOT, without_settings
from tests.test_cli import Person, await_records, emulators, read_to_the_end

__all__ = ["emulators"]

BASH = shutil.which("bash") or "bash"
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def world(emulators, tmp_path_factory) -> Person:
    """Somebody whose first cycle has run; what follows only looks."""
    emulators.begin_again(users=40, groups=4)
    person = Person(emulators, tmp_path_factory.mktemp("state"))
    assert person.types("run").returncode == 0
    return person


def on_a_terminal(person: Person, *words: str, columns: int = 80, **changes: str | None) -> tuple[int, str]:
    master, terminal = pty.openpty()
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environ = person.environ_with(**{"TERM": "xterm-256color", "COLUMNS": None, "NO_COLOR": None, **changes})
    process = subprocess.Popen(
        person.command(*words), cwd=ROOT, env=environ, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    seen = read_to_the_end(master)
    return process.wait(timeout=60), seen


# --- colours, width, encoding -------------------------------------------------------------------


def test_colours_are_for_terminals_and_no_color_switches_them_off(world):
    code, coloured = on_a_terminal(world, "check")
    assert code == 0
    assert COLOUR.search(coloured)
    assert not COLOUR.search(on_a_terminal(world, "check", NO_COLOR="1")[1])
    assert "\x1b" not in world.types("check", FORCE_COLOR="1").stdout
    assert "\x1b" not in on_a_terminal(world, "status", "--json")[1]


@pytest.mark.parametrize("words", [("cycles",), ("check",), ("plan",), ("discover",), ("schema", "discover")])
def test_a_table_fits_80_columns_and_nothing_of_it_is_cut_off(world, words):
    _, seen = on_a_terminal(world, *words, NO_COLOR="1")
    lines = [CONTROL.sub("", line).rstrip() for line in seen.splitlines()]
    assert "…" not in seen
    assert [line for line in lines if len(line) > 80] == []


def test_an_output_that_knows_few_characters_gets_the_others_as_escapes(world):
    done = world.types("expression", 'Join("", [a], "ł€")', "--attribute", "a=é", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "\\xe9\\u0142\\u20ac\n"


# --- a reader that goes away, no output at all ---------------------------------------------------


def after_one_line(person: Person, *words: str) -> tuple[int, str, str]:
    """Exit code, the line, and standard error, where the reader leaves after one line."""
    process = subprocess.Popen(
        person.command(*words), cwd=ROOT, env=person.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    line = process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    return process.wait(timeout=60), line, said


@pytest.mark.parametrize("words", [("logs", "--limit", "1000", "--json"), ("links", "export"), ("check",)])
def test_whoever_reads_only_the_first_line_is_not_shown_a_traceback(world, words):
    code, line, said = after_one_line(world, *words)
    assert line
    assert said == ""
    assert code in {141, 0}  # 0 where all of it was written before the reader left


def test_a_reader_that_is_gone_before_anything_is_written_ends_a_command_with_141(world):
    reading, writing = os.pipe()
    os.close(reading)
    for words in (("status",), ("--help",), ("logs", "--json")):
        done = subprocess.run(
            world.command(*words), cwd=ROOT, env=world.environ, stdout=writing, stderr=subprocess.PIPE, check=False
        )
        assert (done.returncode, done.stderr) == (141, b""), words
    os.close(writing)


def test_a_run_whose_reader_goes_away_provisions_everybody_all_the_same(emulators, tmp_path):
    emulators.begin_again(users=40, groups=4)
    person = Person(emulators, tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        person.command("run"), cwd=ROOT, env=person.environ, stdout=writing, stderr=writing, check=False
    )
    os.close(writing)
    assert done.returncode == 141
    assert person.gets("status")["unfinished"] is None
    assert person.types("plan").returncode == 0


def test_closed_and_full_outputs_end_in_one_line_or_in_silence(world):
    shell, full = shlex.join(world.command("status")), (">/dev/full", 1, "error: the output cannot be written")
    for redirected, code, says in ((">&-", 0, ""), (">&- 2>&-", 0, ""), full):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{shell} {redirected}"], cwd=ROOT, env=world.environ, capture_output=True, check=False
        )
        assert done.returncode == code, (redirected, done.stderr)
        assert done.stderr.decode().startswith(says)
        assert done.stderr.count(b"\n") == bool(says)


# --- progress, interrupts -----------------------------------------------------------------------


def test_progress_on_a_terminal_of_80_columns_is_one_line_with_rate_and_time_left(emulators, tmp_path):
    emulators.begin_again(users=40, groups=4)
    emulators.servicenow.put("/service-times", insert=0.1)
    code, seen = on_a_terminal(Person(emulators, tmp_path), "run")
    assert code == 0
    drawn = seen.partition("initial cycle, done")[0]
    frames = [CONTROL.sub("", frame).rstrip() for frame in re.split(r"\r|\x1b\[2K", drawn)]
    assert any(re.search(r"writing \w+ ━+ \d+ of \d+, \d+/s, about .* left", frame) for frame in frames), frames
    assert [frame for frame in frames if len(frame) > 80 or "…" in frame or "\n" in frame.strip()] == []
    assert not any(re.match(r"\n? {10}", frame) for frame in frames), "a second line"
    assert "\x1b[?25h" in seen, "the cursor is shown again"


def test_on_a_terminal_that_cannot_move_its_cursor_progress_is_plain_lines(emulators, tmp_path):
    emulators.begin_again(users=40, groups=4)
    emulators.servicenow.put("/service-times", insert=0.15)
    code, seen = on_a_terminal(Person(emulators, tmp_path), "run", TERM="dumb")
    assert code == 0
    assert "\x1b" not in seen
    assert re.search(r"writing \w+, \d+ of \d+", seen)


INTERRUPTED = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv[:] = ["provisioning", "status"]
runpy.run_module("provisioning", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["typer", "provisioning.cli.program", "provisioning.app", "httpx"])
def test_an_interrupt_while_the_program_is_being_read_is_one_line(world, module):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module=module)],
        cwd=ROOT,
        env=world.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("interrupted")
    assert len(done.stderr.splitlines()) == 1


def test_an_interrupt_on_a_terminal_gives_it_back_as_it_was(emulators, tmp_path):
    emulators.begin_again(users=40, groups=4)
    emulators.servicenow.put("/service-times", insert=0.1)
    person, before = Person(emulators, tmp_path), emulators.records("sys_user")
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        person.command("run"), cwd=ROOT, env=person.environ_with(TERM="xterm"), stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    await_records(emulators, "sys_user", more_than=len(before) + 5)
    process.send_signal(signal.SIGINT)
    seen = read_to_the_end(master)
    assert process.wait(timeout=30) == 130
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l"), "the cursor is shown again"
    assert "Traceback" not in seen
    assert "interrupted: nothing is lost" in seen


# --- completion ---------------------------------------------------------------------------------

CALLED = [
    ("re", {"reject", "restart", "resync"}),
    ("links ", {"list", "show", "verify", "relink", "unlink", "export"}),
    ("restart --scope Q", {"QuarantineState"}),
    ("restart --scope Watermark,E", {"Watermark,Escrows"}),
    ("restart --sc", {"--scope"}),
    ("logs --status ", {"success", "failure", "skipped", "warning"}),
    ("discover --state st", {"stale"}),
    ("plan --out ", set()),
]


@pytest.mark.parametrize("called", ["provisioning", f"{sys.executable} -m provisioning"])
@pytest.mark.parametrize(("words", "expected"), CALLED)
def test_bash_completes_commands_options_and_their_words(called, words, expected):
    typed = [*called.split(), *words.split(" ")]
    asking = f"COMP_WORDS=({shlex.join(typed)}); COMP_CWORD={len(typed) - 1}; _provisioning_completion"
    printing = 'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        [BASH, "--norc", "-c", f"{shown('bash')}\n{asking}\n{printing}"],
        cwd="/",
        env=without_settings(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line for line in done.stdout.splitlines() if line} == expected
    assert done.stderr == ""


def shown(kind: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "provisioning", "--show-completion", kind],
        cwd=ROOT,
        env=without_settings(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_bash_completes_what_a_person_types_and_leaves_other_programs_alone():
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [BASH, "--norc", "--noprofile", "-i"],
        cwd=ROOT,
        env={**without_settings(), "TERM": "dumb", "PS1": "> "},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)

    def types(text: str, until: Callable[[str], bool]) -> str:
        os.write(master, text.encode())
        seen, deadline = "", time.monotonic() + 30
        while not until(seen):
            assert time.monotonic() < deadline, seen
            if select.select([master], [], [], 0.2)[0]:
                seen += os.read(master, 65536).decode()
        return seen

    try:
        types("", lambda seen: "> " in seen)
        ready = f'eval "$({sys.executable} -m provisioning --show-completion bash)"; echo rea""dy\n'
        types(ready, lambda seen: "ready" in seen)
        types(f"{sys.executable} -m provisioning restart --scope Qua\t", lambda seen: "QuarantineState " in seen)
        types("\x15", lambda _: True)
        types(f"{sys.executable} READ\t", lambda seen: "README.md" in seen)
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.parametrize(("words", "expected"), CALLED)
def test_zsh_is_answered_with_the_same_words(words, expected):
    """As the script asks; a shell of its own is not needed for that, and not every machine has one."""
    text = shown("zsh")
    assert text == script("zsh")
    assert "compdef _provisioning_completion provisioning .venv/bin/python" in text
    done = subprocess.run(
        [sys.executable, "-m", "provisioning"],
        cwd=ROOT,
        env={
            **without_settings(),
            "_PROVISIONING_COMPLETE": "complete_zsh",
            "_TYPER_COMPLETE_ARGS": f"provisioning {words}",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(re.findall(r'^(?:_arguments \'\*: :\(\()?"([^"]+)"', done.stdout, re.MULTILINE)) == expected
    assert expected or done.stdout == "_files\n"


def test_a_shell_that_is_not_known_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "provisioning", "--show-completion", "tcsh"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.startswith("error: ")) == (1, True)


# --- what is imported ---------------------------------------------------------------------------

IMPORTED = """
import sys
from provisioning.cli import main
code = main(sys.argv[1:])
print(*sorted({*sys.modules}), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("words", "spared"),
    [
        (("--help",), {"provisioning.app", "provisioning.engine", "asyncio", "httpx", "rich", "msgspec", "pydantic"}),
        (("links", "show", "--help"), {"provisioning.app", "provisioning.engine", "asyncio", "httpx", "rich"}),
        (("status",), {"msgraph", "azure", "cryptography", "jwt", "starlette", "uvicorn", "msal"}),
    ],
)
def test_a_command_imports_only_what_it_needs(world, words, spared):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words],
        cwd=ROOT,
        env=world.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert spared & set(done.stderr.split()) == set()
