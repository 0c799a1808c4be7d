"""The manifest: RFC 9162's vectors, good and bad signatures, and the changes that only a manifest reveals."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from shared.audit import manifest
from shared.audit.chain import Fault
from shared.audit.manifest import BadManifest, TreeSnapshot
from shared.audit.merkle import Tree, leaf_hash, node_hash

#: Entries and roots of the reference implementation of RFC 6962 and RFC 9162 (certificate-transparency,
#: merkletree/merkle_tree_test.cc): the root over the first n entries.
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
TOPIC = "travel.advice.v1"


def recursive(entries: list[bytes]) -> bytes:
    """Section 2.1.1 literally: split at the largest power of two below n."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return leaf_hash(entries[0])
    split = 1 << (len(entries) - 1).bit_length() - 1
    return node_hash(recursive(entries[:split]), recursive(entries[split:]))


def grown(*entries: bytes) -> TreeSnapshot:
    """The tree over these entries."""
    tree = Tree()
    for entry in entries:
        tree.append(entry)
    return TreeSnapshot.of(tree)


def test_merkle_empty_tree_is_the_hash_of_nothing() -> None:
    """MTH({}) = SHA-256()."""
    assert Tree().root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_merkle_roots_are_those_of_the_reference() -> None:
    """Roots after each entry equal the reference values."""
    tree, roots = Tree(), []
    for entry in ENTRIES:
        tree.append(bytes.fromhex(entry))
        roots.append(tree.root().hex())

    assert roots == ROOTS


@given(st.lists(st.binary(max_size=4), max_size=70))
def test_merkle_grown_tree_equals_the_definition(entries: list[bytes]) -> None:
    """The incremental tree equals the recursive definition for any number of entries."""
    assert grown(*entries).root == recursive(entries).hex()


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A key pair in files."""
    private, public = tmp_path / "audit.key", tmp_path / "audit.pub"
    manifest.new_keys(private, public)
    return private, public


def made(tree: TreeSnapshot) -> manifest.Manifest:
    """A manifest of one partition."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return manifest.make({(TOPIC, 0): tree}, {TOPIC: (3, "ab" * 32)}, at=at, namespace="", previous=None)


def test_manifest_signed_is_read_back(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """A signed manifest is read back with its offsets; only the owner may read the private key file."""
    file = tmp_path / "manifest.json"
    manifest.write(file, made(grown(b"a", b"b", b"c")), manifest.private_key(keys[0]))

    assert manifest.load(file, manifest.public_key(keys[1])).vector == {TOPIC: {0: 3}}
    assert keys[0].stat().st_mode & 0o077 == 0


def test_manifest_changed_foreign_or_missing_is_refused(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """A changed digit, another key, a missing or existing file: each is refused in one sentence."""
    file = tmp_path / "manifest.json"
    manifest.write(file, made(grown(b"a")), manifest.private_key(keys[0]))
    other = tmp_path / "other.key", tmp_path / "other.pub"
    manifest.new_keys(*other)
    changed = tmp_path / "changed.json"
    changed.write_text(file.read_text().replace('"offset": 1', '"offset": 2'))
    junk = tmp_path / "junk.json"
    junk.write_text("{}")

    for path, key in ((changed, keys[1]), (file, other[1]), (tmp_path / "none", keys[1]), (junk, keys[1])):
        with pytest.raises(BadManifest):
            manifest.load(path, manifest.public_key(key))
    for key in (keys[0], junk, tmp_path / "none"):
        with pytest.raises(BadManifest):
            manifest.public_key(key)
    with pytest.raises(BadManifest):
        manifest.write(file, made(grown(b"a")), manifest.private_key(keys[0]))


@pytest.mark.parametrize(
    ("found", "fault", "offset"),
    [
        (grown(b"a", b"b", b"c", b"d", b"X"), Fault.CHANGED, 4),
        (grown(b"a", b"X", b"c", b"d", b"e"), Fault.CHANGED, 0),
        (grown(b"a", b"b", b"c"), Fault.TRUNCATED, 3),
    ],
    ids=["last", "among the first four", "tail cut off"],
)
def test_manifest_shows_a_rewritten_or_shortened_partition(found: TreeSnapshot, fault: Fault, offset: int) -> None:
    """Even with a whole new chain: the root was kept elsewhere, and the subtrees narrow the place down."""
    signed = made(grown(b"a", b"b", b"c", b"d", b"e"))

    findings = manifest.compare(signed, {(TOPIC, 0): found})

    assert [(finding.fault, finding.offset) for finding in findings] == [(fault, offset)]
    assert manifest.compare(signed, {(TOPIC, 0): grown(b"a", b"b", b"c", b"d", b"e")}) == []
    assert [finding.fault for finding in manifest.compare(signed, {})] == [Fault.TRUNCATED]


def test_manifest_whose_parts_contradict_each_other_is_refused_though_it_is_signed(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    """A signer's mistake, and a field that the signature does not cover."""
    signer, checker = manifest.private_key(keys[0]), manifest.public_key(keys[1])
    inconsistent, extended = tmp_path / "inconsistent.json", tmp_path / "extended.json"
    manifest.write(inconsistent, made(grown(b"a")).model_copy(update={"root": "0" * 64}), signer)
    manifest.write(extended, made(grown(b"a")), signer)
    extended.write_text(extended.read_text().replace('"namespace"', '"remark": "all is well", "namespace"'))

    with pytest.raises(BadManifest, match="inconsistent"):
        manifest.load(inconsistent, checker)
    with pytest.raises(BadManifest, match="not a manifest"):
        manifest.load(extended, checker)


def test_manifest_names_the_one_before_and_the_place_of_every_root() -> None:
    """Its root changes with the topic, the partition and the end, not with the roots of the partitions alone."""
    at, tree = datetime(2026, 3, 1, tzinfo=UTC), grown(b"a")
    longer = TreeSnapshot(2, tree.root, tree.subtrees)
    places = [{(TOPIC, 0): tree}, {(TOPIC, 1): tree}, {("travel.approval.v1", 0): tree}, {(TOPIC, 0): longer}]
    roots = {manifest.make(trees, {}, at=at, namespace="", previous=None).root for trees in places}
    first = made(tree)

    second = manifest.make({(TOPIC, 0): tree}, {}, at=at, namespace="", previous=first)

    assert len(roots) == len(places)
    assert (first.previous, second.previous) == (None, hashlib.sha256(first.signed()).hexdigest())


def test_new_keys_replace_no_key(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """Neither the private nor the public one: their manifests would check no more."""
    before = [key.read_bytes() for key in keys]

    for private, public in ((keys[0], tmp_path / "new.pub"), (tmp_path / "new.key", keys[1])):
        with pytest.raises(BadManifest, match="cannot be written"):
            manifest.new_keys(private, public)

    assert [key.read_bytes() for key in keys] == before


def test_key_of_another_kind_is_refused(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """A key for encryption, and each of a pair in the place of the other."""
    other = X25519PrivateKey.generate()
    private, public = tmp_path / "other.key", tmp_path / "other.pub"
    private.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    for read, path in (
        (manifest.private_key, private), (manifest.private_key, keys[1]),
        (manifest.public_key, public), (manifest.public_key, keys[0]),
    ):  # fmt: skip
        with pytest.raises(BadManifest, match="holds no"):
            read(path)
