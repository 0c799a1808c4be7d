"""Notify's send worker against its floors: bare drivers that send the same mails and SMS and store nothing.

`bare`: aiosmtplib over ten kept connections and httpx in batches of 100; `own bare`: the same with our own clients.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import aiosmtplib
import httpx
import orjson
from fastapi import FastAPI, Request
from pydantic import SecretStr

from services.notify.channels.cm import CmProvider, CmSettings
from services.notify.channels.email import EmailChannel
from services.notify.channels.smtp import EmailSettings
from services.notify.messages.outgoing import Email, Sms
from services.notify.messages.rendering import Messages
from services.notify.messages.specimens import SPECIMENS
from services.notify.model.whereabouts import evolve_whereabouts
from services.notify.store.send_queue import NOTICE, UNFINISHED
from services.notify.store.whereabouts import NewContact, WhereaboutsUpdate
from shared.bus import topics
from shared.bus.settings import BusSettings
from shared.clock import utc_now
from shared.events import Level, NotificationsAccepted
from shared.mongo.client import Mongo
from shared.privacy.contact import StudentContact
from shared.web.local_tokens import create_keys
from tests.benchmarks.measure import Measure, Where, against, ratio, seconds
from tests.benchmarks.served import served
from tests.benchmarks.sinks import ROOT, cm_sink, smtp_sink
from tests.contracts.services_world import WEBHOOK_SECRET
from tests.contracts.services_world import build as build_service
from tests.integration.bus_world import TOPICS
from tests.integration.notify_world import SENDER, World, contact_of, leg, notify
from tests.rules import notify_world as build

CONNECTIONS, BATCH = 10, 100
PATIENCE_SECONDS = 900.0
LINK = "https://travel.university.example/notify/v1/answers/0123456789abcdef012345"
SMS = f"Spain: red. Leave now. +31 71 800 0000 {LINK}"


@dataclass(frozen=True, slots=True)
class Sinks:
    """The ports of the servers that accept mails and SMS."""

    smtp: int
    cm: int
    name: str


@contextmanager
def sinks(delay_ms: int = 0) -> Iterator[Sinks]:
    """Both servers, each in its own process."""
    smtp, cm = _free(), _free()
    with smtp_sink(smtp, delay_ms) as name, cm_sink(cm, delay_ms):
        yield Sinks(smtp, cm, name)


@asynccontextmanager
async def installation(where: Where) -> AsyncIterator[tuple[World, str]]:
    """A notify in a namespace of its own, with its topics; the namespace is dropped afterwards."""
    namespace = f"b{uuid.uuid4().hex[:8]}-"
    settings = BusSettings(where.kafka, namespace, "notify", "benchmark")
    await topics.apply(settings, topics.load(TOPICS), "local")
    async with notify(SimpleNamespace(mongo=where.mongo), namespace) as world:
        try:
            yield world, namespace
        finally:
            await world.mongo.drop("notify")


async def fill(world: World, count: int, country: str = "ES", first: int = 0) -> None:
    """Store the whereabouts of this many people in the country."""
    for start in range(first, first + count, 2_000):
        kept = []
        for number in range(start, min(first + count, start + 2_000)):
            person = f"p{number}"
            fact = build.submitted(leg(country=country), person=person, contact=f"sealed:v1:{person}:event:AAAA")
            where = evolve_whereabouts(None, fact, 1, utc_now(), build.nowhere)
            assert where is not None
            kept.append(WhereaboutsUpdate(where, NewContact(StudentContact(contact_of(person)))))
        await world.whereabouts.put(kept)


async def select(world: World, country: str = "ES") -> float:
    """The country turns red; seconds until everybody has durable deliveries."""
    await world.handle(world.change(Level.YELLOW, country=country))
    change = world.change(Level.RED, country=country)
    began = time.perf_counter()
    await world.handle(change)
    return time.perf_counter() - began


@contextmanager
def worker(where: Where, namespace: str, to: Sinks, instance: str = "notify-0") -> Iterator[subprocess.Popen[bytes]]:
    """A worker process, killed at the end."""
    command = [sys.executable, "-m", "tests.benchmarks.engine_worker", where.mongo, where.kafka, namespace,
               str(to.smtp), str(to.cm), instance, str(BATCH)]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def sent(world: World, *, on_kafka: bool = True) -> bool:
    """Whether every send job is finished, and all events are on Kafka."""
    if await world.database["lanes"].find_one(UNFINISHED, {"_id": 1}) is not None:
        return False
    return not on_kafka or await world.database["events"].find_one({"pending": True}, {"_id": 1}) is None


async def until(condition: Callable[[], Awaitable[bool]], pause: float = 0.02) -> None:
    """Wait for the condition, checking it every `pause` seconds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(pause)


