"""must ⊆ selected ⊆ must ∪ may over random histories, and every planted fault of the selection is detected."""

import os
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from services.notify.model.whereabouts import Whereabouts
from services.notify.rules.audience import AudienceDecision, Reason, decide_audience
from shared.advice import CountryAdvice
from shared.events import Level, RegistrationApproved, RegistrationHeld, RegistrationRouted
from tests.audit.histories import COUNTRIES, IMPORTS, REGIONS, RETURNS, TOWNS, Decide, History, rightly

PERSONS = range(6)
TOPICS = ("travel.registration.v1", "travel.advice.v1")
DECISIONS = (RegistrationHeld, RegistrationRouted, RegistrationApproved)


class Histories(RuleBasedStateMachine):
    """Any event may happen in any order, and notify may crash at any step."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History()

    @rule(
        person=st.sampled_from(PERSONS),
        legs=st.lists(
            st.tuples(st.sampled_from(COUNTRIES), st.integers(-4, 4), st.integers(0, 5), st.integers(0, 3)),
            min_size=1,
            max_size=2,
        ),
        imported=st.booleans(),
    )
    def register(self, person: int, legs: list[tuple[str, int, int, int]], imported: bool) -> None:
        """A registration or a change. One leg in each country: see the test of the second place below."""
        apart = {leg[0]: leg for leg in legs}.values()
        self.history.register(person, [_leg(self.history, *leg) for leg in apart], imported=imported and IMPORTS)

    @precondition(lambda self: self.history.registered)
    @rule(data=st.data(), kind=st.sampled_from(DECISIONS))
    def decide(self, data: st.DataObject, kind: type) -> None:
        """A clearance is decided."""
        self.history.decide(data.draw(st.sampled_from(self.history.registered)), kind)

    @precondition(lambda self: self.history.registered)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A student cancels."""
        self.history.cancel(data.draw(st.sampled_from(self.history.registered)))

    @precondition(lambda self: RETURNS and self.history.registered)
    @rule(data=st.data(), outcome=st.sampled_from(["returned", "stays", "unknown"]))
    def come_back(self, data: st.DataObject, outcome: str) -> None:
        """A return is recorded, or another outcome."""
        self.history.come_back(data.draw(st.sampled_from(self.history.registered)), outcome)

    @rule(country=st.sampled_from(COUNTRIES), level=st.sampled_from(Level), where=st.integers(0, 3))
    def advise(self, country: str, level: Level, where: int) -> None:
        """The advice of a country, a region or an area without a code rises or falls."""
        self.history.advise(country, level, (None, *REGIONS[country], "grensgebied")[where])

    @rule(topic=st.sampled_from(TOPICS), partition=st.integers(0, 1), count=st.integers(1, 5), lives=st.integers(0, 6))
    def read(self, topic: str, partition: int, count: int, lives: int) -> None:
        """Notify reads on, and sometimes crashes."""
        self.history.read(topic, partition, count, lives or -1)

    @rule(topic=st.sampled_from(TOPICS), partition=st.integers(0, 1))
    def read_again(self, topic: str, partition: int) -> None:
        """Kafka redelivers."""
        self.history.read_again(topic, partition)

    @rule(lives=st.integers(0, 3))
    def sweep(self, lives: int) -> None:
        """Notify sweeps, and sometimes crashes."""
        self.history.sweep(lives or -1)

    @rule(country=st.sampled_from(COUNTRIES), where=st.integers(0, 2))
    def by_hand(self, country: str, where: int) -> None:
        """An officer writes to everybody in a country or region."""
        self.history.by_hand(country, (None, *REGIONS[country])[where])

    @rule()
    def next_day(self) -> None:
        """A day passes."""
        self.history.next_day()

    def teardown(self) -> None:
        """The promise holds at any moment; after notify has caught up, nobody is left without an alert."""
        assert _broken(self.history, settled=False) == []
        self.history.settle()
        assert _broken(self.history, settled=True) == []


def _leg(history: History, country: str, start: int, length: int, where: int) -> object:
    town = next(name for name, region in TOWNS.items() if region.startswith(country))
    region, place = ((None, None), (REGIONS[country][0], None), (REGIONS[country][1], None), (None, town))[where]
    return history.leg(country, start, length, region, place)


def _broken(history: History, *, settled: bool) -> list[tuple[str, str, list[str]]]:
    verdicts, untold = history.audit()
    wrong = [(verdict.alert_id, "missed", sorted(verdict.missed)) for verdict in verdicts if verdict.missed]
    wrong += [(check.alert_id, "unexpected", sorted(check.unexpected)) for check in verdicts if check.unexpected]
    if settled and untold:
        wrong.append(("", "untold", sorted(person.because.person_id for person in untold)))
    return wrong


