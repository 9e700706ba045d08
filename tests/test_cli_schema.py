"""`schema` and `expression` as a person uses them: processes of their own, against both emulators over HTTP."""

from __future__ import annotations

import json

import pytest

from tests.test_cli import GROUPS, USERS, Person, emulators

__all__ = ["emulators"]

SIOBHAN = "siobhan.o'brien@contoso.com"


@pytest.fixture
def person(emulators, tmp_path) -> Person:
    emulators.begin_again(users=USERS, groups=GROUPS)
    return Person(emulators, tmp_path)


@pytest.fixture(scope="module")
def reader(emulators, tmp_path_factory) -> Person:
    """For commands that change nothing: one tenant for all of them."""
    emulators.begin_again(users=USERS, groups=GROUPS)
    return Person(emulators, tmp_path_factory.mktemp("reader"))


def default_schema(person: Person) -> dict:
    done = person.types("schema", "export", "--default")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def user_mapping(document: dict) -> dict:
    mappings = [m for rule in document["synchronizationRules"] for m in rule["objectMappings"]]
    return next(m for m in mappings if m["sourceObjectName"] == "User" and m["enabled"])


def mapping_of(document: dict, target: str) -> dict:
    return next(a for a in user_mapping(document)["attributeMappings"] if a["targetAttributeName"] == target)


def written(person: Person, document: dict, name: str = "schema.json") -> str:
    path = person.folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def clause(attribute: str, operator: str, *values: str) -> dict:
    return {"sourceOperandName": attribute, "operatorName": operator, "targetOperand": {"values": list(values)}}


# --- schema ---------------------------------------------------------------------------------------


def test_what_was_imported_is_exported_unchanged_and_the_next_cycle_works_with_it(person):
    assert person.types("run").returncode == 0
    document = default_schema(person)
    document["ours"] = {"anything": [1, None, "kept"]}
    expression = 'Join(" / ", [jobTitle], [department])'
    mapping_of(document, "title")["source"] = {"type": "Function", "expression": expression}
    file = written(person, document)
    done = person.types("schema", "import", file)
    assert done.returncode == 0, done.stdout + done.stderr
    exported = person.types("schema", "export").stdout
    assert json.loads(exported) == document
    assert list(json.loads(exported)) == list(document)
    summary = person.gets("run")
    assert summary["kind"] == "initial"
    assert any(" / " in record["title"] for record in person.served.records("sys_user"))
    assert person.types("schema", "import", "--default").returncode == 0
    assert json.loads(person.types("schema", "export").stdout) == default_schema(person)


def test_a_plan_with_a_candidate_schema_stores_and_writes_nothing(person):
    assert person.types("run").returncode == 0
    document = default_schema(person)
    group = {"name": "nobody", "clauses": [clause("department", "EQUALS", "No such department")]}
    user_mapping(document)["scope"] = {"groups": [group]}
    person.served.forget_counts()
    done = person.types("plan", "--schema", written(person, document), "--json")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["counts"]["users"]["held"] > 0
    assert person.served.writes == 0
    assert person.types("plan").returncode == 0
    assert json.loads(person.types("schema", "export").stdout) == default_schema(person)


def test_a_schema_with_errors_is_reported_item_by_item_and_not_stored(person):
    document = default_schema(person)
    mapping_of(document, "title")["source"] = {"type": "Function", "expression": "Jion([jobTitle])"}
    mapping_of(document, "city")["targetAttributeName"] = "ctiy"
    user_mapping(document)["scope"] = {"categoryFilterGroups": [{"name": "x", "clauses": []}]}
    done = person.types("schema", "import", written(person, document))
    assert done.returncode == 1
    for text in ("Jion", "Join", "categoryFilterGroups"):
        assert text in done.stdout
    assert json.loads(person.types("schema", "export").stdout) == default_schema(person)


def test_a_column_that_the_instance_lacks_is_found_by_asking_it(reader):
    document = default_schema(reader)
    mapping_of(document, "city")["targetAttributeName"] = "ctiy"
    file = written(reader, document)
    assert reader.types("schema", "validate", file, "--offline").returncode == 0
    done = reader.types("schema", "validate", file)
    assert done.returncode == 1
    assert "ctiy" in done.stdout
    assert "city" in done.stdout


def test_the_default_schema_fits_a_baseline_instance(reader):
    answer = reader.gets("schema", "validate")
    assert answer["ok"] is True
    assert [f for f in answer["findings"] if f["severity"] != "note"] == []


