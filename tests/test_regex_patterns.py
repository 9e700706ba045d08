""".NET's regular expressions: what matches what, how groups are counted, what is refused, and that all of it ends."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.errors import ExpressionError
from provisioning.expressions.regexes import MAX_OUTPUT, TIME_LIMIT, compile_pattern

PATIENCE = 5.0
"""Seconds after which something took too long whatever else the machine does."""


def all_of(pattern, value):
    """Every match, between brackets."""
    return compile_pattern(pattern).replace(value, "[$&]")


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("[a-z-[aeiou]]+", "hello", "[h]e[ll]o"),
        ("[^a-z-[q]]+", "abQ1c", "ab[Q1]c"),
        ("[a-z-[b-y-[m]]]", "abmz", "[a]b[m][z]"),
        (r"[\w-[\d_]]+", "ab12_c", "[ab]12_[c]"),
        ("a{,3}", "aaa a{,3}", "aaa [a{,3}]"),
        ("a{2}{", "aa{", "[aa{]"),
        ("a{", "a{", "[a{]"),
        ("x{1,2}", "xxx", "[xx][x]"),
        ("x{1,}?", "xx", "[x][x]"),
        ("[[a]+", "[a]", "[[a]]"),
        ("[]a]+", "]a", "[]a]"),
        ("[^]]+", "a]b", "[a]][b]"),
        ("[[:alpha:]]", "a] :]", "[a]] [:]]"),
        (r"[a\]b-]+", "a]-b", "[a]-b]"),
        (r"[a\-[b]]", "-] [] x]", "[-]] [[]] x]"),
        (r"[+\--a]+", "+-a.", "[+-a]."),
        (r"[+-\-]+", "+,-.", "[+,-]."),
        (r"[\b]", "a\bb", "a[\b]b"),
        ("[a-]+", "-a", "[-a]"),
        (r"[\x41-\u0043]+", "ABCD", "[ABC]D"),
        (r"[\w-x]+", "a-x", "[a-x]"),
        ("[a&&b]+", "a&b", "[a&b]"),
        ("[a||~~&&d-]+", "a|-~d", "[a|-~d]"),
        (r"a.c", "a\nc abc", "a\nc [abc]"),
        (r"(?s)a.c", "a\nc", "[a\nc]"),
        ("^b", "a\nb", "a\nb"),
        ("(?m)^b", "a\nb", "a\n[b]"),
        ("a$", "a\n", "[a]\n"),
        ("a$", "a\nb", "a\nb"),
        ("(?m)a$", "a\nb", "[a]\nb"),
        (r"a\Z", "a\n", "[a]\n"),
        (r"a\z", "a\n", "a\n"),
        (r"a\z", "a", "[a]"),
        (r"(?m)\Aa", "a\na", "[a]\na"),
        (r"\Ga", "aaba", "[a][a]ba"),
        ("(?i)ÄB", "äb", "[äb]"),
        ("(?i)ß", "SS", "SS"),
        ("(?i:a)b", "Ab AB", "[Ab] AB"),
        ("a(?i)b|c", "aB C ab", "[aB] [C] [ab]"),
        ("(a(?i)b)c", "aBc aBC", "[aBc] aBC"),
        ("(?i)a(?-i)b", "Ab AB", "[Ab] AB"),
        ("(?i)[a-c]+", "aBd", "[aB]d"),
        (r"(?i)(a)\1", "aA", "[aA]"),
        ("(?x) a b # c\n c", "abc", "[abc]"),
        (r"(?x)a\ b [ ]", "a b ", "[a b ]"),
        ("(?x)a  +", "aa", "[aa]"),
        ("a(?# no )b", "ab", "[ab]"),
        ("a(?#c)+", "aa", "[aa]"),
        ("(?<=a+)b", "aab b", "aa[b] b"),
        ("(?<!a)b", "ab b", "ab [b]"),
        ("a(?=b)", "ab ac", "[a]b ac"),
        ("a(?!b)", "ab ac", "ab [a]c"),
        ("(?>a+)b", "aab", "[aab]"),
        ("(?>a+)ab", "aab", "aab"),
        (r"(?<n>a)\k<n>", "aa", "[aa]"),
        (r"(?'n'a)\k'n'", "aa", "[aa]"),
        (r"(?<n>a)\<n>", "aa", "[aa]"),
        (r"\<n>", "<n>", "[<n>]"),
        (r"(a)\1", "aa", "[aa]"),
        (r"(?<2>a)(b)\2\1", "abab", "[abab]"),
        ("(a)?(?(1)b|c)", "ab c b", "[ab] [c] b"),
        ("(?<n>a)?(?(n)b|c)", "ab c", "[ab] [c]"),
        ("(?(?=a)ab|c)", "ab c b", "[ab] [c] b"),
        ("(?(a)ab|c)", "ab c b", "[ab] [c] b"),
        ("(?(a)ab)", "b", "[]b[]"),
        (r"\p{Lu}+", "aBÄc", "a[BÄ]c"),
        (r"\P{Lu}+", "aBc", "[a]B[c]"),
        (r"\p{IsCyrillic}+", "aЖя", "a[Жя]"),
        (r"[\p{Nd}\p{IsGreek}]+", "1ω a", "[1ω] a"),
        (r"\d+", "12٣a", "[12٣]a"),
        (r"\x41\u0042\103\e\cA", "ABC\x1b\x01", "[ABC\x1b\x01]"),
        (r"\12", "\n", "[\n]"),
        (r"\.\-\ \é"[:-2], ".- ", "[.- ]"),
        ("^*a", "a", "[a]"),
        (r"(?:\b)+a", "a", "[a]"),
        ("a||b", "ab", "[a][]b[]"),
        ("", "ab", "[]a[]b[]"),
        ("a*", "baac", "[]b[aa][]c[]"),
        ("é", "é", "[é]"),
    ],
)
def test_a_pattern_matches_as_in_dotnet(pattern, value, expected):
    assert all_of(pattern, value) == expected


@pytest.mark.parametrize(
    ("pattern", "value", "replacement", "expected"),
    [
        ("(a)(?<n>b)(c)", "abc", "$1$2$3${n}", "acbb"),
        ("(?<x>a)(b)(?<y>c)", "abc", "$1-$2-$3", "b-a-c"),
        ("(?<2>a)(?<n>b)(c)", "abc", "$1-$2-$3", "c-a-b"),
        ("(?<n>a)|(?<n>b)", "ab", "<${n}>", "<a><b>"),
        ("(?n)(a)(?<n>b)", "ab", "$1", "b"),
        ("(?<5>a)", "a", "$5$1${5}", "a$1a"),
        ("b", "abc", "$`|$'|$_|$0|$&", "aa|c|abc|b|bc"),
        ("a(b)(c)?", "ab", "<$+>", "<>"),
        ("a", "a", "$+", "a"),
        ("a", "a", "$$1${x}$x${", "$1${x}$x${"),
        ("(a)", "a", "$10$1", "$10a"),
        ("(a)(x)?", "a", "[$2]", "[]"),
        ("(a)", "a", "\\1\\g<1>", "\\1\\g<1>"),
        ("(?(1)x|(a))", "a", "$1", "a"),
        ("(?((?:a))a)(b)", "ab", "$1", "b"),
        ("(?(a)a)(b)", "ab", "$1$2", "b$2"),
    ],
)
def test_groups_are_numbered_and_substituted_as_in_dotnet(pattern, value, replacement, expected):
    assert compile_pattern(pattern).replace(value, replacement) == expected


@pytest.mark.parametrize(
    ("pattern", "message", "span"),
    [
        ("(?P<n>a)", "no group that .NET", (0, 3)),
        ("(?P=n)", "no group that .NET", (0, 3)),
        ("a(?R)", "no group that .NET", (1, 4)),
        ("(?1)", "no group that .NET", (0, 3)),
        ("(?&n)", "no group that .NET", (0, 3)),
        ("(?|a|b)", "no group that .NET", (0, 3)),
        ("(*FAIL)", "nothing that '*' could repeat", (1, 2)),
        ("(?a)b", "no group that .NET", (0, 3)),
        ("(?V1)b", "no group that .NET", (0, 3)),
        (r"\m", r"\m is no escape", (0, 2)),
        (r"a\M", r"\M is no escape", (1, 3)),
        (r"\h", r"\h is no escape", (0, 2)),
        (r"\X", r"\X is no escape", (0, 2)),
        (r"\K", r"\K is no escape", (0, 2)),
        (r"\R", r"\R is no escape", (0, 2)),
        (r"\L<x>", r"\L is no escape", (0, 2)),
        (r"\N{DIGIT ONE}", r"\N is no escape", (0, 2)),
        (r"\U00000041", r"\U is no escape", (0, 2)),
        (r"\g<1>", r"\g is no escape", (0, 2)),
        (r"\_", r"\_ is no escape", (0, 2)),
        (r"[\q]", r"\q is no escape", (1, 3)),
        ("(?<a-b>x)", "balancing groups", (0, 7)),
        ("(?<-b>x)", "balancing groups", (0, 6)),
        ("(?'a-b'x)", "balancing groups", (0, 7)),
        ("(?<1a>x)", "begins with a letter", (0, 6)),
        ("(?<>x)", "begins with a letter", (0, 4)),
        ("(?<0>x)", "group 0 is the whole match", (0, 5)),
        (r"(a)\2", "no group '2' to refer to", (3, 5)),
        (r"\k<n>", "no group 'n' to refer to", (0, 5)),
        (r"\k", r"\k needs the name of a group", (0, 2)),
        ("(?(2)a|b)", "no group '2' to ask for", (0, 5)),
        ("(?(?=a)a|b|c)", "two branches", (10, 11)),
        ("(?(?i)a|b)", "a condition is", (0, 4)),
        (r"\p{Foo}", "Foo is no Unicode category", (0, 7)),
        (r"\p{Latin}", "Latin is no Unicode category", (0, 9)),
        (r"\p{IsNowhere}", "IsNowhere is no Unicode category", (0, 13)),
        (r"\pL", r"\p needs a name in braces", (0, 2)),
        (r"[\p{Foo}]", "Foo is no Unicode category", (1, 8)),
        ("a**", "repeats a repetition", (2, 3)),
        ("a++", "repeats a repetition", (2, 3)),
        ("a{2}{3}", "repeats a repetition", (4, 7)),
        ("*a", "nothing that '*' could repeat", (0, 1)),
        ("a|*", "nothing that '*' could repeat", (2, 3)),
        ("(?i)*", "nothing that '*' could repeat", (4, 5)),
        ("a{3,1}", "less at most than at least", (1, 6)),
        ("(a", "never closed", (0, 1)),
        ("a)", "closes nothing", (1, 2)),
        ("[a", "never closed", (0, 1)),
        ("[]", "never closed", (0, 1)),
        ("[z-a]", "reverse order", (1, 4)),
        (r"[a-\d]", "a range cannot end with", (3, 5)),
        ("[a-z-[b]c]", "must be the last thing", (8, 9)),
        ("(?#a", "never closed", (0, 3)),
        ("a\\", "ends with a backslash", (1, 2)),
        (r"\x4", "needs 2 hexadecimal digits", (0, 2)),
        (r"\u12G4", "needs 4 hexadecimal digits", (0, 2)),
        (r"\c1", "letter of a control character", (0, 2)),
        ("(" * 60 + "a" + ")" * 60, "nested more than 50 deep", (50, 51)),
        ("[a-[" * 40, "too deeply", None),
        ("(?:a{1000}){1000}", "repeats more than 100,000 things", (11, 17)),
        ("a{99999999999999999999}", "repeats more than 100,000 things", (1, 23)),
        ("((a{100}){100}){100}", "repeats more than 100,000 things", (15, 20)),
        ("a" * 10_001, "at most 10,000 characters", (10_000, 10_001)),
    ],
)
def test_what_dotnet_lacks_or_what_is_too_much_is_refused_where_it_stands(pattern, message, span):
    with pytest.raises(ExpressionError) as caught:
        compile_pattern(pattern)
    assert message in caught.value.message
    assert caught.value.source == pattern
    assert span is None or caught.value.span == span


def test_fuzzy_matching_is_no_part_of_the_language():
    assert all_of("(?:abc){e<=1}", "abd abc{e<=1}") == "abd [abc{e<=1}]"


@pytest.mark.parametrize(
    ("pattern", "group", "literal", "value", "expected"),
    [
        ("(?<a>\\d)-(?<b>\\d)", "b", "$1", "1-2 3-4", "1-$1 3-$1"),
        ("(x)y", "1", "", "xy xy", "y y"),
        ("a(?<q>b)?", "q", "*", "a ab", "a a*"),
        ("a(?=(?<q>b))", "q", "*", "ab", "ab"),
        ("(?<q>b)*", "q", "*", "bbb", "bb*"),
    ],
)
def test_only_what_the_group_captured_is_replaced(pattern, group, literal, value, expected):
    assert compile_pattern(pattern).replace_group(value, group, literal) == expected


def test_the_group_of_the_first_match_is_its_text_or_none():
    pattern = compile_pattern(r"(?<d>\d)(x)?")
    assert pattern.group_of_first("a1 2", "d") == "1"
    assert pattern.group_of_first("a1 2", "1") is None
    assert pattern.group_of_first("a", "d") is None
    assert pattern.search("a1").span() == (1, 2)
    assert pattern.search("a") is None


@pytest.mark.parametrize("group", ["x", "7", "", "g1"])
def test_a_group_that_is_not_there_is_told(group):
    with pytest.raises(ExpressionError, match="the pattern has no group"):
        compile_pattern("(?<d>a)").group_of_first("a", group)


HOSTILE = [
    ("^(a|a)*$", "a" * 40 + "!"),
    ("^(a|aa)+$", "a" * 60 + "!"),
    ("(a|a?)+b", "a" * 40),
    (r"^(\w+\s?)*$", "word " * 20 + "!"),
    (
        r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|([a-z]{2,3}[.]{1}[a-z]{2,3}))$",
        "a" * 60,
    ),
    ("(.*)*(.*)*(.*)*x(?<=y)", "a" * 2_000),
    (r"(a*)*\1b", "a" * 3_000),
    ("(?<=^(a|aa|a?a)+)b$", "a" * 80 + "c"),
    ("(?=(a|aa|a?a)+$)b", "a" * 80 + "c"),
    ("(?:a?){90}a{90}", "a" * 90),
]


@pytest.mark.parametrize(("pattern", "value"), HOSTILE)
@pytest.mark.parametrize("work", ["found", "replace", "replace_group", "group_of_first"])
def test_a_hostile_pattern_ends_within_the_limit(pattern, value, work):
    compiled = compile_pattern(f"({pattern})")
    arguments = {"replace": ("x",), "replace_group": ("1", "x"), "group_of_first": ("1",)}.get(work, ())
    began = time.monotonic()
    try:
        getattr(compiled, work)(value, *arguments)
    except ExpressionError as error:
        assert "took longer than 0.25 s" in error.message  # noqa: PT017 - that it ends is what counts
    assert time.monotonic() - began < TIME_LIMIT + PATIENCE


def test_a_catastrophe_is_told_as_one():
    with pytest.raises(ExpressionError, match="took longer than"):
        compile_pattern("^(a|a)*$").found("a" * 40 + "!")
    with pytest.raises(ExpressionError, match="took longer than"):
        compile_pattern("^(a|a)*$").replace("a" * 40 + "!", "x")


def test_many_slow_matches_share_one_limit():
    began = time.monotonic()
    with pytest.raises(ExpressionError, match="took longer than"):
        compile_pattern("a(?=.*b)|a").replace("a" * 60_000, "x")
    assert time.monotonic() - began < TIME_LIMIT + PATIENCE


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:a{300}){300}",
        "((a{0,40}){0,40}){0,40}",
        "(((((((((a?){3}){3}){3}){3}){3}){3}){3}){3}){3}",
        "x" * 10_000,
        "[a-z]" * 2_000,
        "(?i)" + "ä" * 9_000,
        "(a)" * 3_000,
        "(?:" * 50 + "a" + ")" * 50,
        "a|" * 4_999,
    ],
)
def test_compiling_ends_in_time(pattern):
    began = time.monotonic()
    try:
        compile_pattern(pattern).found("aaa")
    except ExpressionError as error:
        assert error.message  # noqa: PT017 - that it ends is what counts
    assert time.monotonic() - began < PATIENCE


def test_a_replacement_that_explodes_is_stopped():
    with pytest.raises(ExpressionError, match="makes more than 1,000,000 characters"):
        compile_pattern("").replace("a" * 2_000, "$_")
    assert len(compile_pattern("a").replace("a" * 100, "x" * (MAX_OUTPUT // 100))) == MAX_OUTPUT


def test_patterns_are_safe_to_share_between_threads():
    pattern, wrong = compile_pattern(r"(?<n>\d+)"), []

    def work(number):
        wrong.extend(1 for _ in range(200) if pattern.replace(f"a{number}", "<${n}>") != f"a<{number}>")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


FRAGMENTS = [
    *("(", ")", "[", "]", "{", "}", "a", "b", "-", "^", "$", "*", "+", "?", "{2}", "{,3}", "{3,1}", "\\", r"\d", r"\1"),
    *(
        r"\k<n>",
        "(?<n>",
        "(?:",
        "(?=",
        "(?<!",
        "(?>",
        "(?(1)",
        "(?(",
        "(?i)",
        "(?x)",
        "(?-i:",
        "|",
        "#",
        "\n",
        ".",
        "é",
    ),
    *(r"\p{L}", r"\p{IsGreek}", r"\x41", "(?'q'", "0", "9", r"\b", r"\Z", "(?#", "<", ">", r"\G", "(?n)", "-[", "[^"),
    *("(?P", "(?R)", "&&", "--", "~~", "||", "[:alpha:]", "{e<=1}", "DEFINE", ":", "(?|", "{1000}"),
]


def try_pattern(pattern):
    try:
        compiled = compile_pattern(pattern)
        compiled.replace("aab-b^$é\n9ab", "<$1$&>")
        compiled.found("ab[9]")
    except ExpressionError as error:
        assert error.source == pattern  # noqa: PT017 - either outcome is right
        assert 0 <= error.span[0] <= error.span[1] <= len(pattern)  # noqa: PT017 - as above


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
def test_no_combination_of_syntax_crashes_the_translator(pattern):
    try_pattern(pattern)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40))
def test_no_text_crashes_the_translator(pattern):
    try_pattern(pattern)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=10), st.text(max_size=10))
def test_an_escaped_text_matches_itself_and_nothing_else(text, other):
    escaped = "".join(f"\\u{ord(each):04X}" if ord(each) < 0x10000 else each for each in text)
    assert compile_pattern(rf"\A{escaped}\z").found(text)
    assert compile_pattern(rf"\A{escaped}\z").found(other) == (text == other)
