"""The HTTP calls of students and staff, each with a token of that person."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp

from deploy.local.demo.pace import Pace
from deploy.local.demo.world import Student

#: mint(subject, roles) -> bearer token
Mint = Callable[[str, list[str]], str]


class Refused(Exception):
    """A service answered with a problem; its text says which."""


class ServiceUnavailable(Refused):
    """The service is away: the gateway answered 502, 503 or 504."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a service."""

    status: int
    body: Any
    etag: str | None


class People:
    """Calls the four services. `bases` maps a service to its base URL, direct or behind the gateway."""

    def __init__(self, bases: Mapping[str, str], mint: Mint) -> None:
        self._bases = dict(bases)
        self._mint = mint
        self._tokens: dict[str, str] = {}
        self.pace = Pace()

    async def __aenter__(self) -> "People":
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=30), connector=aiohttp.TCPConnector(limit=32)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def call(
        self,
        method: str,
        service: str,
        path: str,
        *,
        who: str | None = None,
        roles: tuple[str, ...] = (),
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. Raises Refused for any answer that is not 2xx, ServiceUnavailable for 502, 503 and 504."""
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = f"Bearer {self._token(who, roles)}"
        url = f"{self._bases[service]}{path}"
        began = time.monotonic()
        async with self._http.request(method, url, json=body, data=data, headers=sent) as response:
            text = await response.text()
            self.pace.note(time.monotonic() - began)
            if not 200 <= response.status < 300:
                kind = ServiceUnavailable if response.status in (502, 503, 504) else Refused
                raise kind(f"{method} {service}{path.partition('?')[0]} → {response.status}: {text[:300]}")
            answer = await response.json() if "json" in response.content_type and text else text
            return Answer(response.status, answer, response.headers.get("ETag"))

    async def request_approval(self, student: Student) -> str:
        """Request approval as the student; returns the approvalId."""
        answer = await self.call(
            "POST", "approval", "/v1/approval-requests",
            who=student.subject, roles=("student",),
            headers={"Idempotency-Key": f"approval-{student.number}"},
            body={
                "facultyId": student.faculty, "programmeId": student.programme, "activityType": "internship",
                "country": student.country, "startDate": str(student.start), "endDate": str(student.end),
                "description": f"Synthetic internship of {student.subject}", "contact": _contact(student),
            },
        )  # fmt: skip
        return str(answer.body["approvalId"])

    async def grant(self, approval_id: str, programme: str) -> None:
        """Grant the request as the programme's coordinator, on its current version."""
        who, roles = f"coordinator-{programme}", (f"approver:{programme}",)
        seen = await self.call("GET", "approval", f"/v1/approval-requests/{approval_id}", who=who, roles=roles)
        await self.call(
            "POST", "approval", f"/v1/approval-requests/{approval_id}/decisions", who=who, roles=roles,
            headers={"If-Match": seen.etag or "*", "Idempotency-Key": f"grant-{approval_id}"},
            body={"decision": "grant", "programmeConfirmed": True},
        )  # fmt: skip

    async def decide_approval(self, approval_id: str, scope: str, decision: str, reason: str | None = None) -> Answer:
        """Decide a request as an approver with this scope, whatever its version."""
        return await self.call(
            "POST", "approval", f"/v1/approval-requests/{approval_id}/decisions",
            who=f"approver-{scope}", roles=(f"approver:{scope}",),
            headers={"If-Match": "*"},
            body={"decision": decision, "reason": reason, "programmeConfirmed": decision == "grant"},
        )  # fmt: skip

    async def register(
        self, student: Student, approval_id: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Register the journey as the student."""
        leg = {"startDate": str(student.start), "endDate": str(student.end), "country": student.country}
        if student.region:
            leg["region"] = student.region
        if student.place:
            leg["place"] = student.place
        answers = {"credits": student.study_related, "universityFunding": False, "transcriptEntry": False}
        return await self.call(
            "POST", "registration", "/v1/registrations",
            who=student.subject, roles=("student",),
            headers={"Idempotency-Key": f"registration-{student.number}", **(headers or {})},
            body={
                "approvalId": approval_id, "facultyId": student.faculty, "programmeId": student.programme,
                "activityType": "internship", "legs": [leg], "answers": answers, "language": student.language,
                "contact": _contact(student),
            },
        )  # fmt: skip

    def _token(self, who: str, roles: tuple[str, ...]) -> str:
        """One token for each person, minted once."""
        if who not in self._tokens:
            self._tokens[who] = self._mint(who, list(roles))
        return self._tokens[who]


def _contact(student: Student) -> dict[str, str]:
    """The contact details of a student."""
    return {
        "givenName": "Student",
        "surname": f"No-{student.number:04d}",
        "email": student.email,
        "mobile": student.mobile,
        "studentNumber": f"s{student.number:07d}",
    }
