"""Shards of an alert: equal ranges of the hash of a personId, the same on every machine."""

import hashlib

HASH_BITS = 32
#: So many people fit into one event, however long their places' names and a provider's words are.
MOST_ENTRIES = 250


def digest(identity: str) -> bytes:
    """Twelve bytes instead of an id, the same on every machine; those of persons are in the order of their hashes."""
    return hashlib.sha256(identity.encode()).digest()[:12]


def person_hash(person_id: str) -> int:
    """Where a person stands on the ring of 2^32: the first four bytes of SHA-256. The same on every machine."""
    return int.from_bytes(digest(person_id)[:4], "big")


def shard_of(hash_: int, shard_count: int) -> int:
    """The shard of a hash: shards are equal ranges of it (docs/decisions/0004-shards-are-ranges.md)."""
    return hash_ * shard_count >> HASH_BITS


def shard_range(shard: int, shard_count: int) -> tuple[int, int]:
    """First hash of a shard, and first hash after it."""
    size = 1 << HASH_BITS
    return -(-shard * size // shard_count), -(-(shard + 1) * size // shard_count)
