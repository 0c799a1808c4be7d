"""Opens who the students of requests are, for those who may read these requests; each look is logged."""

from collections.abc import Mapping, Sequence

from services.approval.access import Permissions
from services.approval.deps import CommandDeps
from services.approval.model import ApprovalRequest
from shared.privacy.processing_log import log_personal_data_read
from shared.privacy.students import StudentEntry, student_entry

#: approvalId -> the student who asks
Students = Mapping[str, StudentEntry]


async def students_of(
    deps: CommandDeps, states: Sequence[ApprovalRequest], permissions: Permissions, kind: str
) -> Students:
    """The students of these requests. `kind` names the read in the processing log."""
    sealed = {state.approval_id: state.contact for state in states if state.contact is not None}
    opened = dict(zip(sealed, await deps.keyring.open_many(list(sealed.values()), "/contact"), strict=True))
    students = {
        state.approval_id: student_entry(
            state.person_id,
            opened.get(state.approval_id),
            with_phone=permissions.is_office or permissions.owns(state),
        )
        for state in states
    }
    log_personal_data_read(kind, permissions.person_id, {state.person_id for state in states})
    return students
