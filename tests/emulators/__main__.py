"""Serves both emulators on 127.0.0.1 from one process, filled with a tenant and an instance that fit each other, until
it is interrupted. Once both answer, the settings that reach them are written to a file, ready to be sourced.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import uvicorn

from tests.emulators import graph, servicenow, tenant
from tests.emulators.graph import Tenant
from tests.emulators.plain_tenant import seed_plainly
from tests.emulators.servicenow import Instance
from tests.emulators.servicenow.certificate import write_certificate

HOST = "127.0.0.1"


def main() -> int:
    options = _options()
    if options.env_file is not None:
        options.env_file.unlink(missing_ok=True)
    try:
        doors = [_listen(options.graph_port), _listen(options.servicenow_port)]
    except OSError as error:
        sys.stderr.write(f"cannot listen: {error}\n")
        return 1
    addresses = [f"{'https' if options.https else 'http'}://{HOST}:{door.getsockname()[1]}" for door in doors]
    directory = Tenant(seed=options.seed)
    if options.plain:
        seed_plainly(directory, users=options.users, groups=options.groups)
    else:
        tenant.seed(directory, users=options.users, groups=options.groups, seed=options.seed)
    instance = Instance(url=addresses[1])
    fill = servicenow.seed_pysnc if options.profile == "pysnc" else servicenow.seed_instance
    fill(
        instance,
        departments=tenant.DEPARTMENTS,
        locations=tuple(office.name for office in tenant.OFFICES),
        companies=tenant.COMPANIES,
        cost_centers=tenant.COST_CENTERS,
    )
    # All this lives as long as the process: the collector need not walk it in the middle of a request.
    gc.freeze()
    directory_app, instance_app = graph.create_app(directory), servicenow.create_app(instance)
    configs = [
        uvicorn.Config(directory_app, lifespan="off", log_level="critical"),
        # The instance sends its own Date, by its own clock, and says what it is.
        uvicorn.Config(instance_app, lifespan="off", log_level="critical", date_header=False, server_header=False),
    ]
    settings = _settings(directory, addresses)
    if options.https:
        _speak_https(configs, options.https)
        settings |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(options.https.resolve()))
    servers = [_Server(config) for config in configs]
    asyncio.run(_serve(servers, doors, addresses, settings, options.env_file))
    return 0


def _speak_https(configs: list[uvicorn.Config], certificate: Path) -> None:
    """One certificate for both, written where the caller wants it; its key is gone as soon as they have read it."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "emulator.key"
        write_certificate(certificate, key)
        for config in configs:
            config.ssl_certfile, config.ssl_keyfile = certificate, key
            config.load()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators", description=__doc__)
    parser.add_argument("--graph-port", type=int, default=7101, help="0 takes a free port")
    parser.add_argument("--servicenow-port", type=int, default=7102, help="0 takes a free port")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="everybody alike and in one group, for measuring")
    parser.add_argument(
        "--profile",
        choices=("company", "pysnc"),
        default="company",
        help="what ServiceNow is filled with: pysnc adds what PySNC's own tests need",
    )
    parser.add_argument(
        "--https", type=Path, metavar="PATH", help="speak HTTPS, with a throw-away certificate written to this path"
    )
    parser.add_argument("--env-file", type=Path, help="where to write the settings that reach the emulators")
    return parser.parse_args()


def _listen(port: int) -> socket.socket:
    # Without the protocol's number asyncio leaves Nagle's algorithm on, which can cost 40 ms for an answer.
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind((HOST, port))
    return door


def _settings(directory: Tenant, addresses: list[str]) -> dict[str, str]:
    return {
        "ENTRA_TENANT_ID": directory.tenant_id,
        "ENTRA_CLIENT_ID": directory.app_id,
        "GRAPH_BASE_URL": f"{addresses[0]}/v1.0",
        "GRAPH_ACCESS_TOKEN": graph.ACCESS_TOKEN,
        "ENTRA_SERVICE_PRINCIPAL_ID": directory.service_principal_id,
        "SERVICENOW_INSTANCE": addresses[1],
        "SERVICENOW_AUTH": "oauth-client-credentials",
        "SERVICENOW_CLIENT_ID": servicenow.CLIENT_ID,
        "SERVICENOW_CLIENT_SECRET": servicenow.CLIENT_SECRET,
        "SCOPE": "assigned",
    }


class _Server(uvicorn.Server):
    """One of two servers of a process: the signals are the process's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    servers: list[_Server],
    doors: list[socket.socket],
    addresses: list[str],
    settings: dict[str, str],
    env_file: Path | None,
) -> None:
    def stop() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        for server, door in zip(servers, doors, strict=True):
            group.create_task(server.serve(sockets=[door]))
        if await _both_answer(servers, addresses, settings.get("SSL_CERT_FILE")):
            _announce(settings, env_file)


async def _both_answer(servers: list[_Server], addresses: list[str], certificate: str | None) -> bool:
    """Wait for both; False if they were stopped before that."""
    while not all(server.started for server in servers):
        if any(server.should_exit for server in servers):
            return False
        await asyncio.sleep(0.01)
    trusted = ssl.create_default_context(cafile=certificate) if certificate else True
    async with httpx.AsyncClient(trust_env=False, verify=trusted) as client:
        for address in addresses:
            (await client.get(f"{address}/_emulator/counts")).raise_for_status()
    return True


def _announce(settings: dict[str, str], env_file: Path | None) -> None:
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    if env_file is None:
        sys.stdout.write(lines)
        sys.stdout.flush()
        return
    # Whoever waits for the file must never read half of it.
    partial = env_file.with_name(f"{env_file.name}.{os.getpid()}")
    partial.write_text(lines, encoding="utf-8")
    partial.replace(env_file)
    sys.stdout.write(f"Graph at {settings['GRAPH_BASE_URL']}, ServiceNow at {settings['SERVICENOW_INSTANCE']}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
