"""The simulators and the four services of the local stack: real processes that speak real HTTP, SMTP and Kafka."""

import asyncio
import base64
import json
import os
import secrets
import shlex
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy.local import gateway
from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST, Ports, is_free, wait_free
from deploy.local.processes import Program
from deploy.local.stack import LocalStack, Say
from shared.bus import topics
from shared.bus.settings import BusSettings
from shared.errors import TransientError
from shared.web.local_tokens import AUDIENCE, ISSUER, create_keys

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("approval", "registration", "safety", "notify")
SIMULATORS = ("inbox", "sms", "feed")
READY_SECONDS = 120.0

#: The catalogue of the local stack, unless CATALOGUE_DIR names another.
CATALOGUE = ROOT / "deploy" / "local" / "catalogue"
#: Variables that differ from service to service; no command needs them.
OF_ONE_PROCESS = ("INSTANCE", "ROOT_PATH")
SMTP_SENDER = "alerts@university.example"
SMS_SENDER = "+31970000000"


@dataclass(frozen=True, slots=True)
class Choices:
    """How to run the services. `picture`: a real response of the ministry to start with. `catalogue`: its folder.

    `overrides` holds more environment for a service, by its name.
    """

    keys: Path
    picture: Path | None = None
    through_gateway: bool = False
    namespace: str = ""
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    catalogue: Path = CATALOGUE


