"""Shards of an alert: equal ranges of the hash of a personId, the same on every machine.

One selection, and one send job for each channel, covers one shard (docs/decisions/0004-shards-are-ranges.md).
"""

import hashlib

HASH_BITS = 32
#: Entries of one event: so many fit into 256 kB, however long the names of places and a provider's words are.
MAX_EVENT_ENTRIES = 250
#: Registrations of one shard, about; and the largest shard when an alert would get more than MANY_SHARDS.
SHARD_SIZE, LARGEST_SHARD, MANY_SHARDS = 400, 2_000, 250


def digest(identity: str) -> bytes:
    """Twelve bytes that stand for an id. Digests of persons have the same order as their hashes."""
    return hashlib.sha256(identity.encode()).digest()[:12]


def person_hash(person_id: str) -> int:
    """The hash of a person: the first four bytes of SHA-256."""
    return int.from_bytes(digest(person_id)[:4], "big")


def shard_of(hash_: int, shard_count: int) -> int:
    """The shard of a hash."""
    return hash_ * shard_count >> HASH_BITS


def shard_range(shard: int, shard_count: int) -> tuple[int, int]:
    """The first hash of a shard, and the first hash after it."""
    size = 1 << HASH_BITS
    return -(-shard * size // shard_count), -(-(shard + 1) * size // shard_count)


def shard_count_for(registrations: int, shard_size: int = SHARD_SIZE) -> int:
    """How many shards an alert gets. Small shards, so that the first messages leave at once; larger ones for many."""
    size = min(LARGEST_SHARD, max(shard_size, registrations // MANY_SHARDS))
    return max(1, -(-registrations // size))
