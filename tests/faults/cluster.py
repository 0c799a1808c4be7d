"""Three brokers and three members of a replica set, on free ports, in a folder of the test's own: one may be lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from deploy.local import jars
from deploy.local.ports import HOST, Ports, is_open
from deploy.local.processes import Processes, Program
from deploy.local.stack import QUICK_JVM, cluster_name, java, mongod
from tests.integration.simulators import until

CACHE = Path(__file__).resolve().parents[2] / ".local"
MEMBERS = (1, 2, 3)
PATIENCE_SECONDS = 90.0

_BROKER = """
process.roles=broker,controller
node.id={node}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class Brokers:
    """Three brokers (KRaft, each a controller as well); replication 3, two must be in sync."""

    def __init__(self, root: Path) -> None:
        self.processes = Processes(root)
        self._root = root
        ports = [Ports.free() for _ in MEMBERS]
        self._ports = {node: (each.kafka, each.kafka_controller) for node, each in zip(MEMBERS, ports, strict=True)}

    @property
    def bootstrap(self) -> str:
        """All three."""
        return ",".join(f"{HOST}:{port}" for port, _ in self._ports.values())

    def start(self) -> None:
        """Format and start all; ready when each accepts connections."""
        cluster = cluster_name()
        found = jars.ready(CACHE, lambda sentence: None)
        for node in MEMBERS:
            folder = self._root / f"broker-{node}"
            folder.mkdir(parents=True)
            voters = ",".join(f"{each}@{HOST}:{controller}" for each, (_, controller) in self._ports.items())
            port, controller = self._ports[node]
            (folder / "server.properties").write_text(
                _BROKER.format(node=node, host=HOST, port=port, controller=controller, voters=voters,
                               data=folder / "data"),
                encoding="utf-8",
            )  # fmt: skip
            name = f"format-{node}"
            arguments = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(folder / "server.properties")]
            self.processes.start(Program(name, [str(java()), *QUICK_JVM, "-cp", f"{found}/*", *arguments], folder))
        until(lambda: all(self.processes.ended(f"format-{node}") for node in MEMBERS), "formatted", PATIENCE_SECONDS)
        for node in MEMBERS:
            self.start_one(node)
        until(lambda: all(is_open(port) for port, _ in self._ports.values()), "three brokers", PATIENCE_SECONDS)

    def start_one(self, node: int) -> None:
        """Start one of them, again perhaps."""
        folder, found = self._root / f"broker-{node}", jars.folder(CACHE)
        command = [
            str(java()), "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", *QUICK_JVM, "-cp", f"{found}/*", "kafka.Kafka",
            str(folder / "server.properties"),
        ]  # fmt: skip
        self.processes.start(Program(f"broker-{node}", command, folder))

    def kill_one(self, node: int) -> None:
        """kill -9."""
        assert self.processes.kill(f"broker-{node}")


class ReplicaSet:
    """Three members; a majority is two."""

    def __init__(self, root: Path) -> None:
        self.processes = Processes(root)
        self._root = root
        self._ports = {member: Ports.free().mongod for member in MEMBERS}

    @property
    def url(self) -> str:
        """All three."""
        hosts = ",".join(f"{HOST}:{port}" for port in self._ports.values())
        return f"mongodb://{hosts}/?replicaSet=rs0"

    def start(self) -> None:
        """Start and join all; ready when there is a primary."""
        for member, port in self._ports.items():
            data = self._root / f"member-{member}"
            data.mkdir(parents=True)
            command = [
                str(mongod()), "--dbpath", str(data), "--bind_ip", HOST, "--port", str(port), "--replSet", "rs0",
                "--wiredTigerCacheSizeGB", "0.25", "--quiet", "--setParameter", "transactionLifetimeLimitSeconds=5",
            ]  # fmt: skip
            self.processes.start(Program(f"member-{member}", command, data))
        until(lambda: all(is_open(port) for port in self._ports.values()), "three members", PATIENCE_SECONDS)
        with pymongo.MongoClient[dict[str, object]](HOST, self._ports[1], directConnection=True) as client:
            members = [{"_id": member, "host": f"{HOST}:{port}"} for member, port in self._ports.items()]
            settings = {"electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500}
            config = {"_id": "rs0", "members": members, "settings": settings}
            client.admin.command("replSetInitiate", config)
        until(lambda: self.primary() is not None, "a primary", PATIENCE_SECONDS)

    def primary(self) -> int | None:
        """Which member is primary now."""
        for member, port in self._ports.items():
            try:
                with pymongo.MongoClient[dict[str, object]](
                    HOST, port, directConnection=True, serverSelectionTimeoutMS=500
                ) as client:
                    if client.admin.command("hello").get("isWritablePrimary"):
                        return member
            except PyMongoError:
                continue
        return None

    def kill_one(self, member: int) -> None:
        """kill -9."""
        assert self.processes.kill(f"member-{member}")


@contextmanager
def cluster(root: Path, *, brokers: bool = True, members: bool = True) -> Iterator[tuple[Brokers, ReplicaSet]]:
    """Both, or one of them; stopped afterwards."""
    kafka, mongo = Brokers(root / "kafka"), ReplicaSet(root / "mongo")
    try:
        if brokers:
            kafka.start()
        if members:
            mongo.start()
        yield kafka, mongo
    finally:
        for processes in (kafka.processes, mongo.processes):
            for name in processes.names():
                processes.kill(name)