class LocalServices:
    """The simulators, the services and the gateway; state and logs lie below the stack's folder."""

    def __init__(self, stack: LocalStack, choices: Choices, say: Say = lambda sentence: None) -> None:
        self.stack = stack
        self.choices = choices
        self._ports = stack.ports
        self._say = say

    @cached_property
    def _secrets(self) -> dict[str, str]:
        return _secrets(self.stack.root / "secrets.json")

    @property
    def maildir(self) -> Path:
        """The Maildir of the simulated inbox."""
        return self.stack.root / "inbox" / "maildir"

    @property
    def sms_log(self) -> Path:
        """The log of the simulated SMS gateway: JSON lines."""
        return self.stack.root / "sms" / "sms.jsonl"

    def bases(self) -> dict[str, str]:
        """Service → base URL, direct or behind the gateway."""
        if self.choices.through_gateway:
            return {name: f"http://{HOST}:{self._ports.gateway}/{name}" for name in SERVICES}
        return {name: self.direct(name) for name in SERVICES}

    def write_addresses(self, file: Path) -> None:
        """Write the environment of `passage` as shell variables: `set -a; . FILE`.

        All addresses, and what the services read: with them every command works that one of the services would run.
        """
        own = {name: value for service in SERVICES for name, value in self._environment(service).items()}
        variables: dict[str, object] = {
            **{name: value for name, value in own.items() if name not in OF_ONE_PROCESS},
            **{f"{name.upper()}_URL": base for name, base in self.bases().items()},
            "MAILDIR": self.maildir,
            "SMS_LOG": self.sms_log,
        }
        lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in variables.items()]
        file.touch(mode=0o600)
        file.write_text("".join(lines), encoding="utf-8")

    def direct(self, name: str) -> str:
        """The address of a service without the gateway."""
        return f"http://{HOST}:{self._port(name)}"

    def start(self) -> None:
        """Start topics, simulators, services and gateway that do not run yet, and wait until they are ready.

        Raises LocalStackError.
        """
        create_keys(self.choices.keys)
        self._apply_topics()
        for name in SIMULATORS:
            self._start(name, self._simulator(name), self._port(name))
        for name in SERVICES:
            self.start_service(name)
        if self.choices.through_gateway:
            upstreams = {name: f"{HOST}:{self._port(name)}" for name in SERVICES}
            listen = f"{HOST}:{self._ports.gateway}"
            program = gateway.program(self.stack.root / "gateway", listen, upstreams)
            self._start("gateway", program, self._ports.gateway)
        for name in SIMULATORS:
            port = self._ports.inbox_control if name == "inbox" else self._port(name)
            self._wait(name, f"http://{HOST}:{port}/healthz", lambda body: True)
        for name in SERVICES:
            self.wait_ready(name)
        self._say("simulators and services are ready")

    def start_service(self, name: str) -> None:
        """Start one service unless it runs."""
        self._start(name, self._service(name), self._port(name))

    def wait_ready(self, name: str) -> None:
        """Wait until the service is ready, or degraded in a way that no waiting mends; that is said.

        Raises LocalStackError when it ends, or does not even become degraded in time.
        """
        body = self._wait(name, f"{self.direct(name)}/readyz", _is_up, lambda body: body.get("status") == "degraded")
        if body.get("status") == "degraded":
            self._say(f"{name} works, but is degraded: {_failing(body)}")

    def readiness(self, name: str) -> dict[str, Any]:
        """The service's answer to `/readyz`; empty when it does not answer."""
        return _json(f"{self.direct(name)}/readyz") or {}

    def _apply_topics(self) -> None:
        settings = BusSettings(self.stack.kafka, self.choices.namespace, "operator", "local")
        declared = topics.load(ROOT / "deploy" / "topics.yaml")
        try:
            created = asyncio.run(topics.apply(settings, declared, "local"))
        except TransientError as error:
            raise LocalStackError(f"The topics could not be created: {error}.") from None
        if created:
            self._say(f"{len(created)} topics created")

    def _start(self, name: str, program: Program, port: int) -> None:
        if self.stack.processes.find(name):
            self.stack.processes.require_same(name, program.environment, program.command)
            return
        wait_free(port, name)
        if name == "inbox":
            wait_free(self._ports.inbox_control, "inbox_control")
        self._say(f"starting {name}")
        self.stack.processes.start(program)

    def _simulator(self, name: str) -> Program:
        state = str(self.stack.root / name)
        flags = {
            "inbox": ["smtp_inbox", "--control-port", str(self._ports.inbox_control)],
            "sms": ["sms_gateway"],
            "feed": ["advice_feed", *(["--picture", str(self.choices.picture)] if self.choices.picture else [])],
        }[name]  # fmt: skip
        program, *rest = flags
        command = [sys.executable, "-m", f"deploy.local.{program}", "--port", str(self._port(name)), "--state", state]
        return Program(name, [*command, *rest], ROOT, self._simulator_secrets() if name == "sms" else {})

    def _simulator_secrets(self) -> dict[str, str]:
        """What the SMS gateway needs to know; not among its arguments, which everybody on this machine can list."""
        return {
            "SMS_GATEWAY_RECEIPTS_URL": self._webhook("receipts"),
            "SMS_GATEWAY_INBOUND_URL": self._webhook("inbound"),
            "SMS_GATEWAY_PRODUCT_TOKEN": self._secrets["SMS_TOKEN"],
        }

    def _service(self, name: str) -> Program:
        command = [
            sys.executable, "-m", "uvicorn", "--factory", f"services.{name}.app:from_environment",
            "--host", HOST, "--port", str(self._port(name)), "--http", "shared.web.http_protocol:BoundedProtocol",
            "--no-server-header", "--no-access-log",
            "--log-level", "warning", "--timeout-graceful-shutdown", "10", "--forwarded-allow-ips", HOST,
        ]  # fmt: skip
        environment = {**self._environment(name), **self.choices.overrides.get(name, {})}
        return Program(name, command, ROOT, environment)

    def _environment(self, name: str) -> dict[str, str]:
        common = {
            "ENV": "local",
            "NAMESPACE": self.choices.namespace,
            "INSTANCE": f"{name}-0",
            "KAFKA_BOOTSTRAP_SERVERS": self.stack.kafka,
            "MONGO_URL": self.stack.mongo,
            "KEY_ENCRYPTION_KEY": self._secrets["KEY_ENCRYPTION_KEY"],
            "JWKS": str(self.choices.keys / "jwks.json"),
            "TOKEN_ISSUER": ISSUER,
            "TOKEN_AUDIENCE": AUDIENCE,
            "CATALOGUE_DIR": str(self.choices.catalogue),
            "TOPICS_FILE": str(ROOT / "deploy" / "topics.yaml"),
            "ROOT_PATH": f"/{name}" if self.choices.through_gateway else "",
            "REQUESTS_PER_SECOND": "0",  # one machine sends the requests of all people
        }
        own = {
            "registration": {"SWEEP_SECONDS": "2", "SCHEDULER_SECONDS": "2"},
            "safety": {
                "FEED_URL": f"http://{HOST}:{self._ports.feed}/v2/sources/nederlandwereldwijd",
                "FEED_INTERVAL_SECONDS": "2",
                "USER_AGENT_CONTACT": "mailto:safe-passage@university.example",
            },
            "notify": {
                "SERVICE_KEY": self._secrets["SERVICE_KEY"],
                "SMTP_HOST": HOST,
                "SMTP_PORT": str(self._ports.inbox),
                "SMTP_SENDER": SMTP_SENDER,
                "SMS_URL": f"http://{HOST}:{self._ports.sms}",
                "SMS_TOKEN": self._secrets["SMS_TOKEN"],
                "SMS_SENDER": SMS_SENDER,
                "ANSWER_BASE_URL": self.bases()["notify"],
                "WEBHOOK_SECRET": self._secrets["WEBHOOK_SECRET"],
                "UNKNOWN_WAIT_SECONDS": "5",
                "SWEEP_SECONDS": "2",
                # Service mail comes at any hour here, and soon.
                "QUIET_FROM_HOUR": "0",
                "QUIET_UNTIL_HOUR": "0",
                "SERVICE_MAIL_SETTLE_SECONDS": "3",
                "OFFICE_MAIL_MINUTES": "0.1",
            },
        }
        return {**common, **own.get(name, {})}

    def _webhook(self, kind: str) -> str:
        scheme, _, rest = self.bases()["notify"].partition("://")
        return f"{scheme}://cm:{self._secrets['WEBHOOK_SECRET']}@{rest}/v1/webhooks/cm/{kind}"

    def _port(self, name: str) -> int:
        return int(getattr(self._ports, name))

    def _wait(
        self, name: str, url: str, good: Callable[[dict[str, Any]], bool], tolerable: Callable[[Any], bool] = bool
    ) -> dict[str, Any]:
        """The answer once it is good, or in the end tolerable. Raises LocalStackError."""
        deadline = time.monotonic() + READY_SECONDS
        body: dict[str, Any] | None = None
        while True:
            body = _json(url)
            if body is not None and good(body):
                return body
            if self.stack.processes.ended(name):
                raise LocalStackError(
                    f"{name} ended: {self.stack.processes.last_words(name)} (see {self.stack.processes.log(name)})"
                )
            if time.monotonic() > deadline:
                if body is not None and tolerable(body):
                    return body
                raise LocalStackError(
                    f"{name} is not ready after {READY_SECONDS:.0f} s ({_failing(body or {}) or 'no answer'}; "
                    f"see {self.stack.processes.log(name)})."
                )
            time.sleep(0.1)


