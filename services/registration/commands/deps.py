"""What the commands work with; `app.build` makes it once for each process."""

from dataclasses import dataclass

from services.registration.decision_inputs import EvaluationDeps
from services.registration.document_storage import DocumentStorage
from services.registration.store.persons import PersonsStore
from services.registration.store.registrations import Store
from shared.catalogue import Catalogue
from shared.mongo.client import Database, Mongo
from shared.mongo.group_commit import GroupCommit
from shared.privacy.keyring import Keyring


@dataclass(frozen=True, slots=True)
class CommandDeps:
    """Databases, keys, catalogue and settings of the commands. `exceptions_at_orange`: R18 is switched on."""

    mongo: Mongo
    database: Database
    store: Store
    persons: PersonsStore
    keyring: Keyring
    evaluation: EvaluationDeps
    documents: DocumentStorage
    group_commit: GroupCommit
    exceptions_at_orange: bool = False

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as this request sees it."""
        return self.evaluation.catalogue
