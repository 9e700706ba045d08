"""Numbers for a monitor, as Prometheus' text or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from provisioning.api.answers import Reply
from provisioning.api.routing import Host, Request
from provisioning.engine.metrics import HELP, Sample, samples

TEXT = "text/plain; version=0.0.4; charset=utf-8"


async def get_metrics(request: Request, host: Host) -> dict[str, Any] | Reply:
    """Numbers for a monitor: Prometheus' text, or JSON where the caller accepts that."""
    found = await samples((await host.app()).engine)
    if "application/json" in request.headers.get("accept", "").lower():
        return {"value": [{"name": s.name, "labels": dict(s.labels), "value": s.value} for s in found]}
    return Reply(200, prometheus(found), {"Content-Type": TEXT})


def prometheus(found: Sequence[Sample]) -> str:
    lines: list[str] = []
    for name, some in groupby(found, key=lambda sample: sample.name):
        lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(sample)} {sample.value:.17g}" for sample in some]
    return "\n".join([*lines, ""])


def _labels(sample: Sample) -> str:
    if not sample.labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