def _run(examples: int) -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_histories_keep_the_promise() -> None:
    """Some random histories, different ones in each run."""
    _run(int(os.environ.get("HISTORIES", "60")))


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.fault("a thousand random histories, notify dying at any step")
def test_histories_a_thousand_keep_the_promise() -> None:
    """A thousand random histories."""
    _run(1_000)


def test_histories_second_place_of_the_same_day_is_told() -> None:
    """A person changes places within a country on one day: alerted about the first, then the second turns negative
    too.
    """
    history = History()
    history.advise("ES", Level.YELLOW)
    history.register(0, [_leg(history, "ES", -3, 3, 1), _leg(history, "ES", 0, 5, 2)])
    for region in REGIONS["ES"]:
        history.settle()
        history.advise("ES", Level.ORANGE, region)

    history.settle()

    assert _broken(history, settled=True) == []


# ---------------------------------------------------------------- faults


def _one_off_at_the_end(where: Whereabouts, advice: CountryAdvice, today: date, _: Sequence[str]) -> AudienceDecision:
    """Planted fault: the day of grace at the end is missing."""
    stays = tuple(stay.model_copy(update={"end_date": stay.end_date - timedelta(days=1)}) for stay in where.stays)
    return decide_audience(where.model_copy(update={"stays": stays}), advice, today)


def _region_ignored(where: Whereabouts, advice: CountryAdvice, today: date, _: Sequence[str]) -> AudienceDecision:
    """Planted fault: only the country's own level counts."""
    return decide_audience(where, advice.model_copy(update={"regions": ()}), today)


def _incomplete_skipped(
    where: Whereabouts, advice: CountryAdvice, today: date, words: Sequence[str]
) -> AudienceDecision:
    """Planted fault: people without clearance are taken to be at home."""
    decided = [word for word in words if word in {"RegistrationHeld", "RegistrationRouted", "RegistrationApproved"}]
    if not decided or decided[-1] != "RegistrationApproved":
        return AudienceDecision(Reason.NOT_THERE)
    return decide_audience(where, advice, today)


def _everybody_in_the_country(
    where: Whereabouts, advice: CountryAdvice, today: date, _: Sequence[str]
) -> AudienceDecision:
    """Planted fault: dates are ignored, so too many people are alerted."""
    long = {"start_date": today, "end_date": today}
    stays = tuple(stay.model_copy(update=long) for stay in where.stays)
    return decide_audience(where.model_copy(update={"stays": stays}), advice, today)


FAULTS: dict[str, Decide] = {
    "one off at the end date": _one_off_at_the_end,
    "region ignored": _region_ignored,
    "incomplete skipped": _incomplete_skipped,
    "dates not looked at": _everybody_in_the_country,
}


def _told(history: History) -> set[tuple[str, str]]:
    """Who was alerted about which country at all. Whether a person is alerted again may depend on the reading of a
    rule.
    """
    verdicts, _ = history.audit()
    return {(verdict.alert_id[:2], person) for verdict in verdicts for person in verdict.selected}


def _play(seed: int, decide: Decide) -> tuple[History, list[tuple[str, str, list[str]]]]:
    """Play the events of a seed with a decision function; the audit runs whenever notify has caught up."""
    random = Random(seed)
    history, broken = History(decide), []
    for country in COUNTRIES:
        history.advise(country, random.choice([Level.GREEN, Level.YELLOW]))
    for _ in range(14):
        country = random.choice(COUNTRIES)
        what = random.randrange(9)
        if what < 4:
            legs = [_leg(history, country, random.randint(-4, 2), random.randint(0, 3), random.randrange(4))]
            if random.random() < 0.6:  # and on to the other country
                other = next(code for code in COUNTRIES if code != country)
                legs.append(_leg(history, other, random.randint(1, 3), random.randint(0, 3), random.randrange(4)))
            history.register(random.choice(PERSONS), legs)
        elif what == 4 and history.registered:
            history.decide(random.choice(history.registered), random.choice(DECISIONS))
        elif what < 8:
            history.advise(country, random.choice(list(Level)), random.choice([None, *REGIONS[country]]))
        else:
            history.next_day()
        history.settle()
        broken += _broken(history, settled=True)
    return history, broken


@pytest.mark.parametrize("fault", FAULTS)
def test_histories_planted_fault_is_caught_each_time(fault: str) -> None:
    """Whenever the fault alerts other people than the rule does, the audit reports it; otherwise it reports nothing."""
    differing = 0
    for seed in range(40):
        (right, nothing), (wrong, caught) = _play(seed, rightly), _play(seed, FAULTS[fault])
        assert nothing == []
        if _told(right) == _told(wrong):
            continue
        differing += 1
        assert caught, f"seed {seed}: told otherwise, and the audit did not see it"
    assert differing >= 3
