"""What a person sees who made a mistake: the message, the line, and carets under the place."""

from __future__ import annotations

import pytest

from provisioning.expressions import ExpressionError, compile  # noqa: A004 - as in the package


def told(text, attributes=None, *, strict=False):
    with pytest.raises(ExpressionError) as caught:
        compile(text, strict=strict).evaluate(attributes or {})
    return str(caught.value)


def lines(*each):
    return "\n".join(each)


@pytest.mark.parametrize(
    ("text", "message", "carets"),
    [
        ("", "the expression is empty", None),
        ('Join("", [a] [b])', "expected ',' or ')' after the second argument of Join", "             ^^^"),
        ('Join("", [a]', "expected ',' or ')' after the second argument of Join", "            ^"),
        ("ToLower([a]))", "expected the end of the expression", "            ^"),
        ("ToLower(=)", "expected a value as the first argument of ToLower, not '='", "        ^"),
        ("[a] =", "expected a value after '=', and the expression ends here", "     ^"),
        ("[a] = [b] = [c]", "comparisons do not chain; nest IIF instead", "          ^"),
        ("ToLowr([a])", "there is no function ToLowr; did you mean ToLower?", "^^^^^^"),
        ("Xyzzy([a])", "there is no function Xyzzy", "^^^^^"),
        ("Len()", "Len takes 1 argument and has 0; the next is source", "^^^^^"),
        ("Len([a], [b])", "Len takes 1 argument and has 2", "         ^^^"),
        ("ToLower(, [b])", "the first argument of ToLower (source) cannot be left empty", "^^^^^^^^^^^^^^"),
        ("ToLower([a)", "this '[' is never closed by ']'", "        ^"),
        ("ToLower(a])", "this ']' closes nothing", "         ^"),
        ("[ ]", "the brackets name no attribute", "^^^"),
        ("Len('a')", 'a text stands in double quotes: "..."', "    ^"),
        ("Len(“a”)", 'a text stands in straight double quotes: "..."', "    ^"),
        ('"t-" & [alias]', "'&' does not join texts here; write Join(\"\", first, second)", "     ^"),
        ("1 + 2", 'there is no arithmetic; texts are joined by Join("", first, second)', "  ^"),
        ('Len("abc)', "this text is never closed by '\"'", "    ^^^^^"),
        ('Len("abc\\")', "this text is never closed by '\"'", "    ^^^^^^^"),
        ("Left([a]; 1)", "arguments are separated by ','", "        ^"),
        ("CBool([a] != [b])", "not equal is written '<>'", "          ^"),
        ("IIF([a]=1 And [b]=2, 1, 2)", "there is no And between conditions; nest IIF instead", "          ^^^"),
        ("12abc", "unexpected '1'", "^"),
        ("1" * 31, "a number has at most 30 characters", "^" * 31),
        ("mail", 'mail is neither an attribute [mail], nor a text "mail", nor a function mail(...)', "^^^^"),
        ("ToLower mail", "expected '(' after ToLower", "        ^^^^"),
        (
            "Len(mail)",
            'mail stands bare as source of Len: expected an attribute [mail], a text "mail"',
            "    ^^^^",
        ),
        ('Replace("a", , "b(c", , "")', "Replace: this '(' is never closed by ')'", "                 ^"),
        (
            'Replace("a", , "\\\\d\\\\q", , "")',
            "Replace: \\q is no escape of .NET's regular expressions",
            " " * 19 + "^^^",
        ),
        (
            'DateAdd("x", 1, Now())',
            "DateAdd takes one of the intervals yyyy, m, d, ww, h, n, s, not 'x'",
            "        ^^^",
        ),
    ],
)
def test_a_mistake_is_shown_where_it_is(text, message, carets):
    expected = message if carets is None else lines(message, f"    {text}", f"    {carets}")
    assert told(text) == expected


def test_a_failed_evaluation_shows_the_call_that_failed():
    assert told('Append(Left([a], "x"), "b")') == lines(
        'Left takes a whole number and was given "x"'.replace("whole ", ""),
        '    Append(Left([a], "x"), "b")',
        "           ^^^^^^^^^^^^^^",
    )


