"""The command of an approver who grants several requests: one decision after the other, each in its transaction.

Idempotent by request: under the same Idempotency-Key a request that was granted answers as before, also when a crash
came in between; the others are tried again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.approval.access import Permissions
from services.approval.decisions import Verdict, decide
from services.approval.deps import CommandDeps
from shared.command import Command
from shared.mongo.client import Session
from shared.web.idempotency import Answer, IdempotentRequest, earlier_answer, run_once
from shared.web.problem import Problem


@dataclass(frozen=True, slots=True)
class GrantItem:
    """One request to grant, on the version that the approver has seen."""

    approval_id: str
    version: int
    verdict: Verdict


async def grant_many(deps: CommandDeps, command: Command[Permissions], items: Sequence[GrantItem]) -> Answer:
    """Grant each request that the rules allow. The answer has the outcome of each, in their order."""
    earlier = await earlier_answer(deps.database, command.idempotency)
    if earlier is not None:
        return earlier
    results = [await _grant(deps, command, item) for item in items]
    granted = sum(1 for result in results if result["problem"] is None)
    answer = Answer(200, {"granted": granted, "refused": len(results) - granted, "results": results})

    async def keep(_: Session) -> Answer:
        return answer

    return await run_once(deps.mongo, deps.database, command.idempotency, keep)


async def _grant(deps: CommandDeps, command: Command[Permissions], item: GrantItem) -> dict[str, Any]:
    of_item = replace(
        command, expected_version=item.version, idempotency=_idempotency_of(command.idempotency, item.approval_id)
    )
    try:
        answer = await decide(deps, of_item, item.approval_id, item.verdict)
    except Problem as problem:
        return {
            "approvalId": item.approval_id, "httpStatus": problem.status, "status": None, "problem": problem.body()
        }  # fmt: skip
    return {
        "approvalId": item.approval_id, "httpStatus": answer.status, "status": answer.body["status"], "problem": None
    }  # fmt: skip


def _idempotency_of(request: IdempotentRequest | None, approval_id: str) -> IdempotentRequest | None:
    """The idempotency of one request among several: bound to the key of the whole and to its id."""
    if request is None:
        return None
    key = hashlib.sha256(f"{request.key}\n{approval_id}".encode()).hexdigest()
    return IdempotentRequest(key, request.digest)
