"""Signing in at a login that is honest, lies, is down, or has another clock: each ends in its own page."""

import pytest

from shared.web.pages.sign_in import Failure, SignIn, local_path
from tests.failures import Failures
from tests.pages.sign_in_world import (
    CALLBACK,
    Persons,
    app,
    asked_of,
    browser,
    settings,
    simulated_login,
    with_client,
)


async def test_a_person_signs_in_and_gets_where_they_wanted() -> None:
    """Name, roles and person come from the login; the person is the one of the API's tokens."""
    async with simulated_login() as (issuer, _), browser(app(SignIn(settings(issuer), Persons()))) as person:
        signed_in = await person.sign_in("coordinator", to="/approval/queue?type=research")

    assert signed_in.json() == {
        "person": "https://tokens.example coordinator-one",
        "roles": ["approver:example-biology"],
        "name": "Coordinator One",
        "strength": "password",
        "to": "/approval/queue?type=research",
    }


async def test_the_login_is_asked_with_state_nonce_and_pkce() -> None:
    """Each sign-in has its own values, and asks for a code alone."""
    async with simulated_login() as (issuer, _), browser(app(SignIn(settings(issuer), Persons()))) as person:
        first, second = [asked_of((await person.begin()).headers["location"]) for _ in range(2)]

    assert first["response_type"] == "code"
    assert first["redirect_uri"] == CALLBACK
    assert first["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 20
        assert first[name] != second[name]


@pytest.mark.parametrize(
    ("fault", "failure", "reason"),
    [
        ({"wrong_nonce": 1}, Failure.NOT_BELIEVED, "nonce"),
        ({"wrong_audience": 1}, Failure.NOT_BELIEVED, "aud"),
        ({"wrong_issuer": 1}, Failure.NOT_BELIEVED, "iss"),
        ({"forged": 1}, Failure.NOT_BELIEVED, "BadSignatureError"),
        ({"no_id_token": 1}, Failure.NOT_BELIEVED, "no-id-token"),
        ({"other_subject": 1}, Failure.NOT_BELIEVED, "sub"),
        ({"clock_seconds": -3_600}, Failure.CLOCK, "expired"),
        ({"clock_seconds": 3_600}, Failure.CLOCK, "iat"),
        ({"no_roles": True}, Failure.NO_ROLE, "roles"),
        ({"refuse": 1}, Failure.REFUSED, "access_denied"),
        ({"garbage": 1}, Failure.UNAVAILABLE, "JSONDecodeError"),
        ({"down": True}, Failure.UNAVAILABLE, "HTTPStatusError"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
async def test_what_the_login_does_wrong_signs_nobody_in(
    fault: dict[str, float], failure: Failure, reason: str
) -> None:
    """Each fault names its page, and once the login is well again the same person signs in."""
    async with simulated_login() as (issuer, login), browser(app(SignIn(settings(issuer), Persons()))) as person:
        login.faults.replace(type(login.faults.current).model_validate(fault))
        refused = await person.sign_in()
        login.faults.replace(type(login.faults.current)())
        well = await person.sign_in()

    assert refused.status_code in (400, 503)
    assert refused.json() == {"failure": failure, "reason": reason}
    assert well.json()["name"] == "Student One"


async def test_a_small_difference_of_the_clocks_is_tolerated() -> None:
    """Twenty seconds, either way."""
    async with simulated_login() as (issuer, login), browser(app(SignIn(settings(issuer), Persons()))) as person:
        for seconds in (-20.0, 20.0):
            login.faults.replace(login.faults.current.model_copy(update={"clock_seconds": seconds}))
            assert (await person.sign_in()).json()["name"] == "Student One"


@pytest.mark.parametrize("same_id", [False, True])
async def test_a_replaced_key_of_the_login_is_noticed(same_id: bool) -> None:
    """Under a new id or under the old one: the next person signs in without an operator."""
    async with simulated_login() as (issuer, login), browser(app(SignIn(settings(issuer), Persons()))) as person:
        await person.sign_in()
        login.keys.rotate(same_id=same_id)
        signed_in = await person.sign_in()

    assert signed_in.json()["name"] == "Student One"


async def test_the_way_back_works_once_and_in_its_own_browser() -> None:
    """A link to the way back, opened again, in another browser, or made up, signs nobody in."""
    over = app(SignIn(settings("unused"), Persons()))
    async with simulated_login() as (issuer, _):
        over = app(SignIn(settings(issuer), Persons()))
        async with browser(over) as person, browser(over) as stranger:
            way_back = await person.choose(await person.begin(), "student")
            of_stranger = await stranger.come_back(way_back)
            await person.come_back(way_back)
            again = await person.come_back(way_back)
            made_up = await person.come_back(f"{CALLBACK}?code=guessed&state=guessed")
            empty = await person.come_back(CALLBACK)

    with Failures() as failures:
        for name, answer in {"stranger": of_stranger, "again": again, "made up": made_up, "empty": empty}.items():
            with failures.case(name):
                assert answer.json() == {"failure": Failure.FORGOTTEN, "reason": "state"}


async def test_a_strong_sign_in_is_asked_for_and_checked() -> None:
    """Who comes back weaker than asked is not let in; without the question a weak sign-in will do."""
    async with simulated_login() as (issuer, login), browser(app(SignIn(settings(issuer), Persons()))) as person:
        strong = await person.sign_in(strong="yes")
        login.faults.replace(login.faults.current.model_copy(update={"weak": True}))
        weak, usual = await person.sign_in(strong="yes"), await person.sign_in()

    assert strong.json()["strength"] == "urn:example:strong"
    assert weak.json() == {"failure": Failure.TOO_WEAK, "reason": "acr"}
    assert usual.json()["strength"] == "password"


async def test_wrong_settings_of_ours_end_in_a_page() -> None:
    """A wrong secret, or an issuer that differs in a slash."""
    async with simulated_login() as (issuer, _):
        right = settings(issuer)
        async with browser(app(SignIn(with_client(right, client_secret="wrong"), Persons()))) as person:
            wrong_secret = await person.sign_in()
        async with browser(app(SignIn(with_client(right, issuer=f"{issuer}/"), Persons()))) as person:
            slash = await person.sign_in()

    assert wrong_secret.json() == {"failure": Failure.NOT_BELIEVED, "reason": "refused-by-the-login"}
    assert slash.json() == {"failure": Failure.UNAVAILABLE, "reason": "issuer"}


@pytest.mark.parametrize(
    "elsewhere",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "\\/evil.example", "evil", "", None),
        *("/a\nb", "/\x00", "/" + "a" * 3_000, "javascript:alert(1)", "/a\\..\\b"),
    ],
)
def test_nobody_is_sent_to_another_site_after_signing_in(elsewhere: str | None) -> None:
    """Whatever stands in the link, the way ends on our own home page."""
    assert local_path(elsewhere) == "/"
    assert local_path("/registration/activities/12?tab=history#top") == "/registration/activities/12?tab=history#top"
