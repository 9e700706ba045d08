"""ServiceNow over HTTP: `ServiceNowSession` reaches one instance, `ServiceNowTarget` is what the engine works with,
`credentials` makes the login, `client_context` shows a
certificate, `refusal` says why a value cannot be looked up.
"""

from provisioning.adapters.servicenow.auth import client_context, credentials
from provisioning.adapters.servicenow.checking import Report, Task
from provisioning.adapters.servicenow.findings import Finding
from provisioning.adapters.servicenow.query import refusal
from provisioning.adapters.servicenow.session import ServiceNowSession
from provisioning.adapters.servicenow.target import TABLES, ServiceNowTarget

__all__ = [
    "TABLES",
    "Finding",
    "Report",
    "ServiceNowSession",
    "ServiceNowTarget",
    "Task",
    "client_context",
    "credentials",
    "refusal",
]