def test_a_failed_comparison_is_shown_as_a_whole():
    assert told('IIF([a] = "x", 1, 2)', {"a": ["x", "y"]}) == lines(
        "'=' takes one value and was given 2", '    IIF([a] = "x", 1, 2)', "        ^^^^^^^^^"
    )


def test_of_several_lines_only_the_one_in_question_is_shown_with_its_number():
    assert told('Join("",\n\t[a],\n\tToLowr([b]),\n"")') == lines(
        "there is no function ToLowr; did you mean ToLower? (line 3)", "     ToLowr([b]),", "     ^^^^^^"
    )


def test_what_spans_several_lines_is_underlined_to_the_end_of_its_first():
    assert told("Len(\n[a],\n[b], [c])") == lines("Len takes 1 argument and has 3 (line 3)", "    [b], [c])", "    ^^^")
    assert told("Len(\n)") == lines(
        "Len takes 1 argument and has 0; the next is source (line 1)", "    Len(", "    ^^^^"
    )


def test_a_long_line_is_shown_around_the_place():
    text = 'Join("", ' + "[a], " * 100 + "[b] [c], " + "[a], " * 100 + "[d])"
    message, excerpt, carets = told(text).split("\n")
    assert message == "expected ',' or ')' after the 102th argument of Join"
    assert excerpt.startswith("    …")
    assert excerpt.endswith("…")
    assert len(excerpt) == len("    ……") + 100
    assert excerpt[len(carets) - 3 : len(carets)] == "[c]"
    assert carets.strip() == "^^^"


def test_an_expression_has_at_most_ten_thousand_characters():
    longest = '"' + "x" * 9_998 + '"'
    assert compile(longest).evaluate({}) == "x" * 9_998
    assert told(longest + " ").startswith("an expression has at most 10,000 characters, and this one has 10,001")


def test_an_expression_whose_canonical_text_would_be_too_long_keeps_its_own():
    tight = "Join(" + ",".join(["[a]"] * 2_490) + ")"
    assert len(tight) < 10_000
    assert compile(tight).text == tight
    assert compile(compile(tight).text).text == tight


def test_functions_nest_to_a_limit():
    def nested(depth):
        return "Not(" * depth + "[a]" + ")" * depth

    assert compile(nested(128)).evaluate({}) is False
    assert "nested more than 128 deep" in told(nested(129))
    assert "nested more than 128 deep" in told("Not(" * 2_000)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ('switch([a], "", "b", "c")', "switch is spelled Switch"),
        ('InStr([a], "b", 1, VBTEXTCOMPARE)', "VBTEXTCOMPARE is spelled vbTextCompare"),
        ('IIF([a]="b", ignoreobjectflow, "c")', "ignoreobjectflow is spelled IgnoreObjectFlow"),
        ('Switch(IsPresent([a]), "", "True", "c")', "Switch compares texts; choose by IIF on IsPresent instead"),
        ('Switch(isnull([a]), "", "True", "c")', "Switch compares texts; choose by IIF on isnull instead"),
        ('Switch([manager], "", "True", "c")', "Switch cannot choose by the reference [manager]"),
        ("Item([a], 0)", "Item counts from 1; index 0 fails"),
        ('Item([a], "0")', "Item counts from 1; index 0 fails"),
        (
            'IIF(IgnoreFlowIfNullOrEmpty([a]) = "", 1, 2)',
            "IgnoreFlowIfNullOrEmpty has no effect in the condition of an IIF",
        ),
        ("[appRoleAssignments]", "[appRoleAssignments] holds objects; wrap it in SingleAppRoleAssignment"),
    ],
)
def test_what_entra_would_not_take_is_noted_and_refused_in_strict_mode(text, note):
    assert note in compile(text).notes
    assert told(text, strict=True).startswith(note)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ('Append(IgnoreFlowIfNullOrEmpty([a]), "b")', "has no effect here"),
        ('IIF([a]="b", IgnoreFlowIfNullOrEmpty([a]), "b")', "should be the outermost function"),
    ],
)
def test_a_flow_wrapper_that_is_not_outermost_is_noted(text, note):
    assert [note in each for each in compile(text).notes] == [True]


def test_an_ordinary_expression_has_no_notes():
    assert (
        compile('IgnoreFlowIfNullOrEmpty(Switch([a], "", "b", SingleAppRoleAssignment([appRoleAssignments])))').notes
        == ()
    )
