"""ENV=production starts with the settings that it demands, and with none that leave a door open.

Every demand of the settings table has a row of values that break it; each is refused alone, by a sentence that names
the variable and quotes nothing, and accepted with ENV=local.
"""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.notify import app as notify
from services.notify.settings import Settings as Notify
from services.passage.settings import SETTINGS
from services.registration import app as registration
from services.registration.settings import Settings as Registration
from shared.environment import BadEnvironment, EnvironmentSettings, demands, from_environment
from tests.abuse.settings_world import SERVICES, key, local, production, secret
from tests.abuse.test_invented_catalogue import as_if_real
from tests.contracts.services_world import log_handlers_kept
from tests.failures import Failures

WITH_LOGIN = f"mongodb://user:{secret('mongo')}@mongo.university.example"
CLEAR = ("http://clear.university.example",)
MADE_UP_KEYS = (
    base64.b64encode(bytes(32)).decode(),
    base64.b64encode(b"\xff" * 32).decode(),
    base64.b64encode(bytes(range(32))).decode(),
    base64.b64encode(b"change-me change-me change-me !!").decode(),
    base64.b64encode(bytes(range(16)) * 2).decode(),
)
#: Variable → values that production refuses. None: the variable is not set.
REFUSED: Mapping[str, tuple[str | None, ...]] = {
    "KAFKA_CA_FILE": (None, ""),
    "KAFKA_USERNAME": (None, ""),
    "KAFKA_PASSWORD": (None, ""),
    "MONGO_URL": (
        "mongodb://mongo.university.example/?replicaSet=rs0&tls=true",
        f"{WITH_LOGIN}/?replicaSet=rs0",
        f"{WITH_LOGIN}/?tls=false",
        "mongodb://user:tls=true@mongo.university.example/?replicaSet=rs0",
        "mongodb://user:secret@mongo.university.example/tls=true",
        f"{WITH_LOGIN}/?tls=true&tlsInsecure=true",
        f"{WITH_LOGIN}/?tls=true&tlsAllowInvalidCertificates=true",
        f"{WITH_LOGIN}/?tls=true&TLSALLOWINVALIDHOSTNAMES=true",
        "mongodb+srv://user:secret@mongo.university.example/?tls=false",
        "mongodb+srv://mongo.university.example/",
    ),
    "KEY_ENCRYPTION_KEY": MADE_UP_KEYS,
    "SERVICE_KEY": (key("key-encryption-key"), *MADE_UP_KEYS),
    "JWKS": ("http://login.university.example/jwks", "/nowhere/jwks.json", "jwks"),
    "TOKEN_ISSUER": ("https://login.local.example",),
    "REQUESTS_PER_SECOND": ("0",),
    "WEB_ORIGINS": ("http://portal.university.example", "https://a.example,http://b.example"),
    "FAILPOINTS_DIR": ("/tmp", "nowhere"),
    "ACCEPT_UNSCANNED_DOCUMENTS": (None, "false"),
    "FEED_URL": CLEAR,
    "CAP_URLS": ("https://cap.example/a,http://cap.example/b",),
    "SOURCE_URLS": ('{"canada": "http://canada.example"}',),
    "SMTP_STARTTLS": (None, "false"),
    "SMTP_SENDER": ("alerts@university.test",),
    "BOUNCE_ADDRESS": ("bounces@university.test",),
    "SMS_URL": CLEAR,
    "SMS_SENDER": ("University",),
    "SMS_TOKEN": (key("key-encryption-key"),),
    "SMTP_PASSWORD": (secret("kafka"),),
    "SPRYNG_URL": CLEAR,
    "SPRYNG_API_KEY": (secret("sms"),),
    "TWILIO_URL": CLEAR,
    "TWILIO_TOKEN": (secret("sms"),),
    "ANSWER_BASE_URL": CLEAR,
    "PORTAL_URL": CLEAR,
    "PUBLIC_URL": CLEAR,
    "WEBHOOK_SECRET": (
        "0123456789abcdef",
        "0123456789abcdef0123456789abcdef",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "s" * 48,
        "changeme" * 6,
        secret("sms"),
        secret("webhook")[:24],
    ),
}
#: Variable → other variables of the environment that make it the only wrong one.
BESIDE: Mapping[str, Mapping[str, str | None]] = {
    "ACCEPT_UNSCANNED_DOCUMENTS": {"CLAMD": None},
    "SMTP_PASSWORD": {"SMTP_USERNAME": "alerts"},
    "SPRYNG_API_KEY": {"SPRYNG_ACCOUNT": "SPNL0000000"},
    "TWILIO_TOKEN": {"TWILIO_ACCOUNT": "AC00000000"},
}
#: Values that a search in the text would refuse, or that record a decision of the operator.
ACCEPTED: tuple[tuple[str, Mapping[str, str | None]], ...] = (
    ("approval", {"MONGO_URL": f"{WITH_LOGIN}/?ssl=true"}),
    ("approval", {"MONGO_URL": f"{WITH_LOGIN}/?TLS=true"}),
    ("approval", {"MONGO_URL": "mongodb+srv://user:secret@mongo.university.example/"}),
    ("approval", {"MONGO_URL": "mongodb://mongo.university.example/?tls=true&authMechanism=MONGODB-X509"}),
    ("registration", {"CLAMD": None, "ACCEPT_UNSCANNED_DOCUMENTS": "true"}),
    ("notify", {"SMTP_STARTTLS": None, "SMTP_IMPLICIT_TLS": "true", "SMTP_PORT": "465"}),
    ("notify", {"SMTP_STARTTLS": None, "SMTP_HOST": "127.0.0.1"}),
    ("notify", {"SMTP_USERNAME": "alerts", "SMTP_PASSWORD": secret("smtp")}),
    ("notify", {"SMTP_USERNAME": "", "SMTP_PASSWORD": ""}),
    ("safety", {"SOURCE_URLS": '{"canada": "https://canada.example"}', "CAP_URLS": "https://cap.example/a"}),
)


