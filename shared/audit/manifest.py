"""The manifest: the end and Merkle root of every partition, signed by a party outside the operating team.

A hash chain reveals a changed event, but not a chain that an insider rewrote as a whole. The manifest does, because its
root is kept elsewhere.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.audit.chain import Fault, Finding
from shared.audit.merkle import Tree
from shared.audit.reader import Partition, Vector
from shared.errors import PermanentError

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BadManifest(PermanentError):
    """The file is not a manifest, was changed, or was signed with another key."""


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class PartitionRoot(_Part):
    """One partition: its end, and the tree over the SHA-256 of every value below it."""

    offset: int = Field(ge=0, description="After the last record")
    root: Hash = Field(description="Merkle Tree Hash, RFC 9162; the entries are the SHA-256 of the values")
    subtrees: tuple[Hash, ...] = Field(description="The complete subtrees that make the root: where a change is")


class ChainHead(_Part):
    """The end of one service's chain."""

    sequence: int = Field(ge=0)
    hash: Hash


class Manifest(_Part):
    """The signed content."""

    version: Literal[1] = 1
    at: datetime = Field(description="When the reading began, UTC")
    namespace: str
    previous: Hash | None = Field(description="SHA-256 of the manifest before, as it was signed; null: the first")
    partitions: dict[str, dict[int, PartitionRoot]] = Field(description="topic → partition")
    chains: dict[str, ChainHead] = Field(description="topic → head")
    root: Hash = Field(description="Merkle Tree Hash over one line for each partition, in order")

    def signed(self) -> bytes:
        """The bytes that the signature is over."""
        return orjson.dumps(self.model_dump(mode="json", by_alias=True), option=orjson.OPT_SORT_KEYS)

    @property
    def vector(self) -> Vector:
        """The offsets up to which the manifest covers the partitions."""
        return {
            topic: {number: part.offset for number, part in parts.items()} for topic, parts in self.partitions.items()
        }


class _File(_Part):
    manifest: Manifest
    signature: str = Field(pattern=r"^[0-9a-f]{128}$", description="Ed25519 over the canonical manifest")


@dataclass(frozen=True, slots=True)
class TreeSnapshot:
    """The Merkle tree of one partition at one offset."""

    offset: int
    root: str
    subtrees: tuple[str, ...]

    @classmethod
    def of(cls, tree: Tree) -> "TreeSnapshot":
        """A snapshot of a growing tree."""
        return cls(tree.size, tree.root().hex(), tuple(peak.hex() for _, _, peak in tree.peaks))


def make(
    trees: Mapping[Partition, TreeSnapshot],
    chains: Mapping[str, tuple[int, str]],
    *,
    at: datetime,
    namespace: str,
    previous: Manifest | None,
) -> Manifest:
    """Build the manifest of a reading."""
    parts: dict[str, dict[int, PartitionRoot]] = {}
    for (topic, number), grown in sorted(trees.items()):
        parts.setdefault(topic, {})[number] = PartitionRoot(
            offset=grown.offset, root=grown.root, subtrees=grown.subtrees
        )
    return Manifest(
        at=at,
        namespace=namespace,
        previous=hashlib.sha256(previous.signed()).hexdigest() if previous else None,
        partitions=parts,
        chains={topic: ChainHead(sequence=sequence, hash=head) for topic, (sequence, head) in chains.items()},
        root=_root(parts),
    )


def _root(parts: Mapping[str, Mapping[int, PartitionRoot]]) -> str:
    tree = Tree()
    for topic in sorted(parts):
        for number in sorted(parts[topic]):
            part = parts[topic][number]
            tree.append(f"{topic}/{number} {part.offset} {part.root}".encode())
    return tree.root().hex()


def compare(manifest: Manifest, trees: Mapping[Partition, TreeSnapshot]) -> list[Finding]:
    """Differences from the signed manifest. `trees` are those at the manifest's offsets, or at the ends if shorter."""
    findings = []
    for topic, parts in sorted(manifest.partitions.items()):
        for number, signed in sorted(parts.items()):
            found = trees.get(Partition(topic, number))
            if found is None or found.offset < signed.offset:
                end = 0 if found is None else found.offset
                detail = f"it ends at offset {end}; when the manifest was signed it ended at {signed.offset}"
                findings.append(Finding(Fault.TRUNCATED, topic, number, end, None, None, detail))
            elif found.root != signed.root:
                first, after = _first_difference(signed, found)
                detail = f"something between offsets {first} and {after - 1} is not what it was when it was signed"
                findings.append(Finding(Fault.CHANGED, topic, number, first, None, None, detail))
    return findings


def _first_difference(signed: PartitionRoot, found: TreeSnapshot) -> tuple[int, int]:
    first = 0
    widths = [1 << bit for bit in reversed(range(signed.offset.bit_length())) if signed.offset >> bit & 1]
    for width, before, now in zip(widths, signed.subtrees, found.subtrees, strict=False):
        if before != now:
            return first, first + width
        first += width
    return 0, signed.offset


def write(path: Path, manifest: Manifest, key: Ed25519PrivateKey) -> None:
    """Sign the manifest and write it. Raises BadManifest; an existing file is never overwritten."""
    signature = key.sign(manifest.signed()).hex()
    document = {"manifest": manifest.model_dump(mode="json", by_alias=True), "signature": signature}
    try:
        with path.open("xb") as file:
            file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    except OSError as error:
        raise BadManifest(f"{path} cannot be written: {error.strerror}") from None


def load(path: Path, key: Ed25519PublicKey) -> Manifest:
    """Read a manifest and check its signature with the public key. Raises BadManifest."""
    try:
        file = _File.model_validate(orjson.loads(path.read_bytes()))
        key.verify(bytes.fromhex(file.signature), file.manifest.signed())
    except OSError as error:
        raise BadManifest(f"{path} cannot be read: {error.strerror}") from None
    except (ValidationError, orjson.JSONDecodeError):
        raise BadManifest(f"{path} is not a manifest") from None
    except InvalidSignature:
        raise BadManifest(f"{path} was changed, or signed with another key") from None
    if file.manifest.root != _root(file.manifest.partitions):
        raise BadManifest(f"{path} is inconsistent: its root does not match its partitions")
    return file.manifest


def new_keys(private: Path, public: Path) -> None:
    """Create a key pair: the private file for the signer (mode 0600), the public file for those who check."""
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(private, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with public.open("xb") as file:
            file.write(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    except OSError as error:
        raise BadManifest(f"{error.filename} cannot be written: {error.strerror}") from None


def private_key(path: Path) -> Ed25519PrivateKey:
    """The signing key in a PEM file. Raises BadManifest."""
    key = _key(path, lambda content: load_pem_private_key(content, None))
    if not isinstance(key, Ed25519PrivateKey):
        raise BadManifest(f"{path} holds no Ed25519 private key")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The key that checks, in a PEM file. Raises BadManifest."""
    key = _key(path, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise BadManifest(f"{path} holds no Ed25519 public key")
    return key


def _key(path: Path, read: Callable[[bytes], object]) -> object:
    try:
        return read(path.read_bytes())
    except OSError as error:
        raise BadManifest(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadManifest(f"{path} holds no such key (PEM, no passphrase)") from None
