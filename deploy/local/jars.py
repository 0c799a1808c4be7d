"""Kafka's jars: fetched once by jgo into the cache folder, and compared with committed checksums every time."""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.stack_lock import locked

KAFKA_VERSION = "4.3.1"
COORDINATES = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-reload4j:1.7.36")
CHECKSUMS = Path(__file__).with_name("kafka.sha256")
PROGRESS_SECONDS = 5.0


def folder(cache: Path) -> Path:
    """The folder of this version's jars below the cache folder (`.local`)."""
    return cache / "kafka" / KAFKA_VERSION


def ready(cache: Path, say: Callable[[str], None], checksums: Path = CHECKSUMS) -> Path:
    """The folder with exactly the jars of the checksum file; fetches them the first time (46 MB).

    Raises LocalStackError when a jar differs from its committed checksum, or cannot be fetched.
    """
    jars = folder(cache)
    with locked(cache / "kafka" / "lock", "another start fetches Kafka's jars"):
        if not jars.is_dir():
            say(f"fetching Kafka {KAFKA_VERSION} (46 MB, only this once)")
            _fetch(cache, jars, say, checksums)
            return jars
        _verify(jars, checksums)
    return jars


def _fetch(cache: Path, jars: Path, say: Callable[[str], None], checksums: Path) -> None:
    partial = jars.with_name(f"{jars.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    repository = cache / "kafka" / "maven"
    with _progress(repository, say):
        found = _resolve(repository)
    for jar in found:
        shutil.copyfile(jar, partial / jar.name)
    _verify(partial, checksums)
    partial.rename(jars)
    shutil.rmtree(repository, ignore_errors=True)


def _resolve(repository: Path) -> list[Path]:
    import requests
    from jgo.maven import MavenContext
    from jgo.parse import Coordinate

    # Not jgo.build: that fetches a whole JDK to tell modules from jars, and Kafka wants all on its class path anyway.
    context = MavenContext(repo_cache=repository, timeout=30)
    wanted = [replace(Coordinate.parse(text), scope="compile") for text in COORDINATES]
    try:
        named, further = context.resolver.resolve([context.create_dependency(coordinate) for coordinate in wanted])
        needed = [*named, *(jar for jar in further if jar.scope in ("compile", "runtime"))]
        with ThreadPoolExecutor(4) as fetching:
            return sorted(fetching.map(lambda each: Path(each.artifact.resolve()), needed))
    except (requests.RequestException, RuntimeError, ValueError) as error:
        raise LocalStackError(
            f"Kafka's jars cannot be fetched ({str(error).splitlines()[0][:200]}): check the network and try again, "
            "or set KAFKA_BOOTSTRAP_SERVERS to a Kafka that runs elsewhere."
        ) from None


def _verify(jars: Path, checksums: Path) -> None:
    lines = [line.split() for line in checksums.read_text(encoding="utf-8").splitlines() if line]
    wanted = {name: checksum for checksum, name in lines}
    found = {jar.name: _sha256(jar) for jar in jars.glob("*.jar")}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        how = "is missing" if name not in found else "is not expected" if name not in wanted else "differs"
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise LocalStackError(
            f"{jars / name} {how}{more}, by the checksums in {checksums.name}: "
            f"delete the folder {jars} and start again to fetch it anew."
        )


def _sha256(jar: Path) -> str:
    with jar.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _progress(repository: Path, say: Callable[[str], None]) -> Iterator[None]:
    done = threading.Event()

    def report() -> None:
        while not done.wait(PROGRESS_SECONDS):
            size = sum(jar.stat().st_size for jar in repository.rglob("*.jar"))
            say(f"fetching Kafka: {size / 1e6:.0f} MB so far")

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()
