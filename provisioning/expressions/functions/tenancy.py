"""Functions that ask the tenant."""

from __future__ import annotations

from provisioning.expressions.signatures import Run, Scope, Site, built
from provisioning.expressions.values import Unfit


def default_domain(_: Site) -> Run:
    def run(scope: Scope) -> str:
        if scope.tenant is None or not scope.tenant.default_domain:
            raise Unfit("finds no default verified domain of the tenant")
        return scope.tenant.default_domain

    return run


FUNCTIONS = (built("DefaultDomain()", default_domain),)
