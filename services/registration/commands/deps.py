"""What the commands work with; `app.build` makes it once for each process."""

from dataclasses import dataclass, field

from services.registration.decision_inputs import EvaluationDeps
from services.registration.document_storage import DocumentStorage
from services.registration.store.persons import PersonsStore
from services.registration.store.registrations import Store
from shared.catalogue import Catalogue
from shared.mongo.client import Database, Mongo
from shared.mongo.group_commit import GroupCommit
from shared.privacy.keyring import Keyring
from shared.web.slots import Slots

#: Uploads of one person at once.
UPLOADS_OF_ONE = 2


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """How much documents may take: bytes of one registration and of one person, and uploads at once in a process."""

    registration_bytes: int = 100_000_000
    person_bytes: int = 300_000_000
    uploads: Slots = field(default_factory=lambda: Slots(16, of_one=UPLOADS_OF_ONE))


@dataclass(frozen=True, slots=True)
class CommandDeps:
    """Databases, keys, catalogue and settings of the commands. `exceptions_at_orange`: R18 is switched on.

    `smtp_non_ascii`: the mail server carries addresses with letters outside ASCII before the @.
    """

    mongo: Mongo
    database: Database
    store: Store
    persons: PersonsStore
    keyring: Keyring
    evaluation: EvaluationDeps
    documents: DocumentStorage
    group_commit: GroupCommit
    exceptions_at_orange: bool = False
    document_limits: DocumentLimits = field(default_factory=DocumentLimits)
    smtp_non_ascii: bool = False

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as this request sees it."""
        return self.evaluation.catalogue
