"""Microsoft Graph as the engine's source. `GraphSource` answers its questions on a `GraphSession`, which knows how to
reach Graph and who we are. Nothing here imports the Graph SDK or msal before the first request: a cold start that has
nothing to read should not pay for them.
"""

from provisioning.adapters.graph.identities import ApplicationIdentity, Certificate, ManagedIdentity, Secret
from provisioning.adapters.graph.reads import OnlyReads
from provisioning.adapters.graph.session import GraphSession, graph_host
from provisioning.adapters.graph.source import GraphSource
from provisioning.adapters.graph.tokens import SignedIn, StaticToken

__all__ = [
    "ApplicationIdentity",
    "Certificate",
    "GraphSession",
    "GraphSource",
    "ManagedIdentity",
    "OnlyReads",
    "Secret",
    "SignedIn",
    "StaticToken",
    "graph_host",
]
