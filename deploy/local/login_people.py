"""The people of the local login: one for each role that a page is made for. All names are invented."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Somebody:
    """A person at the login. `what`: the role in words; `more`: further claims."""

    subject: str
    name: str
    what: str
    roles: tuple[str, ...]
    more: Mapping[str, object] = field(default_factory=dict)


PEOPLE: Mapping[str, Somebody] = {
    "student": Somebody("student-one", "Student One", "student", ("student",)),
    "coordinator": Somebody(
        "coordinator-one", "Coordinator One", "programme coordinator of Biology", ("approver:example-biology",)
    ),
    "contact": Somebody(
        "contact-one", "Contact One", "contact person of the faculty of Sciences", ("faculty-contact:example-sciences",)
    ),
    "office": Somebody("office-one", "Office One", "International Office", ("international-office",)),
    "officer": Somebody("officer-one", "Officer One", "safety officer", ("safety-officer",)),
    "crisis": Somebody("crisis-one", "Crisis One", "crisis team", ("crisis-team",)),
    "auditor": Somebody("auditor-one", "Auditor One", "auditor", ("auditor",)),
    "operator": Somebody("operator-one", "Operator One", "operator", ("operator",)),
}
