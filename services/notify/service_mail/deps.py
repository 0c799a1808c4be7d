"""What service mail is planned in and made from."""

from dataclasses import dataclass, field

from services.notify.notices import NoticeDeps
from services.notify.rules.office_mail import OfficePolicy
from services.notify.rules.service_mail import MailPolicy
from services.notify.store.callbacks import CallbackStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.office_cases import OfficeCaseStore
from services.notify.store.planned_mails import PlannedMailStore
from services.notify.store.requests import RequestStore


@dataclass(frozen=True, slots=True)
class ServiceMailDeps:
    """The stores, and when mail is sent. `portal_url`: where students and staff work; empty: mails name none."""

    notices: NoticeDeps
    deliveries: DeliveryStore
    requests: RequestStore
    planned: PlannedMailStore
    cases: OfficeCaseStore
    callbacks: CallbackStore
    policy: MailPolicy = field(default_factory=MailPolicy)
    office_policy: OfficePolicy = field(default_factory=OfficePolicy)
    portal_url: str = ""
