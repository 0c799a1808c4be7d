"""The roles that a token may carry, in one place: who has each and what it permits.

docs/standards.md shows this table; a test compares the two.
"""

#: Roles with a scope: `approver:example-biology`, `faculty-contact:example-sciences`.
SCOPED: dict[str, str] = {
    "approver": "decide for the programmes that the catalogue gives to that scope",
    "faculty-contact": "decide R7 and R8 of that faculty",
}
PLAIN: dict[str, str] = {
    "student": "own requests, registrations, documents, answers",
    "international-office": "all registrations, slots, tasks, persons; decides nothing",
    "safety-officer": "holds, overrides, alerts, whereabouts, R14, R16, R20",
    "crisis-team": "alerts, boards, replies and whereabouts with names and phones; records calls; changes no alert",
    "auditor": "reads what its routes name; no contact details",
    "operator": "no route asks for it yet",
    "machine": "no route asks for it yet",
}
MAX_ROLE_CHARS = 120


def is_role(value: str) -> bool:
    """Whether the value is a role: a scoped one with its scope, or a plain one without."""
    role, colon, scope = value.partition(":")
    return len(value) <= MAX_ROLE_CHARS and (
        (role in SCOPED and bool(colon) and bool(scope)) or (role in PLAIN and not colon)
    )


def known_roles() -> list[str]:
    """Every role as it is written, for messages to people."""
    return sorted([*PLAIN, *(f"{role}:<scope>" for role in SCOPED)])
