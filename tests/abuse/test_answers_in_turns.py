"""A person, or a machine with their link or phone, changes the answer all the time: the record stays bounded, and
no cry for help is held back."""

import asyncio

import pytest

from services.notify.commands.alerts import record_call
from services.notify.rules.escalation import unheard_cry
from services.notify.rules.repeated_answers import ANSWERS_IN_PERIOD
from tests.integration.notify_public import PublicRoutes
from tests.integration.notify_sending_world import accepted, alerted, number
from tests.integration.notify_world import World, officer

#: The answers that are recorded at most: those within the brake, and one cry for help more.
MOST = 2 * ANSWERS_IN_PERIOD


async def recorded(world: World) -> int:
    """How many answers the one document of the person holds."""
    return len((await world.deliveries.answers.records("ES-2", ["p1"]))["p1"])


async def has_unheard_cry(world: World) -> bool:
    """Whether a cry for help of the person waits for the escalation."""
    records = (await world.deliveries.answers.records("ES-2", ["p1"]))["p1"]
    return unheard_cry(records, ()) is not None


async def test_by_link_in_turns_is_braked_with_a_page_and_help_always_counts(
    world: World,
    public: PublicRoutes,
) -> None:
    """A hundred changes are a few facts; "safe" is then answered by a page that says what to do, "help" is taken."""
    await alerted(world, "p1")
    link = public.link("p1")

    answers = [
        await public.http.post(f"{link}?language=en", data={"answer": answer}) for answer in ("safe", "help") * 50
    ]

    assert len(await public.said()) == await recorded(world) <= MOST
    assert {answer.status_code for answer in answers[1::2]} == {303}
    page = answers[-2]
    assert (page.status_code, page.headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert int(page.headers["retry-after"]) > 0
    assert "that always counts" in page.text
    assert await world.deliveries.answers.standing("ES-2", "p1") == "help"

    await record_call(world.commands, officer(), "ES-2", "p1", "safe")
    assert not await has_unheard_cry(world)
    assert (await public.http.post(link, data={"answer": "help"})).status_code == 303
    assert await has_unheard_cry(world)


async def test_by_link_at_once_is_braked_as_well(world: World, public: PublicRoutes) -> None:
    """Forty answers at the same moment: each is answered, none of them with an error, and the last word is help."""
    await alerted(world, "p1")

    answers = await asyncio.gather(
        *(public.http.post(public.link("p1"), data={"answer": answer}) for answer in ("safe", "help") * 20)
    )

    assert {answer.status_code for answer in answers} <= {303, 429}
    assert {answer.status_code for answer in answers[1::2]} == {303}
    assert len(await public.said()) == await recorded(world) <= MOST
    assert await world.deliveries.answers.standing("ES-2", "p1") == "help"


@pytest.mark.parametrize("texts", [("VEILIG",), ("HELP",), ("VEILIG", "HELP")])
async def test_by_sms_without_end_is_braked_as_well(
    world: World,
    public: PublicRoutes,
    texts: tuple[str, ...],
) -> None:
    """A phone that answers every message: each SMS is stored and worked on, and few of them become facts."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    for turn in range(30):
        await public.reply(number("p1"), texts[turn % len(texts)])

    await public.work()

    assert await public.open_posts() == 0
    assert len(await public.said()) == await recorded(world) <= MOST
    assert await world.deliveries.answers.standing("ES-2", "p1") == ("help" if "HELP" in texts else "safe")


#: Bodies that are no form, or none that can be read.
BROKEN = {
    "no boundary": ("multipart/form-data", b"--b\r\n\r\n"),
    "broken part": ("multipart/form-data; boundary=b", b"--b\r\nno header at all\r\nxx"),
    "long boundary": (f"multipart/form-data; boundary={'b' * 5_000}", b"--b\r\n\r\n"),
    "cut off": ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="answer"\r\n'),
    "no name": ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nsafe\r\n--b--\r\n"),
    "unknown encoding": (
        "multipart/form-data; boundary=b; charset=nonsense",
        b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\n\xff\r\n--b--\r\n',
    ),
    "many parts": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' * 1_500 + b"--b--\r\n",
    ),
    "many fields": ("application/x-www-form-urlencoded", b"x=1&" * 1_500),
    "JSON": ("application/json", b'{"answer": "safe"}'),
    "nothing": ("", b"\xff\x00"),
}


@pytest.mark.parametrize("language", ["nl", "en"])
async def test_a_body_that_is_no_form_gets_the_page(
    world: World,
    public: PublicRoutes,
    language: str,
) -> None:
    """Whatever is posted, a person gets the page that asks to choose, in their language, and nothing is recorded."""
    await alerted(world, "p1")
    ask = {"nl": "Kies eerst", "en": "First choose"}[language]

    for name, (content_type, body) in BROKEN.items():
        answer = await public.http.post(
            f"{public.link('p1')}?language={language}", content=body, headers={"Content-Type": content_type}
        )
        assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8"), name
        assert ask in answer.text, name

    assert await public.said() == []
