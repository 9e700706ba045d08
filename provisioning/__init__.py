"""Provisions users and groups from Microsoft Entra ID into ServiceNow.

    model, rows, errors   the nouns, the rows of the state store, the error tree: no input or output
    config, forms         settings from the environment, parsed and refused early; those of notices in notify_settings,
                         those that Microsoft's API keeps as secrets in graph_secrets
    expressions/          Entra's mapping language: text -> compiled expression; knows neither side
    schema/               Microsoft's synchronizationSchema JSON <-> the job's mappings and filters
    rules/                scope, matching, mapping, decide, review: pure
    engine/               collect, observe, act, the cycle as a state machine, and the ports it needs
    adapters/             Graph, ServiceNow, the two state stores, mail and webhooks
    api/                  the HTTP resources in Graph's shapes, as plain functions
    app                   puts them together; the only module that knows them all
    cli                   the command line: python -m provisioning

Imports point inward: cli -> app -> engine, adapters -> rules -> schema -> expressions -> model, errors. A test
checks it.
"""