def service_of(variable: str) -> str:
    """A service that reads the variable."""
    return next(service for service in SERVICES if variable.lower() in SETTINGS[service].model_fields)


def read(service: str, environment: Mapping[str, str | None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the service says of this environment; nothing if it starts."""
    settings: type[EnvironmentSettings] = SETTINGS[service]
    for name in settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    try:
        from_environment(settings)
    except BadEnvironment as error:
        return error.mistakes
    return []


@pytest.mark.parametrize("service", SERVICES)
def test_production_accepts_what_it_demands(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The good environment of each service has no mistake, in production and on one machine."""
    assert read(service, production(service, tmp_path), monkeypatch) == []
    assert read(service, local(service, tmp_path), monkeypatch) == []


def test_production_refuses_each_value_that_breaks_a_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence names the variable and quotes nothing; where the value is well formed, ENV=local accepts it."""
    with Failures() as failures:
        for variable, values in REFUSED.items():
            service = service_of(variable)
            good, beside = production(service, tmp_path), BESIDE.get(variable, {})
            for value in values:
                with failures.case(f"{variable}={value}"):
                    mistakes = read(service, {**good, **beside, variable: value}, monkeypatch)

                    assert len(mistakes) == 1, mistakes
                    assert mistakes[0].startswith(f"{variable} "), mistakes
                    assert mistakes[0].endswith("."), mistakes
                    assert not value or len(value) < 8 or value not in mistakes[0]


def test_production_demands_are_off_on_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local stack, the demo and the tests go on: ENV=local accepts whatever is only unsafe."""
    with Failures() as failures:
        for variable, values in REFUSED.items():
            service = service_of(variable)
            beside = {"SMTP_HOST": "127.0.0.1", **BESIDE.get(variable, {})} if service == "notify" else {}
            for value in values:
                if variable.startswith("KAFKA_") or (len(value or "x" * 16) < 16 and variable == "WEBHOOK_SECRET"):
                    continue
                with failures.case(f"{variable}={value}"):
                    assert read(service, {**local(service, tmp_path), **beside, variable: value}, monkeypatch) == []


def test_production_demands_each_have_a_row() -> None:
    """A new demand in a settings class needs a value here that breaks it, and no row outlives its demand."""
    demanded = {
        name.upper()
        for settings in SETTINGS.values()
        for name, field in settings.model_fields.items()
        if demands(field)
    }

    assert demanded == set(REFUSED)


@pytest.mark.parametrize(("service", "changes"), ACCEPTED)
def test_production_accepts_what_is_safe_in_another_form(
    service: str, changes: Mapping[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's parser decides, not a search for `tls=true`."""
    assert read(service, {**production(service, tmp_path), **changes}, monkeypatch) == []


async def test_notify_with_an_allow_list_says_so_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list that a test left behind keeps every alert from everybody else."""
    assert (
        read("notify", {**local("notify", tmp_path), "RECIPIENT_ALLOW_LIST": "@one.example,+31600000001"}, monkeypatch)
        == []
    )

    with log_handlers_kept():
        notify.build(Notify())

    assert '"count": 2, "next_step": "none in a test copy; else unset RECIPIENT_ALLOW_LIST"' in capsys.readouterr().err


async def test_registration_without_a_scanner_says_so_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who decided it can forget it; the log does not."""
    decided = {**production("registration", tmp_path), "CLAMD": None, "ACCEPT_UNSCANNED_DOCUMENTS": "true"}
    catalogue = tmp_path / "catalogue"
    catalogue.mkdir()
    decided["CATALOGUE_DIR"] = str(as_if_real(catalogue))
    assert read("registration", decided, monkeypatch) == []

    with log_handlers_kept():
        registration.build(Registration())

    assert '"event": "documents_not_scanned"' in capsys.readouterr().err


@pytest.mark.parametrize("service", SERVICES)
def test_production_names_every_mistake_at_once(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong, missing and unsafe variables stand in one message, a sentence each."""
    own = {name for name in REFUSED if name.lower() in SETTINGS[service].model_fields}
    # A secret that equals another one is no mistake where that other one is wrong itself.
    wrong: dict[str, str | None] = {
        name: REFUSED[name][-1]
        for name in own
        if name not in ("SMS_TOKEN", "SMTP_PASSWORD", "SPRYNG_API_KEY", "TWILIO_TOKEN")
    }
    environment = {**production(service, tmp_path), **wrong, "LOG_LEVEL": "loud", "TOKEN_AUDIENCE": None}
    environment.pop("CLAMD", None)

    mistakes = read(service, environment, monkeypatch)

    named = {mistake.partition(" ")[0] for mistake in mistakes}
    assert named >= set(wrong) | {"LOG_LEVEL", "TOKEN_AUDIENCE"}
