"""A ServiceNow instance for tests and demonstrations: `Instance` is its state without HTTP, `create_app` puts the
Table, Batch and OAuth endpoints before it (and `/_emulator` behind them), `seed_instance` fills it. Reproduces
documented behaviour, traps included; what it does not know it refuses loudly.
"""

from tests.emulators.servicenow.app import create_app
from tests.emulators.servicenow.capacity import Capacity, ServiceTimes
from tests.emulators.servicenow.errors import Refusal
from tests.emulators.servicenow.faults import Fault
from tests.emulators.servicenow.rate_rule import RateRule
from tests.emulators.servicenow.seed import CLIENT_ID, CLIENT_SECRET, INTEGRATION_USER, seed_instance
from tests.emulators.servicenow.seed_pysnc import seed_pysnc
from tests.emulators.servicenow.state import Instance

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "INTEGRATION_USER",
    "Capacity",
    "Fault",
    "Instance",
    "RateRule",
    "Refusal",
    "ServiceTimes",
    "create_app",
    "seed_instance",
    "seed_pysnc",
]
