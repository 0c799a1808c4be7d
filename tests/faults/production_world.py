"""The parts of compose.yaml without containers: the same properties, arguments, environments, logins and certificates.

Only names of hosts, ports and paths differ: the containers' are replaced by those of this machine.
"""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pymongo

from deploy.local import jars
from deploy.local.ports import HOST, is_open
from deploy.local.processes import Processes, Program
from deploy.local.stack import QUICK_JVM, java, mongod
from tests.abuse.compose_world import DEPLOY, SERVICES, Deployment

ROOT = DEPLOY.parent
PATIENCE_SECONDS = 180.0
PORTS = (9092, 9093, 9094, 27017, 8001, 8002, 8003, 8004)


class Production:
    """A small production. `port_of`: port in the containers → port here; 8001 to 8004 are the services'."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.folder = deployment.folder
        self.processes = Processes(deployment.folder)
        self.port_of = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))

    @property
    def kafka(self) -> str:
        """Where services reach Kafka."""
        return f"localhost:{self.port_of[9092]}"

    @property
    def authority(self) -> Path:
        """The certificate of the deployment's authority."""
        return self.folder / "tls" / "ca.pem"

    def base(self, service: str) -> str:
        """The service's address, without the gateway."""
        return f"http://{HOST}:{self.port_of[8001 + SERVICES.index(service)]}"

    def mongo_url(self, user: str, password: str) -> str:
        """A connection string with this login."""
        host = f"localhost:{self.port_of[27017]}"
        return f"mongodb://{user}:{password}@{host}/?replicaSet=rs0&tls=true&tlsCAFile={self.authority}"

    def environment(self, name: str, **changes: str) -> dict[str, str]:
        """What compose gives the container, with this machine's names."""
        return {key: self._here(value) for key, value in self.deployment.on_this_machine(name, **changes).items()}

    def start_kafka(self) -> None:
        """As the image does: its own wrapper makes the properties and formats the log; the second time it is there."""
        found = jars.ready(ROOT / ".local", lambda sentence: None)
        configuration = self.folder / "kafka-config"
        configuration.mkdir(exist_ok=True)
        (self.folder / "kafka-defaults").mkdir(exist_ok=True)
        run = [str(java()), *QUICK_JVM, "-cp", f"{found}/*"]
        folders = [
            f"--default-configs-dir={self.folder / 'kafka-defaults'}",
            f"--mounted-configs-dir={self.folder / 'kafka-mounted'}",
            f"--final-configs-dir={configuration}",
        ]
        given = {"CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw", **self.environment("kafka")}
        made = subprocess.run(
            [*run, "kafka.docker.KafkaDockerWrapper", "setup", *folders],
            env=given, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0 or "already formatted" in made.stdout + made.stderr, made.stderr[-2_000:]
        command = [*run[:1], "-Xmx512m", *run[1:], "kafka.Kafka", str(configuration / "server.properties")]
        self.processes.start(Program("kafka", command, self.folder))
        self.wait("kafka", lambda: is_open(self.port_of[9092]))

    def start_mongod(self) -> None:
        """As the image does: root is made while nobody else can come, then the command of compose."""
        data = self.folder / "mongo"
        if not data.exists():
            data.mkdir()
            plain = ["--dbpath", str(data), "--port", str(self.port_of[27017]), "--bind_ip", HOST]
            self.processes.start(Program("mongod-first", [str(mongod()), *plain], self.folder))
            self.wait("mongod-first", lambda: is_open(self.port_of[27017]))
            given = self.deployment.environment("mongo")
            user, password = given["MONGO_INITDB_ROOT_USERNAME"], given["MONGO_INITDB_ROOT_PASSWORD"]
            with pymongo.MongoClient[dict[str, Any]](HOST, self.port_of[27017]) as client:
                client.admin.command("createUser", user, pwd=password, roles=["root"])
            self.processes.stop("mongod-first")
        key = self.folder / "member.key"
        key.touch(mode=0o600)
        key.write_text(self.deployment.variables["MONGO_MEMBER_KEY"])
        _, *arguments = self.deployment.service("mongo")["command"]
        arguments.remove("--bind_ip_all")
        mounts = {"/tmp/member.key": str(key)} | {
            inside: str(self.folder / outside) for inside, outside in self.deployment.mounts("mongo").items()
        }
        for inside, outside in mounts.items():
            arguments = [argument.replace(inside, outside) for argument in arguments]
        own = ["--dbpath", str(data), "--port", str(self.port_of[27017]), "--bind_ip", HOST]
        self.processes.start(Program("mongod", [str(mongod()), *arguments, *own], self.folder))
        self.wait("mongod", lambda: is_open(self.port_of[27017]))

    def set_up(self, **changes: str) -> str:
        """What the container `setup` does; returns what it says."""
        command = " ".join(self.deployment.service("setup")["command"][2:]).replace("python ", f"{sys.executable} ")
        bins = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        given = {"PATH": bins, "TOPICS_FILE": str(DEPLOY / "topics.yaml"), **self.environment("setup", **changes)}
        done = subprocess.run(
            ["sh", "-c", command], cwd=ROOT, env=given, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_service(self, name: str, **changes: str) -> None:
        """The image's command with the container's environment."""
        dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
        [command] = re.findall(r'^CMD \["sh", "-c", "exec python (.*)"\]$', dockerfile, re.MULTILINE)
        given = {"TOPICS_FILE": str(DEPLOY / "topics.yaml"), **self.environment(name, **changes)}
        port = self.base(name).rpartition(":")[2]
        command = command.replace("${SERVICE:?name the service}", given["SERVICE"]).replace("8000", port)
        program = [sys.executable, *shlex.split(command.replace("0.0.0.0", HOST))]
        self.processes.start(Program(name, program, ROOT, given))

    def checks(self, service: str) -> dict[str, bool]:
        """The checks of `/readyz`; empty while it does not answer."""
        try:
            answer = httpx.get(f"{self.base(service)}/readyz", timeout=10).json()
        except (httpx.HTTPError, ValueError):
            return {}
        return {check["name"]: check["ok"] for check in answer["checks"]}

    def wait(self, name: str, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; fail with the program's last words when it ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert not self.processes.ended(name), f"{name}: {self.processes.last_words(name)}"
            assert time.monotonic() < deadline, f"{name}: {self.processes.last_words(name)}"
            time.sleep(0.1)

    def _here(self, value: str) -> str:
        for inside, outside in self.port_of.items():
            value = value.replace(f"CLIENTS://:{inside}", f"CLIENTS://{HOST}:{outside}")
            value = re.sub(
                rf"(kafka|mongo|127\.0\.0\.1):{inside}\b", lambda match, to=outside: _host(match[1], to), value
            )
        return value


def _host(name: str, port: int) -> str:
    return f"{HOST if name == HOST else 'localhost'}:{port}"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for opened in sockets:
            opened.bind((HOST, 0))
        return [opened.getsockname()[1] for opened in sockets]
    finally:
        for opened in sockets:
            opened.close()


@contextmanager
def running(deployment: Deployment) -> Iterator[Production]:
    """Kafka and MongoDB of the deployment, started and set up; stops everything at the end."""
    production = Production(deployment)
    try:
        production.start_kafka()
        production.start_mongod()
        production.set_up()
        yield production
    finally:
        for name in (*SERVICES, "kafka", "mongod", "mongod-first"):
            production.processes.stop(name)
