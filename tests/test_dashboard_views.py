"""What the pages say of a job in each of its states: one sentence, and never a wrong one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from provisioning.dashboard.views import overview as page
from provisioning.dashboard.views.chart import HEIGHT, WIDTH, chart_of
from provisioning.dashboard.views.holding import held_lines
from provisioning.dashboard.views.log_search import Search, search_of
from provisioning.dashboard.views.logs import Found, logs_view
from provisioning.dashboard.views.overview import Facts, next_run, overview
from provisioning.dashboard.views.plan import Facts as PlanFacts
from provisioning.dashboard.views.plan import plan_view
from provisioning.dashboard.views.wording import moment, roughly, said
from provisioning.engine.jobs import GroupHeld, HeldRemovals, JobState, Ruling
from provisioning.engine.previews import KEPT, Preview
from provisioning.engine.progress import Failure, Progress
from provisioning.errors import QueryError
from provisioning.rules.quarantine import Quarantine, SynchronizationError

NOW = 1_790_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def cycle(minutes: float, failure: str = "", **counts: int) -> dict:
    named = {name.replace("_", "."): number for name, number in counts.items()}
    began = NOW - minutes * MINUTE
    return {"cycle": f"c{minutes}", "kind": "incremental", "began": began, "ended": began + 30, "counts": named} | {
        "failure": failure
    }


HEALTHY = Facts(
    NOW,
    "job",
    "contoso.service-now.com",
    everyone=False,
    interval=40 * MINUTE,
    state=JobState(last_began=NOW - 10 * MINUTE, last_succeeded=NOW - 10 * MINUTE, managed={"user": 5}),
    cycles=(cycle(10, users_updated=3), cycle(50)),
)
HELD = HeldRemovals("p1", NOW - HOUR, {"users": 7}, {"users": 3}, {"users": 100})
QUARANTINE = Quarantine(
    "EncounteredQuarantineException",
    NOW - HOUR,
    NOW + HOUR,
    NOW - DAY,
    2,
    SynchronizationError("ServiceNowCredentialsValidation", "the token endpoint refused the credentials"),
)


def state(**changes) -> Facts:
    return replace(HEALTHY, state=changed(HEALTHY.state, **changes))


def test_a_healthy_job_says_when_it_last_ran_and_when_it_runs_next():
    view = overview(HEALTHY)
    assert (view.tone, view.sentence) == ("good", "Provisioning is healthy: everybody in scope is up to date.")
    assert view.details == (
        "The last cycle ended 10 min ago and updated 3.",
        "The next cycle is due in 30 min, at 2026-09-21 14:43 UTC.",
    )


@pytest.mark.parametrize(
    ("facts", "tone", "words"),
    [
        (replace(HEALTHY, state=JobState(), cycles=()), "quiet", "Nothing has been provisioned yet"),
        (replace(HEALTHY, failing={"Conflict": 2}), "warn", "2 objects fail."),
        (replace(HEALTHY, failing={"Conflict": 1}), "warn", "1 object fails."),
        (replace(HEALTHY, failing={"Conflict": 9}, more_fail=True), "warn", "at least 9 objects"),
        (replace(HEALTHY, cycles=(cycle(1, "no answer"),)), "bad", "The last cycle could not be finished"),
        (state(held=HELD), "warn", "7 changes wait for your word"),
        (state(paused=NOW - DAY), "warn", "is paused: no cycle begins until it is started"),
        (state(paused=NOW - DAY, escrows_pruned=True), "warn", "too much failed in its first cycle"),
        (state(disabled=NOW - DAY), "bad", "was disabled 1 d ago, after 28 days in quarantine"),
        (state(quarantine=QUARANTINE), "bad", "in quarantine: one of the two sides does not let the job in"),
        (state(quarantine=QUARANTINE, paused=NOW), "warn", "is paused"),
    ],
)
def test_each_state_has_its_sentence(facts, tone, words):
    view = overview(facts)
    assert view.tone == tone
    assert words in view.sentence


def test_a_cycle_that_runs_is_told_with_how_far_it_is():
    progress = Progress("c", "initial", NOW - MINUTE, phase="act users", driver="d")
    progress = changed(progress, counts={"planned users.created": 200, "users.created": 50})
    view = overview(replace(HEALTHY, progress=progress, state=changed(HEALTHY.state, last_succeeded=0.0)))
    assert view.sentence == "The first cycle is under way: writing users."
    assert view.running is not None
    assert (view.running.done, view.running.total, view.running.said) == (50, 200, "50 of 200 objects")
    assert view.refresh == 2
    halted = changed(progress, halted=Failure("X", "stopped"))
    assert overview(replace(HEALTHY, progress=halted)).running is None


def test_the_next_cycle_of_a_job_in_quarantine_is_when_it_is_tried_again():
    assert next_run(state(quarantine=QUARANTINE)) == "The next cycle is due in 1 h, at 2026-09-21 15:13 UTC."
    assert next_run(state(paused=NOW)) is None
    assert next_run(state(last_began=NOW - DAY)) == "The next cycle is due: it begins when the timer looks next."


def test_a_quarantine_tells_its_reason_the_error_and_what_mends_it():
    found = overview(state(quarantine=QUARANTINE)).quarantine
    assert found is not None
    assert found.error == "The token endpoint refused the credentials."
    assert found.advice
    assert found.following.said == "in 1 h"
    waits = changed(QUARANTINE, reason="TooManyDeletes")
    assert overview(state(quarantine=waits, held=HELD)).quarantine is None


def test_what_is_held_is_added_up_once_and_not_for_each_cycle_that_found_it_held():
    view = overview(replace(HEALTHY, cycles=(cycle(10, users_held=8), cycle(50, users_held=8, users_failed=1))))
    users = dict(zip(view.added_up, dict(view.counts)["Users"], strict=True))
    assert users["failed"] == 1
    assert "held" not in users


def test_only_the_last_24_hours_are_added_up():
    view = overview(replace(HEALTHY, cycles=(cycle(10, users_created=1), cycle(25 * 60, users_created=5))))
    assert dict(zip(view.added_up, dict(view.counts)["Users"], strict=True))["created"] == 1


def test_a_group_above_its_limit_is_named():
    held = HeldRemovals("p", NOW, {"additions": 4}, groups=(GroupHeld("g1", "additions", 4, 2),))
    assert list(held_lines(held)) == [
        "4 memberships to be added: more than their groups may gain at once",
        "group g1: 4; 2 may be in 24 hours",
    ]


def test_a_ruling_is_told_with_who_gave_it():
    ruling = Ruling("p1", approves=True, by="Ada", at=NOW, expires=NOW + DAY)
    view = overview(state(held=HELD, ruling=ruling)).held
    assert view is not None
    assert view.ruled.startswith("Ada has approved it")
    other = overview(state(held=HELD, ruling=changed(ruling, plan="p0"))).held
    assert other is not None
    assert other.ruled == ""


# --- the chart ----------------------------------------------------------------------------------


def test_the_bars_lie_within_the_picture_and_a_single_failure_is_seen():
    chart = chart_of([cycle(1, users_created=100_000, users_failed=1), cycle(2, users_updated=1), cycle(3)], NOW)
    assert chart is not None
    parts = [part for bar in chart.bars for part in bar.segments]
    assert all(part.y >= 0 and part.y + part.height <= HEIGHT + 0.1 for part in parts)
    assert all(part.x + part.width <= WIDTH for part in parts)
    assert {part.part for part in chart.bars[-1].segments} == {"failed", "created"}
    assert min(part.height for part in parts) >= 3
    assert chart.bars[0].segments == ()
    assert chart.bars[-1].title.endswith("100,000 created, 1 failed")
    assert chart.said == "The last 3 cycles: 2 of them wrote something, 1 had failures"


def test_no_cycles_are_no_picture():
    assert chart_of([], NOW) is None


# --- the plan -----------------------------------------------------------------------------------

PREVIEW = Preview("p", "Ada", NOW - HOUR, NOW - HOUR, NOW - HOUR, kind="incremental")


@pytest.mark.parametrize(
    ("preview", "sentence"),
    [
        (None, "Nobody has looked yet at what the next cycle would do."),
        (changed(PREVIEW, ended=0.0, seen=NOW, phase="comparing"), "The plan is being made: comparing."),
        (
            changed(PREVIEW, ended=0.0, seen=NOW - HOUR),
            "Whoever made the plan broke off before its end; make it again.",
        ),
        (changed(PREVIEW, failure="no answer"), "The plan could not be made."),
        (PREVIEW, "The next cycle would change nothing: both sides agree."),
        (changed(PREVIEW, numbers={"create": 2}), "The next cycle would change 2 objects."),
        (
            changed(PREVIEW, numbers={"create": 1, "held": 3}),
            "The next cycle would change 1 object, and 3 changes would wait for your word.",
        ),
    ],
)
def test_the_plan_has_a_sentence_for_each_of_its_states(preview, sentence):
    view = plan_view(PlanFacts(NOW, JobState(), preview))
    assert view.sentence == sentence
    assert view.being_made == (view.refresh > 0) == ("is being made" in sentence)


def test_a_plan_that_lists_not_all_says_so():
    view = plan_view(PlanFacts(NOW, JobState(), changed(PREVIEW, numbers={"create": KEPT + 1, "update": 1})))
    assert any("Of create the first 2,000 are listed" in each for each in view.details)
    assert [(choice.label, choice.number) for choice in view.choices][:2] == [("All", f"{KEPT + 2:,}"), ("Held", "0")]


def test_a_plan_that_is_older_than_the_last_cycle_says_so():
    older = plan_view(PlanFacts(NOW, JobState(last_began=NOW - MINUTE), PREVIEW))
    assert "A cycle has begun since then: make the plan anew." in older.details
    newer = plan_view(PlanFacts(NOW, JobState(last_began=NOW - DAY), PREVIEW))
    assert newer.details == ()


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (-5, "just now"),
        (90, "in 2 min"),
        (-3600, "1 h ago"),
        (-100_000, "1 d 3 h ago"),
        (5400, "in 1 h 30 min"),
    ],
)
def test_times_are_said_as_people_say_them(seconds, text):
    assert said(seconds) == text


def test_a_time_is_for_machines_too():
    assert moment(NOW, NOW).iso == "2026-09-21T14:13:20Z"
    assert roughly(12) == "12 s"


# --- the search ---------------------------------------------------------------------------------


def test_a_search_keeps_what_was_given_in_its_address_and_nothing_else():
    search = search_of({"who": " ada ", "status": "", "unknown": "x", "done": "run"})
    assert search == Search(who="ada")
    assert search.address(after="t") == "/dashboard/logs?who=ada&after=t"


def test_until_a_day_is_until_its_end():
    (condition,) = Search(until="2026-01-31").conditions()
    assert (condition.operator, condition.value) == ("lt", 1_769_904_000_000)


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "2026-01-31T10:00"])
def test_a_day_that_is_none_is_refused(day):
    with pytest.raises(QueryError, match="is no day"):
        list(Search(since=day).conditions())


def test_a_page_that_was_not_filled_says_how_far_it_has_looked():
    partial = logs_view(Search(status="failure"), Found((), "t", looked=2500), now=NOW, first=True)
    assert partial.told == "0 entries among 2,500 that were looked through."
    assert partial.words == "Look further back"
    assert logs_view(Search(), Found((), None), now=NOW, first=True).told == "Nothing has been logged yet."
    assert logs_view(Search(who="x"), Found((), None), now=NOW, first=True).told == "Nothing that this search asks for."


def test_every_reason_for_a_quarantine_has_words():
    assert set(page.WHY) == {*page.Reason.__args__}
