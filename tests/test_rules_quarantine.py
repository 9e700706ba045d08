"""When a job is quarantined, and how seldom it then runs."""

from __future__ import annotations

import pytest

from provisioning.rules.quarantine import (
    DAY,
    Quarantine,
    Record,
    SynchronizationError,
    Thresholds,
    escrow_reason,
    is_expired,
    judge,
)

INTERVAL = 2400.0
WRONG = SynchronizationError("ServiceNowCredentialsValidation", "401")


@pytest.mark.parametrize(
    ("failures", "successes", "references", "reason"),
    [
        (45_000, 1_000_000, 0, "EncounteredBaseEscrowThreshold"),
        (40_000, 1_000_000, 0, None),
        (30_000, 5_000, 0, "EncounteredEscrowProportionThreshold"),
        (20_000, 100_000, 0, None),
        (4_000, 0, 0, None),
        (4_999, 0, 0, None),
        (5_000, 0, 0, "EncounteredEscrowProportionThreshold"),
        (5_000, 7_500, 0, None),
        (5_000, 7_499, 0, "EncounteredEscrowProportionThreshold"),
        (40_000, 1_000_000, 21_000, "EncounteredTotalEscrowThreshold"),
        (0, 0, 60_000, None),
        (4_000, 0, 50_000, None),
    ],
)
def test_the_documented_examples_and_the_edges(failures, successes, references, reason):
    assert escrow_reason(Record(failures, successes, references), Thresholds()) == reason


@pytest.mark.parametrize(
    ("failures", "failing", "references", "reason"),
    [
        (2_000, 40_001, 0, "EncounteredBaseEscrowThreshold"),
        (0, 40_001, 0, "EncounteredBaseEscrowThreshold"),
        (2_000, 40_000, 0, None),
        (2_000, 39_000, 21_001, "EncounteredTotalEscrowThreshold"),
        (2_000, 60_001, 0, "EncounteredTotalEscrowThreshold"),
        (4_999, 20_000, 0, None),
    ],
)
def test_failures_of_several_cycles_add_up_to_the_absolute_numbers_and_not_to_a_share(
    failures, failing, references, reason
):
    assert escrow_reason(Record(failures, 0, references, failing=failing), Thresholds()) == reason


def test_what_fails_in_all_is_told():
    found = judged(None, Record(2_000, 100, failing=41_000))
    assert found.error.message == "2,000 of 2,100 objects failed, 41,000 fail in all"


def test_small_tenants_scale_the_numbers_and_not_the_share():
    small = Thresholds().scaled(0.001)
    assert (small.least, small.most, small.most_in_all, small.share) == (5, 40, 60, 0.4)
    assert escrow_reason(Record(5, 5), small) == "EncounteredEscrowProportionThreshold"
    assert escrow_reason(Record(4, 0), small) is None
    assert Thresholds().scaled(1e-9).least == 1


def judged(before, record, now=0.0):
    return judge(before, record, Thresholds(), now=now, interval=INTERVAL)


def test_a_critical_error_counts_at_once_and_slows_the_job_gradually_to_once_a_day():
    found, now, pauses = None, 1e9, []
    for _ in range(10):
        found = judged(found, Record(error=WRONG), now)
        assert found is not None
        pauses.append(found.next_attempt - now)
        assert (found.current_began, found.series_began) == (now, 1e9)
        now = found.next_attempt
    assert pauses == [4800, 9600, 19200, 38400, 76800, *[DAY] * 5]
    assert (found.reason, found.series_count, found.error) == ("EncounteredQuarantineException", 9, WRONG)


def test_a_cycle_that_succeeds_ends_it():
    assert judged(judged(None, Record(error=WRONG)), Record(successes=1)) is None
    assert judged(judged(None, Record(failures=5_000)), Record(failures=10, successes=10)) is None


def test_a_cycle_that_an_outage_stops_neither_begins_a_quarantine_nor_ends_one():
    outage = Record(error=SynchronizationError("Timeout", "slow"))
    assert judged(None, outage) is None
    before = judged(None, Record(error=WRONG), 10.0)
    after = judged(before, outage, 20.0)
    assert (after.reason, after.error, after.series_count) == (before.reason, WRONG, 1)


def test_another_reason_goes_on_with_the_series():
    before = judged(None, Record(error=WRONG), 10.0)
    after = judged(before, Record(failures=5_000), 20.0)
    assert (after.reason, after.series_began, after.series_count) == ("EncounteredEscrowProportionThreshold", 10.0, 1)
    assert after.error.message == "5,000 of 5,000 objects failed"


def test_held_removals_are_a_quarantine_that_does_not_slow_the_job_and_never_disables_it():
    found = judged(None, Record(successes=5, held="abc"), 100.0)
    assert (found.reason, found.slows, found.next_attempt) == ("TooManyDeletes", False, 100.0 + INTERVAL)
    again = judged(found, Record(held="abc"), 200.0)
    assert (again.series_began, again.series_count) == (100.0, 1)
    assert not is_expired(again, 100.0 + 50 * DAY)


def test_a_real_quarantine_after_held_removals_is_a_series_of_its_own():
    found = judged(None, Record(held="abc"), 100.0)
    after = judged(found, Record(error=WRONG), 200.0)
    assert (after.series_began, after.series_count) == (200.0, 0)


def test_after_28_days_it_is_over():
    found = Quarantine("EncounteredQuarantineException", 0.0, 0.0, series_began=1000.0)
    assert not is_expired(found, 1000.0 + 28 * DAY)
    assert is_expired(found, 1001.0 + 28 * DAY)
    assert not is_expired(None, 1e12)