@pytest.mark.parametrize(
    ("content", "says"), [("{", "not JSON"), ("[]", "JSON object"), ("{}", "User")], ids=["broken", "list", "empty"]
)
def test_what_is_no_schema_is_refused(reader, content, says):
    path = reader.folder / "wrong.json"
    path.write_text(content, encoding="utf-8")
    done = reader.types("schema", "import", str(path))
    assert done.returncode == 1
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_does_not_exist_is_told(reader):
    done = reader.types("schema", "validate", str(reader.folder / "none.json"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "none.json" in done.stderr


def test_discover_lists_columns_and_custom_ones_with_what_they_hold(person):
    person.served.servicenow.post("/columns/sys_user", name="u_badge", max_length=12)
    shown = person.types("schema", "discover").stdout
    row = next(line for line in shown.splitlines() if line.split()[:1] == ["u_badge"])
    assert "12" in row.split()
    assert any(line.split()[:4] == ["department", "reference", "32", "cmn_department"] for line in shown.splitlines())
    directory = person.gets("schema", "discover")
    users = next(each for each in directory["objects"] if each["name"] == "sys_user")
    assert "u_badge" in {attribute["name"] for attribute in users["attributes"]}
    document = default_schema(person)
    mappings = user_mapping(document)["attributeMappings"]
    mappings.append({"targetAttributeName": "u_badge", "source": {"type": "Attribute", "name": "employeeType"}})
    assert person.types("schema", "import", written(person, document)).returncode == 0


# --- expression -----------------------------------------------------------------------------------


def test_an_expression_is_tried_on_given_attributes(reader):
    done = reader.types(
        "expression",
        'Join(" ", [givenName], [surname])',
        "--attribute",
        "givenName=Ada",
        "--attribute",
        "surname=Byron",
    )
    assert (done.returncode, done.stdout) == (0, "Ada Byron\n")


def test_several_values_and_json_can_be_given(reader):
    done = reader.types(
        "expression", 'Join("+", [a], [b])', "--attribute", "a=1", "--attribute", "a=2", "--attribute", "b:=7"
    )
    assert done.stdout == "1+2+7\n"


def test_the_time_and_the_domain_can_be_set(reader):
    expression = 'Join(" ", FormatDateTime(Now(), , "M/d/yyyy h:mm:ss tt", "yyyy"), DefaultDomain())'
    done = reader.types("expression", expression, "--now", "2031-05-06", "--domain", "c.com")
    assert done.stdout == "2031 c.com\n"


def test_an_error_points_at_its_place(reader):
    done = reader.types("expression", 'Join(" ", [givenName]')
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert 'Join(" ", [givenName]' in lines[1]
    assert lines[2].strip().startswith("^")


def test_the_json_is_that_of_parse_expression(reader):
    answer = reader.gets("expression", 'Switch([x], "no", "1", "yes")', "--attribute", "x=1")
    assert (answer["parsingSucceeded"], answer["evaluationSucceeded"]) == (True, True)
    assert answer["evaluationResult"] == ["yes"]
    assert answer["parsedExpression"]["name"] == "Switch"
    failed = reader.gets("expression", "CDate([x])", "--attribute", "x=never", code=1)
    assert (failed["parsingSucceeded"], failed["evaluationSucceeded"]) == (True, False)
    assert failed["error"]["message"]


def test_an_expression_is_tried_on_a_real_user_with_attributes_that_no_mapping_reads(reader):
    reader.served.graph.patch(f"/users/{SIOBHAN}", employeeType="Contractor")
    done = reader.types(
        "expression",
        'Join(",", [surname], [employeeType], SingleAppRoleAssignment([appRoleAssignments]))',
        "--user",
        SIOBHAN,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "O'Brien,Contractor,User\n"


def test_what_is_given_stands_in_for_a_real_users_attribute(reader):
    done = reader.types("expression", "Append([surname], [x])", "--user", SIOBHAN, "--attribute", "x=!")
    assert done.stdout == "O'Brien!\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--attribute", "givenName"), "NAME=VALUE"),
        (("--attribute", "a:={"), "JSON"),
        (("--now", "soon"), "--now"),
        (("--user", "nobody@contoso.com"), "nobody@contoso.com"),
    ],
)
def test_a_wrong_option_of_expression_is_one_line(reader, words, says):
    done = reader.types("expression", "[givenName]", *words)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert says in done.stderr


# --- check ----------------------------------------------------------------------------------------


def default_access(person: Person, **settings) -> str:
    found = person.gets("check", **settings)["findings"]
    return next(finding["detail"] for finding in found if finding["what"] == "Default Access")


def test_check_tells_how_many_people_have_default_access_only(person):
    assert default_access(person) == (
        "does not entitle; 0 people are assigned with it only, 0 groups among the assigned"
    )
    default, members = "00000000-0000-0000-0000-000000000000", 3
    people = [
        person.served.graph.post("/users", userPrincipalName=f"n{number}@contoso.com", displayName=f"N{number}")["id"]
        for number in range(members + 1)
    ]
    group = person.served.graph.post("/groups", displayName="New", members=people[:members])["id"]
    for principal in (group, people[0], people[-1]):
        person.served.graph.post("/assignments", principalId=principal, appRoleId=default)
    other = person.served.graph.post("/users", userPrincipalName="other@contoso.com", displayName="Other")["id"]
    person.served.graph.post(f"/groups/{group}/members", memberId=other)
    person.served.graph.post("/assignments", principalId=other)
    assert default_access(person).startswith(f"does not entitle; {members + 1} people are assigned with it only, 1 gr")
    assert default_access(person, DEFAULT_ACCESS="include").startswith("entitles; ")
    assert default_access(person, SCOPE="all") == "not asked for: SCOPE is all"


def test_app_roles_and_scope_all_are_refused_together(person):
    document = default_schema(person)
    expression = "SingleAppRoleAssignment([appRoleAssignments])"
    mapping_of(document, "title")["source"] = {"type": "Function", "expression": expression}
    done = person.types("plan", "--schema", written(person, document), SCOPE="all")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "appRoleAssignments" in done.stderr
