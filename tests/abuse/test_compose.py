"""compose.yaml with `.env` filled in is a small production, and a mistake in it is refused before it starts.

No container engine is needed: compose_world reads the file as compose does, and each service is built with exactly the
environment that its container would get.
"""

import importlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from deploy.local import gateway
from deploy.local.errors import LocalStackError
from deploy.prepare import SECRETS, prepare
from services.approval.settings import Settings as Approval
from services.notify.settings import Settings as Notify
from services.registration.settings import Settings as Registration
from services.safety.settings import Settings as Safety
from shared.bus.cli import topics
from shared.environment import from_environment
from shared.errors import PermanentError
from shared.settings import CommonSettings
from tests.abuse.compose_world import (
    BY_HAND,
    DEPLOY,
    SERVICES,
    Deployment,
    Refused,
    definitions,
    prepared,
    read_environment,
)
from tests.abuse.test_invented_catalogue import as_if_real
from tests.failures import Failures

SETTINGS: dict[str, type[CommonSettings]] = {
    "approval": Approval, "registration": Registration, "safety": Safety, "notify": Notify
}  # fmt: skip
#: Read by the image's command and by uvicorn.
OTHERS = {"SERVICE", "FORWARDED_ALLOW_IPS"}
#: In the image, or for tests alone: compose gives no value.
NOT_GIVEN = {"TOPICS_FILE", "FAILPOINTS_DIR"}
#: compose itself says them: they name its own containers and mounts.
FIXED = {
    "KAFKA_CA_FILE", "KAFKA_USERNAME", "KAFKA_PASSWORD", "MONGO_URL", "ROOT_PATH", "CATALOGUE_DIR", "PUBLIC_URL"
}  # fmt: skip
EXAMPLE = (DEPLOY / "env.example").read_text(encoding="utf-8")
#: Ends by itself.
ONE_SHOT = {"setup"}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A prepared folder with a catalogue that could be real."""
    catalogue = tmp_path_factory.mktemp("catalogue")
    return prepared(tmp_path_factory.mktemp("deploy"), as_if_real(catalogue))


def environment_is(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have exactly these variables, as far as settings read any."""
    for settings in SETTINGS.values():
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("TOPICS_FILE", str(DEPLOY / "topics.yaml"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_of_a_service_can_be_set_through_compose(service: str, deployment: Deployment) -> None:
    """And nothing else is given: a misspelt variable would be ignored in silence."""
    known = {name.upper() for name in SETTINGS[service].model_fields} - NOT_GIVEN
    given = set(definitions()["services"][service]["environment"])

    assert given - OTHERS == known
    with Failures() as failures:
        for name in known - FIXED:
            with failures.case(name):
                assert deployment.environment(service, **{name: "said-by-env"})[name] == "said-by-env"


@pytest.mark.parametrize("service", SERVICES)
async def test_a_filled_in_deployment_is_a_production_that_starts(
    service: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every service can be built with exactly what compose gives it; TLS and logins everywhere."""
    environment = deployment.on_this_machine(service)
    environment_is(environment, monkeypatch)

    settings = from_environment(SETTINGS[service])
    app = importlib.import_module(f"services.{service}.app").build(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inside") as client:
        document = (await client.get("/v1/openapi.json")).json()

    assert document["servers"][0]["url"] == f"https://{BY_HAND['GATEWAY_NAME']}/{service}/v1"
    assert settings.env == "production"
    assert settings.root_path == f"/{service}"
    assert settings.bus(service).client()["security_protocol"] == "SASL_SSL"
    assert re.match(rf"mongodb://{service}:\w{{48}}@mongo:27017/", settings.mongo_url.get_secret_value())
    assert "tls=true" in settings.mongo_url.get_secret_value()
    if isinstance(settings, Notify):
        assert settings.smtp_starttls


@pytest.mark.parametrize("variable", [*SECRETS, *BY_HAND, "CATALOGUE_FOLDER"])
def test_compose_names_what_is_missing(variable: str, deployment: Deployment) -> None:
    """An empty secret, address or folder: nothing starts, and the variable is named."""
    with pytest.raises(Refused, match=f"^{variable}: "):
        [deployment.service(name, **{variable: ""}) for name in definitions()["services"]]


@pytest.mark.parametrize(
    ("service", "changes", "said"),
    [
        ("approval", {"CATALOGUE_FOLDER": "./local/catalogue"}, "invented"),
        ("registration", {"CATALOGUE_FOLDER": "./local/catalogue"}, "invented"),
        ("notify", {"CATALOGUE_FOLDER": "./local/catalogue"}, "invented"),
        ("notify", {"CATALOGUE_FOLDER": "./catalogue"}, "emergency_number: must be configured"),
        ("notify", {"SERVICE_KEY": "short"}, "SERVICE_KEY"),
        ("safety", {"KEY_ENCRYPTION_KEY": "short"}, "KEY_ENCRYPTION_KEY"),
        ("safety", {"ENV": "staging"}, "ENV"),
        ("notify", {"SMTP_STARTTLS": "perhaps"}, "SMTP_STARTTLS"),
        ("registration", {"RETENTION_DAYS": "1"}, "RETENTION_DAYS"),
        ("registration", {"CLAMD": ""}, "ACCEPT_UNSCANNED_DOCUMENTS"),
    ],
)
async def test_what_is_wrong_is_refused_in_one_sentence(
    service: str, changes: dict[str, str], said: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the service that needs it, with the name of the wrong setting, before it does anything."""
    environment_is(deployment.on_this_machine(service, **changes), monkeypatch)

    with pytest.raises(PermanentError, match=said):
        importlib.import_module(f"services.{service}.app").build(from_environment(SETTINGS[service]))


def test_env_example_names_every_variable_and_its_true_default(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every variable that compose reads stands there; taking the `#` away from a default changes nothing."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    passed = {
        name
        for service in definitions()["services"].values()
        for name, value in service.get("environment", {}).items()
        if value is None
    }
    read = set(re.findall(r"(?<!\$)\$\{(\w+)", text)) | passed
    shown = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    defaults = {name: value for name, value in shown.items() if value}

    assert set(shown) == read
    only_compose = {"BOUNCE_MAILDIR", "SOURCE_URLS"}  # examples, where the default is nothing
    defaults = {name: value for name, value in defaults.items() if name not in only_compose}
    with Failures() as failures:
        for name in ("kafka", "mongo", "setup", "gateway"):
            with failures.case(name):
                assert deployment.service(name, **defaults) == deployment.service(name)
        for name in SERVICES:
            with failures.case(name):
                environment_is(deployment.on_this_machine(name), monkeypatch)
                without = from_environment(SETTINGS[name])
                environment_is(deployment.on_this_machine(name, **defaults), monkeypatch)
                assert from_environment(SETTINGS[name]) == without


def test_prepare_makes_secrets_once_and_asks_for_the_rest(tmp_path: Path) -> None:
    """Random, all different, readable by the owner alone; a second run keeps them and all that was filled in."""
    asked = prepare(tmp_path)
    first = (tmp_path / ".env").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(first.replace("SMTP_HOST=", "SMTP_HOST=mail.eu"), encoding="utf-8")
    certificate = (tmp_path / "tls" / "ca.pem").read_bytes()
    again = prepare(tmp_path)
    second = read_environment((tmp_path / ".env").read_text(encoding="utf-8"))

    made = [second[name] for name in SECRETS]
    assert len(set(made)) == len(SECRETS)
    assert all(len(secret) >= 32 for secret in made)
    assert set(asked) == {*BY_HAND, "CATALOGUE_FOLDER"}
    assert set(again) == set(asked) - {"SMTP_HOST"}
    assert second == {**read_environment(first), "SMTP_HOST": "mail.eu"}
    assert (tmp_path / "tls" / "ca.pem").read_bytes() == certificate
    for private in (tmp_path / ".env", tmp_path / "tls", tmp_path / "tls" / "ca.key"):
        assert private.stat().st_mode & 0o077 == 0, private


def properties(environment: dict[str, str]) -> dict[str, str]:
    """The properties that Kafka's image makes of KAFKA_…: `___` is a hyphen, `__` an underscore, `_` a dot."""
    made = {}
    for name, value in environment.items():
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS":
            key = name.removeprefix("KAFKA_").lower().replace("_", ".").replace("...", "-").replace("..", "_")
            made[key] = value
    return made


def test_kafkas_log_lies_on_its_volume(deployment: Deployment) -> None:
    """A new image or a changed variable does not throw the record of the audit away."""
    made = properties(deployment.environment("kafka"))
    volumes = {inside for inside, outside in deployment.mounts("kafka").items() if outside in definitions()["volumes"]}

    assert made["log.dirs"] in volumes
    assert made["auto.create.topics.enable"] == "false"


def test_every_named_volume_is_used_where_something_is_written(deployment: Deployment) -> None:
    """Kafka's log, MongoDB's data, the bounces: read and written, by one service each."""
    used = [outside for name in definitions()["services"] if "volumes" in deployment.service(name)
            for outside in deployment.mounts(name).values() if not outside.startswith((".", "/"))]  # fmt: skip
    assert sorted(used) == sorted(definitions()["volumes"])
    assert deployment.mounts("mongo")["/data/db"] == "mongo"


def test_nobody_reaches_kafka_or_mongodb_without_a_login(deployment: Deployment) -> None:
    """What listens beyond the container asks for TLS and a password; the network of both leads nowhere else."""
    made = properties(deployment.environment("kafka"))
    protocols = dict(part.split(":") for part in made["listener.security.protocol.map"].split(","))
    for listener in made["listeners"].split(","):
        name, _, address = listener.partition("://")
        assert protocols[name] == "SASL_SSL" or address.startswith("127.0.0.1:"), listener
    assert "scram-sha-512" in "".join(made)
    assert made["sasl.enabled.mechanisms"] == "SCRAM-SHA-512"
    mongod = deployment.service("mongo")["command"]
    assert {"--tlsMode=requireTLS", "--keyFile=/tmp/member.key"} <= set(mongod)
    assert definitions()["networks"]["data"] == {"internal": True}
    for name in ("kafka", "mongo"):
        assert deployment.service(name)["networks"] == ["data"]
    assert deployment.service("gateway")["networks"] == ["front"]
    published = [name for name in definitions()["services"] if "ports" in deployment.service(name)]
    assert published == ["gateway"]


@pytest.mark.parametrize("name", definitions()["services"])
def test_every_container_is_hardened(name: str, deployment: Deployment) -> None:
    """No root, no rights, a file system to read, and bounds for memory, processes and logs."""
    service = deployment.service(name)

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"]["max-size"]
    assert not service.get("privileged")
    assert all(mount.endswith(":ro") or not mount.startswith(".") for mount in service.get("volumes", []))


@pytest.mark.parametrize("name", sorted(set(definitions()["services"]) - ONE_SHOT))
def test_a_container_has_longer_to_stop_than_its_process_needs(name: str, deployment: Deployment) -> None:
    """Killed in the middle, notify leaves messages unknown: uvicorn's time for requests, and as much for the rest."""
    grace = int(deployment.service(name)["stop_grace_period"].removesuffix("s"))
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    [uvicorn] = re.findall(r"--timeout-graceful-shutdown (\d+)", dockerfile)

    assert grace >= 2 * int(uvicorn)


def test_nginx_takes_the_deployed_configuration(deployment: Deployment, tmp_path: Path) -> None:
    """The templates filled in with what compose gives the gateway; only the variables that compose lets through."""
    environment = deployment.environment("gateway")
    let_through = environment.pop("NGINX_ENVSUBST_FILTER")
    assert all(re.search(let_through, name) for name in environment)
    upstreams = {name: environment[f"{name.upper()}_UPSTREAM"] for name in SERVICES}
    try:
        program = gateway.program(
            tmp_path, environment["GATEWAY_LISTEN"], upstreams, environment, ("gateway.conf", "tls.conf")
        )
    except LocalStackError as error:
        pytest.skip(str(error))
    (tmp_path / "tls").mkdir()
    for file in ("gateway.crt", "gateway.key"):
        shutil.copy(deployment.folder / "tls" / file, tmp_path / "tls")

    tried = subprocess.run([*program.command, "-t"], capture_output=True, text=True, check=False)

    assert tried.returncode == 0, tried.stderr
    assert "warn" not in tried.stderr


def test_gateway_lets_only_the_api_of_each_service_through() -> None:
    """Every service has its path and its address; no location leads to a path for internal use."""
    template = (DEPLOY / "gateway" / "gateway.conf.template").read_text(encoding="utf-8")
    locations = re.findall(r"^    location (.*) \{", template, re.MULTILINE)
    passed = [location for location in locations if location.startswith("~")]
    assert f"~ ^/(?<service>{'|'.join(SERVICES)})/v1/" in passed
    assert all(")/v1/" in location for location in passed)
    for service in SERVICES:
        assert f"{service} ${{{service.upper()}_UPSTREAM}};" in template


def test_images_can_be_pinned_by_digest_and_have_a_full_version_until_then() -> None:
    """Each image is a variable whose default is a full version, never `latest`."""
    images: dict[str, Any] = {name: service["image"] for name, service in definitions()["services"].items()}
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for image in {*images.values(), definitions()["x-image"]["build"]["args"]["PYTHON_IMAGE"]}:
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z/-]+:\d+\.\d+\.\d+[a-z-]*\}", image), image
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    [python] = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", dockerfile, re.MULTILINE)
    assert python in definitions()["x-image"]["build"]["args"]["PYTHON_IMAGE"]


def test_topics_of_one_broker_have_one_replica(deployment: Deployment) -> None:
    """A production on one machine cannot have three."""
    command = " ".join(deployment.service("setup")["command"])
    declared = yaml.safe_load((DEPLOY / "topics.yaml").read_text(encoding="utf-8"))
    [row] = re.findall(r"--replication (\w+)", command)
    assert declared["replication"][row] == {"factor": 1, "min_insync": 1}


def test_topics_of_an_unknown_replication_are_not_made() -> None:
    """Wrong use, in one sentence that names the rows."""
    result = CliRunner().invoke(
        topics, ["apply", "--replication", "triple"], env={"TOPICS_FILE": str(DEPLOY / "topics.yaml")}
    )

    assert result.exit_code == 2
    assert "local, production, single" in result.stderr
