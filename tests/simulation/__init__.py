"""Random histories of a company, with faults and deaths in between, and a model of what ServiceNow must hold then:
`ledger` is the model, `machine` the histories, `mistakes` what they must notice. `python -m tests.simulation` runs it.
"""
