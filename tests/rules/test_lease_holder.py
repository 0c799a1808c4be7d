"""Names of lease holders: unique whatever the settings say, and honest about processes that have ended."""

import os
import subprocess
import sys

from shared.mongo.holder import described, has_ended, new_holder

SAY_NAME = "from shared.mongo.holder import new_holder; print(new_holder('same'))"


def test_two_names_with_one_label_differ() -> None:
    """Within a process, and between two processes of one machine."""
    names = [new_holder("same") for _ in range(100)]

    assert len({*names, _name_of_another_process()}) == 101


def test_holder_that_lives_has_not_ended() -> None:
    """This process, and any that this machine knows nothing about: nobody takes its lease early."""
    own = new_holder("same")
    label, machine, _, start, token = own.split("|")

    assert not has_ended(own)
    for unknown in ("", "approval-0", f"{label}|elsewhere|1|{start}|{token}", f"{label}|{machine}|1||{token}", "||||"):
        assert not has_ended(unknown)


def test_holder_that_ended_has_ended() -> None:
    """Also when its process id was given to another process since."""
    ended = _name_of_another_process()
    label, machine, _, start, token = ended.split("|")

    assert has_ended(ended)
    assert has_ended(f"{label}|{machine}|{os.getpid()}|{int(start) + 1}|{token}")


def test_holder_is_described_for_people() -> None:
    """By process and host; an older version's names too."""
    assert described("x|host-1/boot/pid|17|5|abc") == "process 17 on host-1"
    assert described("approval-0") == "another process"


def _name_of_another_process() -> str:
    return subprocess.run([sys.executable, "-c", SAY_NAME], check=True, capture_output=True, text=True).stdout.strip()
