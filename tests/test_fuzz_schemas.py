"""Schemas as people export, edit and break them: whatever is in one, it is examined to the end. One that is taken
works, and is the same when it is written and read again.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import ConfigError, ObjectError
from provisioning.rules.attributes import Facts
from provisioning.rules.filters import failed_filters
from provisioning.schema import default_schema, dump, examine, load_schema, validate
from tests.fuzzing import ODD, SEEDS, spoilt, trying
from tests.mappings import person
from tests.test_schema_validate import baseline_columns

CASES = sorted((Path(__file__).parent / "cases" / "schemas").glob("*.json"))
DOCUMENTS = {path.stem: json.loads(path.read_text("utf-8")) for path in CASES} | {"default": dump(default_schema())}
OF_SCHEMAS: tuple[Any, ...] = (
    *(
        "Function",
        "Constant",
        "Attribute",
        "[mail]",
        'Join(",", [mail], [x])',
        "Not(" * 200,
        '"(a+)+$"',
        "User",
        "Group",
    ),
    *("sys_user", "members", "FlowWhenChanged", "ObjectAddOnly", "EQUALS", "REGEX MATCH", "memberOf", "IsSoftDeleted"),
    *([{"clauses": []}], [{"clauses": [{"operatorName": "EQUALS"}]}], {"type": "Function", "parameters": [{"key": 1}]}),
    *(
        {"expression": "[a]", "type": "Attribute", "name": "a", "parameters": []},
        [{"key": "PreferredMatch", "value": "x=y"}],
    ),
)
COLUMNS = baseline_columns()


def renamed(document: Any, chance: random.Random) -> Any:
    """Members in other spellings, as other tools write them."""
    match document:
        case dict():
            return {
                name[:1].upper() + name[1:] if chance.random() < 0.1 else name: renamed(value, chance)
                for name, value in document.items()
            }
        case list():
            return [renamed(each, chance) for each in document]
        case _:
            return document


def tried(document: Any, *, strict: bool) -> None:
    examination = examine(document, strict=strict)
    assert all(str(finding) for finding in examination.findings)
    assert (examination.schema is None) == any(finding.severity == "error" for finding in examination.findings)
    if examination.schema is None:
        with pytest.raises(ConfigError):
            load_schema(document, strict=strict)
        return
    schema = load_schema(document, strict=strict)
    again = load_schema(json.loads(json.dumps(dump(schema))), strict=strict)
    assert json.dumps(dump(again)) == json.dumps(dump(schema))
    assert (again.user.columns, again.group.columns) == (schema.user.columns, schema.group.columns)
    assert again.user.source_properties == schema.user.source_properties
    assert all(str(finding) for finding in validate(schema, COLUMNS))
    try:
        failed_filters(schema.user.scope.groups, Facts(person(department="x", mail=None)))
    except ObjectError as error:
        assert error.way_out  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("name", DOCUMENTS)
@trying(15)
@given(SEEDS, st.booleans())
def test_a_broken_schema_is_examined_to_the_end(name, seed, strict):
    chance = random.Random(seed)
    document = spoilt(DOCUMENTS[name], chance, odd=chance.choice((ODD, OF_SCHEMAS)))
    tried(renamed(document, chance) if chance.random() < 0.3 else document, strict=strict)


@pytest.mark.parametrize("name", DOCUMENTS)
@trying(5)
@given(SEEDS)
def test_parts_of_one_schema_in_another_place_are_examined_to_the_end(name, seed):
    chance = random.Random(seed)
    rules = [rule for document in DOCUMENTS.values() for rule in document.get("synchronizationRules", ())]
    mappings = [mapping for rule in rules for mapping in rule.get("objectMappings", ())]
    parts = (*rules, *mappings, *(each for mapping in mappings for each in mapping.get("attributeMappings", ())))
    tried(spoilt(DOCUMENTS[name], chance, odd=parts), strict=False)
