"""Makes the replica set, and the logins of the services at Kafka and MongoDB. compose runs it in `setup` at each start.

Idempotent: a second run sets the passwords that changed and changes nothing else. It comes to Kafka over the broker's
own loopback address, where no login is asked for, and to MongoDB as root.
"""

import os
import sys
import time
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka import admin as kafka_admin
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

SERVICES = ("approval", "registration", "safety", "notify")
#: Who reads the log with credentials of their own; has no login at MongoDB.
AUDITOR = "auditor"
#: Of every service: the keys of persons lie in one database.
SHARED_DATABASE = "keyring"
ITERATIONS = 8_192
PATIENCE_SECONDS = 120.0
NOT_INITIATED, USER_EXISTS = 94, 51003


def make_kafka_logins(bootstrap_servers: str, passwords: dict[str, str]) -> None:
    """Set the password of each user for SCRAM-SHA-512. Raises KafkaException."""
    scram: Any = kafka_admin  # its stubs leave these classes out
    info = scram.ScramCredentialInfo(scram.ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    wanted = [scram.UserScramCredentialUpsertion(user, info, password.encode()) for user, password in passwords.items()]
    client = kafka_admin.AdminClient({"bootstrap.servers": bootstrap_servers, "client.id": "setup"})
    for future in client.alter_user_scram_credentials(wanted, request_timeout=30).values():
        future.result()


def make_mongo_logins(url: str, member: str, namespace: str, passwords: dict[str, str]) -> None:
    """Make the replica set of `member` (host:port) if it is new, then a user for each service. Raises PyMongoError.

    A user reads and writes the database of its service and the one with the keys, and no other.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=30_000)
    try:
        _initiate(client, member)
        for user, password in passwords.items():
            roles = [{"role": "readWrite", "db": f"{namespace}{name}"} for name in (user, SHARED_DATABASE)]
            try:
                client.admin.command("createUser", user, pwd=password, roles=roles)
            except OperationFailure as error:
                if error.code != USER_EXISTS:
                    raise
                client.admin.command("updateUser", user, pwd=password, roles=roles)
    finally:
        client.close()


def _initiate(client: MongoClient[dict[str, Any]], member: str) -> None:
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code != NOT_INITIATED:
            raise
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": member}]})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not client.admin.command("hello")["isWritablePrimary"]:
        if time.monotonic() > deadline:
            raise OperationFailure(f"{member} does not become the primary")
        time.sleep(0.2)


def main() -> None:
    """Read the environment that compose gives. Exit 1, with one sentence, when something failed."""
    passwords = {name: os.environ[f"{name.upper()}_PASSWORD"] for name in (*SERVICES, AUDITOR)}
    try:
        make_kafka_logins(os.environ["KAFKA_BOOTSTRAP_SERVERS"], passwords)
        of_services = {name: passwords[name] for name in SERVICES}
        make_mongo_logins(
            os.environ["MONGO_URL"], os.environ["MONGO_MEMBER"], os.environ.get("NAMESPACE", ""), of_services
        )
    except (KafkaException, PyMongoError) as error:
        # The text of an error may quote a URL with its password.
        sys.exit(f"setup failed: {type(error).__name__}; see the logs of kafka and mongo, it is tried again")
    sys.stdout.write("logins and replica set are there\n")


if __name__ == "__main__":
    main()
