"""What the repository hands to Azure and to the public: settings, and nothing that must not ship."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent

# A value that looks like a credential of one of the two sides, or of a storage account.
SECRETS = re.compile(
    r"AccountKey=[A-Za-z0-9+/]{40,}"  # storage account
    r"|-----BEGIN (RSA |EC )?PRIVATE KEY-----"
    r"|\b[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{34}\b"  # client secret of an app registration
    r"|\bsig=[A-Za-z0-9%]{40,}"  # shared access signature
    r"|\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"  # token
)
HOME_PATHS = re.compile(r"(/home/|/Users/|C:\\\\?Users\\\\?)(?!runner\b)[A-Za-z][\w.-]+[/\\]|/root/")


def tracked_texts():
    git = shutil.which("git")
    names = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if path.is_file():
            yield name, path.read_bytes().decode("utf-8", "replace")


def test_the_host_settings_are_those_the_app_was_built_for():
    host = json.loads((ROOT / "host.json").read_text())
    assert host["version"] == "2.0"
    assert host["extensionBundle"] == {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}
    assert host["functionTimeout"] == "00:30:00"
    # Microsoft's own clients append /servicePrincipals/... to https://APP/v1.0.
    assert host["extensions"]["http"]["routePrefix"] == ""
    durable = host["extensions"]["durableTask"]
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", durable["hubName"])
    assert 5 <= durable["maxConcurrentActivityFunctions"] <= 10
    assert 5 <= durable["maxConcurrentOrchestratorFunctions"] <= 10


def test_httpx_does_not_log_addresses_which_carry_queries_and_delta_tokens():
    levels = json.loads((ROOT / "host.json").read_text())["logging"]["logLevel"]
    assert levels["httpx"] == "Warning"


def test_the_sample_settings_start_on_a_laptop_and_hold_no_secret():
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())
    values = sample["Values"]
    assert sample["IsEncrypted"] is False
    assert values["FUNCTIONS_WORKER_RUNTIME"] == "python"
    assert values["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
    assert values["STATE"].startswith("sqlite:")
    assert all(isinstance(value, str) for value in values.values())
    secret = re.compile("SECRET|PASSWORD|KEY|TOKEN")
    assert [name for name, value in values.items() if secret.search(name) and value] == []


def test_tests_emulators_and_local_files_are_not_deployed():
    ignored = set((ROOT / ".funcignore").read_text().splitlines())
    assert {"tests", ".venv", ".git", ".ci", "docs", "infra", "requirements-dev.txt", "local.settings.json"} <= ignored
    assert not ignored & {"provisioning", "function_app.py", "host.json", "requirements.txt"}


def test_local_settings_and_state_are_not_tracked():
    names = [name for name, _ in tracked_texts()]
    assert "local.settings.json" not in names
    assert [name for name in names if name.endswith((".db", ".db-wal", ".env", ".pem", ".pfx"))] == []


def test_no_tracked_file_holds_a_secret_or_the_path_of_somebodys_home():
    findings = [
        f"{name}: {match.group()[:20]}"
        for name, text in tracked_texts()
        for pattern in (SECRETS, HOME_PATHS)
        for match in [pattern.search(text)]
        if match and name != "tests/test_repository.py"
    ]
    assert findings == []
