"""Laws that hold for every text and every tree, and not only for examples."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from provisioning.expressions import FUNCTIONS, ExpressionError, Tenant, compile, from_tree, to_tree  # noqa: A004
from provisioning.expressions.parser import parse
from provisioning.expressions.printer import printed
from provisioning.expressions.syntax import Attribute, Call, Comparison, Number, Text, Word
from provisioning.expressions.tokens import position_in_quotes, quoted, unquoted

NOW = datetime(2025, 7, 30, 10, tzinfo=UTC)
FRAGMENTS = [
    *sorted(FUNCTIONS),
    *("(", ")", "[", "]", ",", '"', "\\", "=", "<>", "<", ">", "&H1F", "&", "-", "1", "2.5", " ", "\n", "\t", "'", "é"),
    *("[a]", '"x"', '"\\\\d+"', "vbTextCompare", "UTF8", "IgnoreAttributeFlow", "Join(", 'Replace([a], , "(', "];"),
]
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

names = st.text("abcXYZ_09.: é", min_size=1).map(str.strip).filter(bool)
numbers = st.one_of(st.integers(-999, 999).map(str), st.sampled_from(["2.50", "-0.5", ".5", "&HFf", "007"]))
leaves = st.one_of(
    st.text(max_size=8).map(Text),
    names.map(Attribute),
    numbers.map(parse),
    st.sampled_from(["vbTextCompare", "UTF8", "x"]).map(Word),
)


def calls(inner):
    operand = inner.filter(lambda node: not isinstance(node, Comparison))
    comparison = st.builds(Comparison, operand, st.sampled_from(["=", "<>", ">", ">=", "<", "<="]), operand)
    slots = st.lists(st.one_of(st.none(), inner, comparison), max_size=4).filter(lambda found: found != [None])
    return st.builds(lambda name, found: Call(name, tuple(found)), st.sampled_from([*sorted(FUNCTIONS), "f_1"]), slots)


trees = st.recursive(leaves, calls, max_leaves=6)


def fitting(inner):
    """Calls with as many arguments as the function takes, so that most of them compile."""

    @st.composite
    def call(draw):
        signature = FUNCTIONS[draw(st.sampled_from(sorted(set(FUNCTIONS) - {"SelectUniqueValue"})))]
        most = len(signature.parameters) + 2 if signature.most is None else signature.most
        count = draw(st.integers(signature.least, max(signature.least, most)))
        if signature.name == "Switch":
            count += count % 2
        arguments = [draw(inner) for _ in range(count)]
        if signature.name in {"DateAdd", "DateDiff"}:
            arguments[0] = Text(draw(st.sampled_from(["yyyy", "m", "d", "ww", "h", "n", "s"])))
        if signature.name == "Replace":
            modes = ([1, 4], [1, 6], [2, 4], [2, 3, 4], [2, 3, 5])
            filled = {0, *draw(st.sampled_from(modes))}
            arguments = [draw(inner) if at in filled else None for at in range(7)]
        return Call(signature.name, tuple(arguments))

    return call()


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=12),
        st.sampled_from(
            ["2020-01-02", "1/2/2020 3:04:05 PM", "7", "-1", "AAEC", "true", "CN=a,OU=b", "(a+)+$", "(?<n>x)"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["id", "value", "displayName"]), inner, max_size=2)
    ),
    max_leaves=4,
)
simple = st.one_of(
    st.sampled_from(["a", "b", "c"]).map(Attribute),
    st.sampled_from(["", "x", "1", "-", "yyyy-MM-dd", "2020-01-02", "tr-TR", "UTF8"]).map(Text),
    st.integers(-3, 400).map(lambda number: Number(number, str(number))),
)
sensible = st.recursive(simple, fitting, max_leaves=8)


def compiles(text):
    try:
        return compile(text)
    except ExpressionError as error:
        assert error.message in str(error)  # noqa: PT017 - either outcome is right
        assert 0 <= error.span[0] <= error.span[1]  # noqa: PT017 - as above
        return None


@quick
@given(st.text())
@example("(" * 10_000)
@example("Not(" * 2_500)
@example("[" * 10_000)
@example('"' * 9_999)
@example("\\" * 100)
@example("9" * 10_000)
@example("&H" + "F" * 9_000)
@example("1=" * 5_000)
@example("\ud800")
def test_no_text_crashes_the_parser(text):
    compiles(text)


@quick
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_no_combination_of_what_the_language_is_made_of_crashes_the_parser(text):
    expression = compiles(text)
    if expression is not None:
        assert compile(expression.text).tree == expression.tree


@quick
@given(trees)
def test_what_is_printed_reads_back_as_the_same_tree(tree):
    assert parse(printed(tree)) == tree
    assert printed(parse(printed(tree))) == printed(tree)


@quick
@given(st.text())
def test_a_text_survives_its_quotes(text):
    assert unquoted(quoted(text)) == text


@quick
@given(st.text('a\\"', max_size=10), st.data())
def test_a_place_in_a_text_is_found_in_what_was_written(text, data):
    written = quoted(text)
    index = data.draw(st.integers(0, len(text)))
    assert unquoted('"' + written[1 : position_in_quotes(written, index)] + '"') == text[:index]


@settings(quick, max_examples=400)
@given(sensible, st.dictionaries(st.sampled_from(["a", "b", "c"]), values), st.booleans())
def test_an_evaluation_raises_nothing_but_expression_errors(tree, attributes, strict):
    try:
        expression = compile(printed(tree), strict=strict)
        expression.evaluate(attributes, now=NOW, tenant=Tenant("contoso.com"))
    except ExpressionError as error:
        assert error.source == printed(tree)  # noqa: PT017 - either outcome is right
        assert str(error)  # noqa: PT017 - as above


@quick
@given(sensible)
def test_an_expression_and_its_tree_have_the_same_parts(tree):
    expression = compiles(printed(tree))
    if expression is not None:
        again = from_tree(json.loads(json.dumps(to_tree(expression))))
        assert (again.attributes, again.functions) == (expression.attributes, expression.functions)
        assert to_tree(from_tree(to_tree(again))) == to_tree(again)


@quick
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "name", "expression", "parameters", "key", "value"]),
                inner | st.sampled_from(["Function", "Constant", "Attribute", "Len", "Switch", 0, 1, 2]),
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_crashes_the_reading_of_trees(source):
    try:
        from_tree(source)
    except ExpressionError as error:
        assert error.message  # noqa: PT017 - either outcome is right
