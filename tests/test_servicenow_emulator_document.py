"""docs/emulator.md tells all that the emulator can be told to do, and what it tells works: its curl commands are
carried out, one after another. And the emulator starts as the document says.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.emulators.servicenow import ServiceTimes
from tests.emulators.servicenow.access import Access, Switches
from tests.emulators.servicenow.control import PROFILES, ROUTES
from tests.emulators.servicenow.faults import EFFECTS, Fault
from tests.emulators.servicenow.in_process import calling
from tests.served import read_env_file

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^curl .*$", DOCUMENT, re.MULTILINE)


def names(kind):
    return [field.name for field in dataclasses.fields(kind) if field.init]


@pytest.mark.parametrize("route", [f"{method} /_emulator{path}" for method, path, _ in ROUTES])
def test_every_control_route_is_in_the_document(route):
    assert f"`{route}`" in DOCUMENT


@pytest.mark.parametrize(
    "name", [*EFFECTS, *names(Fault), *names(Switches), *names(Access), *names(ServiceTimes), *PROFILES]
)
def test_every_name_that_the_control_api_takes_is_in_the_document(name):
    assert f"`{name}`" in DOCUMENT


def test_the_document_names_no_effect_switch_or_rule_that_does_not_exist():
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))

    def told(title):
        cells = re.findall(r"^\| (`.*?) \|", sections[title], re.MULTILINE)
        return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}

    assert told("Faults") == {*EFFECTS, *names(Fault)}
    assert told("Switches") == set(names(Switches))
    assert told("Access rules") == set(names(Access))


def test_the_defaults_of_the_switches_are_those_of_the_document():
    for name, value in dataclasses.asdict(Switches()).items():
        (told,) = re.findall(rf"^\| `{name}` \| `?([\w.]+)", DOCUMENT, re.MULTILINE)
        assert told == (value if isinstance(value, str) else f"{value:g}" if value < 1e5 else str(value))


def test_every_command_of_the_document_works():
    assert len(COMMANDS) >= len(ROUTES)
    done = set()
    with calling() as call:
        for command in COMMANDS:
            words = shlex.split(command)[1:]
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            (url,) = [word for word in words if word.startswith("$SN")]
            body = words[words.index("-d") + 1] if "-d" in words else ""
            reply = call(method, url.removeprefix("$SN"), auth=None, content=body)
            assert reply.status_code == 200, f"{command}: {reply.text}"
            done.add((method, re.sub(r"\?.*", "", url).removeprefix("$SN/_emulator")))
    assert {(method, path) for method, path, _ in ROUTES if "{" not in path} <= done


def test_the_emulators_speak_https_with_a_certificate_that_is_written_and_a_key_that_is_not(tmp_path):
    certificate, env_file = tmp_path / "emulator.pem", tmp_path / "emulator.env"
    ports = ("--graph-port", "0", "--servicenow-port", "0", "--users", "5", "--groups", "1")
    command = (sys.executable, "-m", "tests.emulators", *ports, "--profile", "pysnc")
    with subprocess.Popen(
        [*command, "--https", str(certificate), "--env-file", str(env_file)], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not env_file.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            settings = read_env_file(env_file)
            trusted = ssl.create_default_context(cafile=settings["SSL_CERT_FILE"])
            with httpx.Client(verify=trusted, trust_env=False) as client:
                problems = client.get(
                    f"{settings['SERVICENOW_INSTANCE']}/api/now/table/problem", auth=("admin", "admin")
                )
                assert client.get(f"{settings['GRAPH_BASE_URL']}/users").status_code == 401
            assert len(problems.json()["result"]) == 12
            assert problems.headers.get_list("Server") == ["ServiceNow"]
            assert len(problems.headers.get_list("Date")) == 1
            with httpx.Client(trust_env=False) as stranger, pytest.raises(httpx.ConnectError, match="CERTIFICATE"):
                stranger.get(settings["SERVICENOW_INSTANCE"])
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert "PRIVATE KEY" not in "".join(file.read_text() for file in tmp_path.iterdir())
