"""Which notices are due: the rule alone, given how a job stands and what was told of it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from provisioning.rules.notice_text import lines, subject
from provisioning.rules.notices import (
    PLAN_QUIET,
    Holding,
    JobDisabled,
    JobPaused,
    NoSuccess,
    Notice,
    QuarantineEntered,
    QuarantineLeft,
    QuarantineReasonChanged,
    RemovalsHeld,
    Standing,
    SuccessAgain,
    Told,
    Trial,
    asks_for_action,
    due_after_cycle,
    due_between,
)
from provisioning.rules.quarantine import Quarantine, SynchronizationError

HOUR, DAY = 3600.0, 86400.0
NOW = 1_800_000_000.0
WELL = Standing(succeeded=NOW, expected_since=NOW - 30 * DAY)


def quarantined(reason="EncounteredQuarantineException", code="Unauthorized", began=NOW, message="no entry for Ada"):
    return Quarantine(reason, NOW, NOW + 2 * HOUR, began, 0, SynchronizationError(code, message))


def tell(told, standing, now=NOW, *, rule=due_after_cycle, patience=DAY):
    return rule(told, standing, now, patience)


def test_nothing_is_told_of_a_job_that_is_well():
    assert tell(Told(), WELL) == (Told(), ())


def test_a_quarantine_is_told_on_entry_and_not_again():
    standing = replace(WELL, quarantine=quarantined())
    told, (event,) = tell(Told(), standing)
    assert event == QuarantineEntered("EncounteredQuarantineException", "Unauthorized", "", NOW + 2 * HOUR)
    later = replace(standing, quarantine=replace(quarantined(), series_count=5, current_began=NOW + DAY))
    assert tell(told, later) == (told, ())


def test_failures_that_were_counted_are_told_in_numbers():
    reason = "EncounteredEscrowProportionThreshold"
    found = quarantined(reason, reason, message="6 of 9 objects failed")
    _, (event,) = tell(Told(), replace(WELL, quarantine=found))
    assert event.numbers == "6 of 9 objects failed"


def test_another_reason_is_told_and_then_the_exit():
    told, _ = tell(Told(), replace(WELL, quarantine=quarantined()))
    reason = "EncounteredTotalEscrowThreshold"
    told, (event,) = tell(told, replace(WELL, quarantine=quarantined(reason, reason, message="9 of 9 objects failed")))
    assert isinstance(event, QuarantineReasonChanged)
    assert (event.before, event.reason) == ("EncounteredQuarantineException", reason)
    told, events = tell(told, WELL)
    assert (told, events) == (Told(), (QuarantineLeft(reason),))


def test_what_a_person_has_lifted_is_left_when_a_cycle_has_succeeded_and_not_before():
    told, _ = tell(Told(), replace(WELL, quarantine=quarantined()))
    lifted = replace(WELL, quarantine=None)
    assert tell(told, lifted, rule=due_between) == (told, ())
    assert tell(told, replace(lifted, failed=True)) == (told, ())
    assert tell(told, lifted)[1] == (QuarantineLeft("EncounteredQuarantineException"),)


def test_what_a_person_has_lifted_in_vain_is_told_again():
    told, _ = tell(Told(), replace(WELL, quarantine=quarantined()))
    again = replace(WELL, quarantine=quarantined(began=NOW + HOUR))
    _, (event,) = tell(told, again)
    assert isinstance(event, QuarantineEntered)


HELD = Holding("plan-1", {"users": 12}, {"users": 3}, {"users": 60})
HELD_UP = replace(WELL, held=HELD, quarantine=quarantined("TooManyDeletes", "TooManyDeletes"))


def test_a_held_plan_is_one_notice_and_not_two():
    told, events = tell(Told(), HELD_UP)
    assert events == (RemovalsHeld("plan-1", {"users": 12}, {"users": 3}, {"users": 60}),)
    assert tell(told, HELD_UP, NOW + 9 * HOUR)[1] == ()
    assert tell(told, WELL)[1] == (QuarantineLeft("TooManyDeletes"),)


def test_a_held_plan_beside_another_quarantine_is_told_too():
    _, events = tell(Told(), replace(HELD_UP, quarantine=quarantined()))
    assert [type(event) for event in events] == [QuarantineEntered, RemovalsHeld]


def test_a_plan_that_changes_with_each_cycle_is_told_every_few_hours():
    told, plans = Told(), []
    for n in range(36):
        now = NOW + n * 40 * 60
        told, events = tell(told, replace(HELD_UP, held=replace(HELD, plan=f"plan-{n}"), succeeded=now), now)
        plans += [(event.plan, now) for event in events]
    assert len(plans) == 6
    assert plans[1] == ("plan-6", NOW + PLAN_QUIET)


def test_a_plan_after_one_that_was_decided_is_told_at_once():
    told, _ = tell(Told(), HELD_UP)
    told, _ = tell(told, WELL)
    assert tell(told, replace(HELD_UP, held=replace(HELD, plan="plan-2")))[1][0].plan == "plan-2"


def test_a_job_that_is_disabled_or_pruned_is_told_once_each_time():
    found = quarantined(began=NOW - 29 * DAY)
    told, _ = tell(Told(), replace(WELL, quarantine=found))
    disabled = replace(WELL, quarantine=found, disabled=NOW, waits=True)
    told, events = tell(told, disabled)
    assert events == (JobDisabled("EncounteredQuarantineException", "Unauthorized", NOW - 29 * DAY),)
    assert tell(told, disabled)[1] == ()

    pruned = replace(WELL, pruned=NOW, waits=True)
    told, events = tell(Told(), pruned)
    assert events == (JobPaused(),)
    assert tell(told, pruned)[1] == ()
    assert tell(told, replace(pruned, pruned=NOW + HOUR))[1] == (JobPaused(),)


@pytest.mark.parametrize("rule", [due_after_cycle, due_between])
def test_no_success_for_so_many_hours_is_told_once_for_each_outage_and_so_is_its_end(rule):
    out = replace(WELL, succeeded=NOW - DAY + 60, failed=True, code="Timeout")
    assert tell(Told(), out, rule=rule)[1] == ()
    told, events = tell(Told(), out, NOW + 60, rule=rule)
    assert events == (NoSuccess(NOW - DAY + 60, 24, "Timeout", runs=False),)
    assert tell(told, out, NOW + 9 * DAY, rule=rule) == (told, ())
    back = replace(out, succeeded=NOW + DAY, failed=False)
    told, events = tell(told, back, NOW + DAY, rule=rule)
    assert (told, events) == (Told(), (SuccessAgain(NOW - DAY + 60, NOW + DAY),))


def test_a_job_that_never_succeeded_counts_from_when_success_was_to_be_expected():
    never = Standing(expected_since=NOW)
    assert tell(Told(), never, NOW + DAY - 1)[1] == ()
    assert tell(Told(), never, NOW + DAY)[1] == (NoSuccess(NOW, 24, "", runs=False),)
    assert tell(Told(), Standing(), NOW)[1] == ()


@pytest.mark.parametrize(
    ("standing", "patience"), [(replace(WELL, waits=True), DAY), (WELL, 0.0)], ids=["waits for a person", "turned off"]
)
def test_nobody_is_told_of_a_silence_that_is_wanted(standing, patience):
    assert tell(Told(), standing, NOW + 90 * DAY, patience=patience)[1] == ()


EVENTS = (
    QuarantineEntered("EncounteredQuarantineException", "ServiceNowCredentialsValidation", "", NOW),
    QuarantineEntered("EncounteredBaseEscrowThreshold", "EncounteredBaseEscrowThreshold", "41 of 50 failed", NOW),
    QuarantineReasonChanged("TooManyDeletes", "EncounteredQuarantineException", "Unauthorized", "", NOW),
    QuarantineReasonChanged("EncounteredQuarantineException", "TooManyDeletes", "TooManyDeletes", "", NOW),
    QuarantineLeft("TooManyDeletes"),
    RemovalsHeld("plan-1", {"users": 1200}, {"users": 3}, {"users": 6000}),
    JobDisabled("EncounteredQuarantineException", "Unauthorized", NOW),
    JobPaused(),
    NoSuccess(NOW, 24, "Timeout", runs=False),
    NoSuccess(NOW, 24, "", runs=True),
    SuccessAgain(NOW, NOW),
    Trial(),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_each_notice_can_be_stored_and_says_what_where_and_which(event):
    notice = Notice("0123", "job-1", "contoso.service-now.com", NOW, event)
    assert msgspec.convert(msgspec.to_builtins(notice), Notice) == notice
    said = "\n".join(lines(notice))
    assert "contoso.service-now.com" in subject(notice)
    assert "Job job-1, instance contoso.service-now.com, 2027-01-15 08:00 UTC; notice 0123." in said
    assert "  " not in said
    if asks_for_action(event):
        assert "`python -m provisioning" in said, "the way out"


def test_a_held_plan_says_how_many_and_how_to_approve_or_reject():
    said = "\n".join(lines(Notice("0", "job", "contoso", NOW, EVENTS[5])))
    assert "1,200 users to be disabled or deleted: 3 may be at once of 6,000." in said
    assert "run --approve plan-1" in said
    assert "run --reject plan-1" in said


def test_wrong_credentials_are_explained_by_their_code():
    said = "\n".join(lines(Notice("0", "job", "contoso", NOW, EVENTS[0])))
    assert "ServiceNowCredentialsValidation: " in said
    assert "ServiceNow administrator: " in said or "Operator: " in said