async def begun(world: World) -> bool:
    """Whether a send job is claimed, so the process is up."""
    return await world.database["lanes"].find_one({"epoch": {"$gt": 0}}, {"_id": 1}) is not None


async def ours(where: Where, to: Sinks, count: int, workers: int = 1) -> float:
    """People a second, from the first claimed send job to the last event on Kafka."""
    async with installation(where) as (world, namespace):
        await fill(world, count)
        await select(world)
        with contextlib.ExitStack() as processes:
            for number in range(workers):
                processes.enter_context(worker(where, namespace, to, f"notify-{number}"))
            await until(lambda: begun(world))
            began = time.perf_counter()
            await until(lambda: sent(world), 0.1)
            took = time.perf_counter() - began
        counts = await world.deliveries.counts("ES-2")
        assert counts == {"email": {"accepted": count}, "sms": {"accepted": count}}, counts
        return count / took


async def bare(to: Sinks, count: int) -> float:
    """The same mails and SMS by aiosmtplib and httpx; nothing is stored."""
    began = time.perf_counter()
    await asyncio.gather(_bare_mails(to.smtp, count), _bare_sms(to.cm, count))
    return count / (time.perf_counter() - began)


async def _bare_mails(port: int, count: int) -> None:
    content = _letter()

    async def one(share: int) -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, use_tls=False)
        await client.connect()
        for number in range(share):
            await client.sendmail(SENDER, [f"p{number}@students.example.org"], content)
        await client.quit()

    await asyncio.gather(*(one(count // CONNECTIONS) for _ in range(CONNECTIONS)))


async def _bare_sms(port: int, count: int) -> None:
    message = {"from": "+31970000000", "body": {"type": "auto", "content": SMS}, "allowedChannels": ["SMS"]}
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=CONNECTIONS)) as client:

        async def batch(first: int) -> None:
            body = [
                {**message, "to": [{"number": f"003161{number:07}"}], "reference": f"{number:032x}"}
                for number in range(first, min(first + BATCH, count))
            ]
            answer = await client.post(f"http://127.0.0.1:{port}/v1.0/message", json={"messages": {"msg": body}})
            assert len(answer.json()["messages"]) == len(body)

        for start in range(0, count, BATCH * CONNECTIONS):
            firsts = range(start, min(start + BATCH * CONNECTIONS, count), BATCH)
            await asyncio.gather(*(batch(first) for first in firsts))


def _letter() -> bytes:
    """The mail that the send worker sends, 8 kB in two languages."""
    skeleton = Messages(SENDER).email_skeleton("alert_country", "nl", SPECIMENS["alert_country"])
    return skeleton.render(
        name="Student", recipient="p@students.example.org", link=LINK, message_id=f"<{'0' * 32}@university.example>",
        date=utc_now(),
    )  # fmt: skip


async def own_bare(to: Sinks, count: int) -> float:
    """The same messages by our own clients."""
    mail = EmailChannel(EmailSettings(host="127.0.0.1", port=to.smtp, connections=CONNECTIONS))
    sms = CmProvider(CmSettings(url=f"http://127.0.0.1:{to.cm}", product_token=SecretStr("t"), sender="+31970000000"))
    content = _letter()
    letters = [Email(f"{n}", SENDER, f"p{n}@students.example.org", content, is_plain=True) for n in range(count)]
    texts = [Sms(f"{n}", f"{n:032x}", f"+3161{n:07}", SMS) for n in range(count)]
    began = time.perf_counter()
    await asyncio.gather(mail.send(letters), sms.send(texts))
    took = time.perf_counter() - began
    await mail.close()
    await sms.close()
    return count / took


async def engine_100k(where: Where) -> list[Measure]:
    """100,000 people by mail and SMS, one worker process; outcomes durable and on Kafka."""
    count = where.size(100_000)
    rates: dict[str, list[float]] = {"ours": [], "bare": [], "own": []}
    with sinks() as to:
        for _ in range(3):
            rates["bare"].append(await bare(to, count))
            rates["ours"].append(await ours(where, to, count))
            rates["own"].append(await own_bare(to, count))
    facts: dict[str, Any] = {name: round(sorted(of_kind)[1]) for name, of_kind in rates.items()}
    facts |= {"people": count, "sink": to.name}
    over_bare = [mine / floor for mine, floor in zip(rates["ours"], rates["bare"], strict=True)]
    over_own = [mine / floor for mine, floor in zip(rates["ours"], rates["own"], strict=True)]
    return [
        ratio("engine-100k over bare", "≥ 4, aim 6", over_bare, **facts),
        ratio("engine-100k over own bare", "≥ 0.4", over_own, **facts),
    ]


async def engine_two_workers(where: Where) -> list[Measure]:
    """Two processes against servers that answer after 20 ms, relative to one process."""
    count = where.size(20_000)
    ratios = []
    with sinks(delay_ms=20) as to:
        for _ in range(3):
            one = await ours(where, to, count)
            ratios.append(await ours(where, to, count, workers=2) / one)
    return [ratio("engine-two-workers over one", "≥ 1.8", ratios, people=count)]


async def engine_5k(where: Where) -> list[Measure]:
    """From the change of advice to the first and the last acceptance."""
    count = where.size(5_000)
    firsts, lasts = [], []
    with sinks() as to:
        for _ in range(3):
            async with installation(where) as (world, namespace):
                await fill(world, count)
                with worker(where, namespace, to):
                    await _warm(world)
                    began, at = time.perf_counter(), utc_now()
                    await select(world)
                    await until(lambda world=world: sent(world, on_kafka=False))  # type: ignore[misc] # bound now
                    lasts.append(time.perf_counter() - began)
                firsts.append(await _first_acceptance(world, "ES-2") - at.timestamp())
    return [
        seconds("engine-5k last acceptance", "≤ 2 s", lasts, people=count),
        seconds("engine-5k first acceptance", "≤ 0.5 s", firsts, people=count),
    ]


async def engine_priority(where: Where) -> list[Measure]:
    """A red alert while reminders are queued: seconds until its first acceptance."""
    count = where.size(100_000)
    firsts = []
    with sinks() as to:
        async with installation(where) as (world, namespace):
            await fill(world, count, country="FR")
            await fill(world, 100, first=count)
            await select(world, "FR")
            await world.database["lanes"].update_many({}, {"$set": {"priority": NOTICE}})
            with worker(where, namespace, to):
                await until(lambda: begun(world))
                at = utc_now()
                await select(world)
                await until(lambda: _is_accepted(world, "ES-2"))
                waiting = await world.database["lanes"].count_documents({"alertId": "FR-2", "done": False})
                firsts.append(await _first_acceptance(world, "ES-2") - at.timestamp())
    return [seconds("engine-priority first acceptance", "≤ 1 s", firsts, reminders=count, lanes_waiting=waiting)]


async def engine_receipts(where: Where) -> list[Measure]:
    """Receipts posted to the webhook, each stored sealed, against a bare route with one insert."""
    count, namespace, keys = where.size(10_000), f"b{uuid.uuid4().hex[:8]}-", where.folder / "receipt-keys"
    create_keys(keys)
    mongo = Mongo(where.mongo, namespace=namespace)
    kept, bare_app = mongo.database("bare")["receipts"], FastAPI()

    @bare_app.post("/receipts")
    async def insert(request: Request) -> dict[str, str]:
        await kept.insert_one({"body": await request.body()})
        return {"status": "kept"}

    try:
        async with served(build_service("notify", where.mongo, namespace, keys)) as notify_at, served(bare_app) as at:
            return [
                await against(
                    "engine-receipts",
                    "≥ 0.5 of a bare route",
                    lambda: _posted(f"{notify_at}/v1/webhooks/cm/receipts", count),
                    lambda: _posted(f"{at}/receipts", count),
                    posts=count,
                )
            ]
    finally:
        for name in ("notify", "bare", "keyring"):
            await mongo.drop(name)
        mongo.close()


async def _posted(url: str, count: int) -> float:
    """Posts a second with sixteen at once; each is another receipt."""
    left = iter(range(count))

    async def one(http: aiohttp.ClientSession) -> None:
        for number in left:
            receipt = {"reference": f"{uuid.uuid4().hex}", "received": f"{number}", "status": {"code": 2}}
            body = orjson.dumps({"messages": {"msg": receipt}})
            async with http.post(url, data=body) as answer:
                assert answer.status == 200, await answer.text()

    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("cm", WEBHOOK_SECRET)) as http:
        began = time.perf_counter()
        await asyncio.gather(*(one(http) for _ in range(16)))
        return count / (time.perf_counter() - began)


async def _warm(world: World) -> None:
    """One alert for one person in another country: the process is up and its connections are open."""
    await fill(world, 1, country="FR", first=10_000_000)
    await select(world, "FR")
    await until(lambda: sent(world, on_kafka=False))


async def _is_accepted(world: World, alert_id: str) -> bool:
    return bool(await _accepted(world, alert_id))


async def _accepted(world: World, alert_id: str) -> list[float]:
    """The positions of the events that say accepted: microseconds since 1970."""
    events = world.database["events"].find({"stream": {"$regex": f"^{alert_id}[^0-9]"}}, {"body": 1, "position": 1})
    return [event["position"] async for event in events if _is(event["body"], NotificationsAccepted)]


def _is(body: bytes, kind: type) -> bool:
    return bool(orjson.loads(body)["type"] == kind.__name__)


async def _first_acceptance(world: World, alert_id: str) -> float:
    """When the first event of an acceptance was appended, in seconds since 1970."""
    return min(await _accepted(world, alert_id)) / 1e6


def _free() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
