"""Sessions of signed-in people, one for all services, in a database of their own.

Collection `sessions.sessions`: {_id (from the cookie's secret), content (encrypted), person, createdAt, seenAt,
forgottenAt}. A session ends when nobody used it for a while, when it is old, or at sign-out. Its record stays for a day
longer, so that a form which was posted too late can be kept for the person who wrote it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.mongo.client import ASCENDING, IndexModel, Mongo
from shared.web.identity import Identity, LoginFacts
from shared.web.pages.sealed_records import SecretKey, is_secret, new_secret

#: How long an ended session is known, so that a late form finds its writer.
KNOWN_AFTER_END = timedelta(days=1)
#: `seenAt` is written at most this often: a page with many parts causes one write.
SEEN_EVERY = timedelta(minutes=1)
_PURPOSE = "session"


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """A session ends `idle` after its last use, and `absolute` after signing in, whatever comes first."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=10)


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in. `name` is for the page's head; `id_token` is for signing out at the login.

    `strength`: how the login made sure who it is (`acr` of OpenID Connect); empty when it does not say.
    `form_token`: what each form of this session has to carry.
    """

    identity: Identity
    name: str
    id_token: str
    strength: str = ""
    form_token: str = ""
    has_ended: bool = False


class Sessions:
    """The sessions in MongoDB."""

    def __init__(self, mongo: Mongo, limits: SessionLimits) -> None:
        self._sessions = mongo.database("sessions")["sessions"]
        self._limits = limits

    async def create_indexes(self) -> None:
        """MongoDB removes a record once nobody can ask for it any more; sign-out everywhere finds all of a person."""
        await self._sessions.create_indexes(
            [IndexModel([("forgottenAt", ASCENDING)], expireAfterSeconds=0), IndexModel([("person", ASCENDING)])]
        )

    async def begin(self, session: Session, now: datetime) -> str:
        """Store a new session. Returns the secret for the cookie: always a new one, so none can be planted."""
        secret = new_secret()
        key = SecretKey(secret, _PURPOSE)
        await self._sessions.insert_one(
            {
                "_id": key.record_id,
                "content": key.seal(_content(session)),
                "person": session.identity.person_id,
                "createdAt": now,
                "seenAt": now,
                "forgottenAt": now + self._limits.absolute + KNOWN_AFTER_END,
            }
        )
        return secret

    async def of(self, secret: str | None, now: datetime) -> Session | None:
        """The session of a cookie; `has_ended` for one that is over. None: unknown, signed out, or no secret at all."""
        if not is_secret(secret):
            return None
        key = SecretKey(secret, _PURPOSE)
        record = await self._sessions.find_one({"_id": key.record_id})
        content = key.open(bytes(record["content"])) if record is not None else None
        if record is None or content is None:
            return None
        session = replace(_session(content), form_token=key.form_token())
        if now - record["seenAt"] >= self._limits.idle or now - record["createdAt"] >= self._limits.absolute:
            return replace(session, has_ended=True)
        if now - record["seenAt"] >= SEEN_EVERY:
            await self._sessions.update_one({"_id": key.record_id}, {"$max": {"seenAt": now}})
        return session

    async def end(self, secret: str | None) -> None:
        """Sign out: the record is gone, also for other tabs. Unknown secrets are ignored."""
        if is_secret(secret):
            await self._sessions.delete_one({"_id": SecretKey(secret, _PURPOSE).record_id})

    async def end_all(self, person_id: str) -> int:
        """End all sessions of a person, on every device. Returns how many there were."""
        return (await self._sessions.delete_many({"person": person_id})).deleted_count


def _content(session: Session) -> dict[str, Any]:
    identity = session.identity
    return {
        "personId": identity.person_id,
        "roles": sorted(identity.roles),
        "studentNumber": identity.login.student_number,
        "programmes": sorted(identity.login.programmes) if identity.login.programmes is not None else None,
        "name": session.name,
        "idToken": session.id_token,
        "strength": session.strength,
    }


def _session(content: dict[str, Any]) -> Session:
    programmes = content["programmes"]
    login = LoginFacts(content["studentNumber"], frozenset(programmes) if programmes is not None else None)
    identity = Identity(content["personId"], frozenset(content["roles"]), login)
    return Session(identity, content["name"], content["idToken"], content["strength"])
