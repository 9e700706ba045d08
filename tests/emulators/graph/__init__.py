"""An emulator of Microsoft Graph as far as provisioning needs it: `Tenant` is the state and its Python API,
`create_app` puts it behind HTTP, and the effects are what can be made to go wrong.
"""

from .app import ACCESS_TOKEN, CLIENT_SECRET, create_app
from .behaviour import (
    LEAST_PERMISSIONS,
    Behaviour,
    Duplicate,
    EmptyList,
    EmptyPage,
    ExpireDelta,
    ExpirePage,
    Fail,
    Faults,
    Late,
    Replay,
    ResetConnection,
    Slow,
    Throttle,
    UnknownRemoved,
)
from .records import DEFAULT_ACCESS, Assignment, DirectoryObject, TenantError, UnknownObject
from .state import Tenant

__all__ = [
    "ACCESS_TOKEN",
    "CLIENT_SECRET",
    "DEFAULT_ACCESS",
    "LEAST_PERMISSIONS",
    "Assignment",
    "Behaviour",
    "DirectoryObject",
    "Duplicate",
    "EmptyList",
    "EmptyPage",
    "ExpireDelta",
    "ExpirePage",
    "Fail",
    "Faults",
    "Late",
    "Replay",
    "ResetConnection",
    "Slow",
    "Tenant",
    "TenantError",
    "Throttle",
    "UnknownObject",
    "UnknownRemoved",
    "create_app",
]