def _is_up(body: dict[str, Any]) -> bool:
    """Ready, or degraded only by parked records or refusing providers, which an operator settles."""
    failing = [check for check in body.get("checks", []) if not check["ok"]]
    return body.get("status") == "ready" or (
        body.get("status") == "degraded"
        and all(check["name"].startswith("provider ") or check.get("waits_for_operator") for check in failing)
    )


def _failing(body: dict[str, Any]) -> str:
    return "; ".join(f"{check['name']}: {check['detail']}" for check in body.get("checks", []) if not check["ok"])


def choose_ports() -> Ports:
    """The ports of the environment if all are free, otherwise free ones."""
    ports = Ports.from_environment()
    return ports if all(is_free(getattr(ports, name)) for name in Ports.__slots__) else Ports.free()


def _json(url: str) -> dict[str, Any] | None:
    """The JSON answer of a probe, whatever its status; None without an answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            found = json.loads(response.read())
    except urllib.error.HTTPError as error:
        try:
            found = json.loads(error.read())
        except ValueError:
            return None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _secrets(path: Path) -> dict[str, str]:
    """The secrets of this local stack, created once. They open nothing else."""
    if not path.exists():
        made = {
            "KEY_ENCRYPTION_KEY": base64.b64encode(os.urandom(32)).decode(),
            "SERVICE_KEY": base64.b64encode(os.urandom(32)).decode(),
            "WEBHOOK_SECRET": secrets.token_hex(24),
            "SMS_TOKEN": secrets.token_hex(16),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(made), encoding="utf-8")
    loaded: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
