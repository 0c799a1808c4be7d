"""Counts the changes that the tests caught, names the others, and holds the list of equivalent ones to the truth."""

import json
import sys
import tomllib
from collections import Counter
from pathlib import Path

from tests.mutants.tree import Mutant

LIST = Path(__file__).with_name("equivalent.toml")
NOTICED = ("caught", "timed out")


def report(mutants: list[Mutant], results: Path, goal: float, *, whole: bool) -> int:
    """Print the survivors and the share that is caught. Exit code 1 below the goal, or when the list is wrong.

    The share does not count equivalent changes. Entries about modules that this run left out are not checked.
    """
    lines = results.read_text(encoding="utf-8").splitlines()
    outcome = {result["name"]: result["outcome"] for result in map(json.loads, lines)}
    entries = tomllib.loads(LIST.read_text(encoding="utf-8")).get("equivalent", [])
    files = {mutant.file for mutant in mutants}
    by_entry = {key(entry): entry for entry in entries if whole or entry["file"] in files}
    equivalent = [mutant for mutant in mutants if outcome[mutant.name] not in NOTICED and _key(mutant) in by_entry]
    counted = [mutant for mutant in mutants if mutant not in set(equivalent)]
    survivors = [mutant for mutant in counted if outcome[mutant.name] not in NOTICED]
    for mutant in survivors:
        say(f"{mutant.file}:{mutant.line}  {mutant.function}  ({outcome[mutant.name]})")
        say(f"    - {mutant.old}\n    + {mutant.new}")
    stale = by_entry.keys() - {_key(mutant) for mutant in equivalent}
    for file, function, old, new in sorted(stale):
        say(f"{LIST.name}: no surviving change of {file}, {function} is `{old}` → `{new}`: take the entry out.")
    for area, number in sorted(Counter(_area(mutant) for mutant in counted).items()):
        left = sum(_area(mutant) == area for mutant in survivors)
        say(f"{area:32} {number:6} changes, {number - left:6} caught, {left:5} survived, {1 - left / number:6.1%}")
    share = 1 - len(survivors) / max(1, len(counted))
    timed_out = sum(outcome[mutant.name] == "timed out" for mutant in mutants)
    say(f"{share:.1%} of {len(counted)} caught ({timed_out} by time), {len(equivalent)} equivalent. Goal: {goal:.0%}.")
    return int(share < goal or bool(stale))


def key(entry: dict[str, str]) -> tuple[str, str, str, str]:
    """What names a change in the list: it has no line number, so that edits elsewhere leave it valid."""
    if not entry["why"].strip():
        raise ValueError(f"{LIST.name}: the entry about {entry['file']}, {entry['function']} says no reason")
    return entry["file"], entry["function"], entry["old"], entry["new"]


def _key(mutant: Mutant) -> tuple[str, str, str, str]:
    return mutant.file, mutant.function, mutant.old, mutant.new


def _area(mutant: Mutant) -> str:
    parts = mutant.file.split("/")
    return "/".join(parts[: 3 if parts[0] == "services" and len(parts) > 3 else 2])


def say(text: str) -> None:
    """Write a line of the report."""
    sys.stdout.write(text + "\n")
