"""A pytest plugin: collects once, then runs for each changed function the tests that reach it, each in a fork.

mutmut's own runner starts a pytest session for each change: it collects again, and that is most of its time.
The first fork notes which tests call which function. The parent runs no test, so no cache holds an old answer.
"""

import gc
import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import settings
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

#: A change that makes a loop endless is stopped after five times what its tests need, and this.
SPARE_CPU_SECONDS = 5
#: One that waits for ever is stopped after so many times its CPU time, on however busy a machine.
WALL_CLOCK = 10
CAUGHT, SURVIVED, UNREACHED, TIMED_OUT = "caught", "survived", "no test", "timed out"
_EXIT = {0: SURVIVED, 1: CAUGHT}
_BROKEN = 7


def pytest_addoption(parser: pytest.Parser) -> None:
    """The file of outcomes."""
    parser.addoption("--mutant-results", type=Path)


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Run the changes in place of the tests."""
    if session.testsfailed:
        raise session.Interrupted("collection failed")
    for item in session.items:
        _take_few_examples(item)
    file: Path = session.config.getoption("--mutant-results")
    mutants = [mutant["name"] for mutant in json.loads(Path("mutants.json").read_text(encoding="utf-8"))]
    known = _whole_lines(file)
    missing = [name for name in mutants if name not in known]
    gc.collect()
    gc.freeze()
    reached = tests_of_functions(session, file.with_suffix(".calls.json"))
    with file.open("a", encoding="utf-8") as results:
        for number, (name, outcome) in enumerate(outcomes(session, missing, reached), 1):
            results.write(json.dumps({"name": name, "outcome": outcome}) + "\n")
            results.flush()
            if number % 250 == 0:
                os.write(2, f"  mutants  {number} of {len(missing)}\n".encode())
    return True


def _whole_lines(file: Path) -> set[str]:
    """The changes whose outcome an earlier run has written; the line that it was killed in is cut off."""
    if not file.exists():
        return set()
    text = file.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    file.write_text(whole, encoding="utf-8")
    return {json.loads(line)["name"] for line in whole.splitlines()}


def _take_few_examples(item: pytest.Item) -> None:
    """A test that asks Hypothesis for hundreds of examples gets as many as the profile says, and shrinks none."""
    test = getattr(item, "obj", None)
    own = getattr(test, "_hypothesis_internal_use_settings", None)
    if own is not None:
        few = settings.get_profile("mutants")
        test._hypothesis_internal_use_settings = settings(
            own, max_examples=few.max_examples, phases=few.phases, derandomize=True, database=None, deadline=None
        )


def tests_of_functions(session: pytest.Session, file: Path) -> dict[str, list[tuple[float, int]]]:
    """For each function: the CPU seconds and the number of each test that calls it, quickest first."""
    if not file.exists():
        _, status = os.waitpid(_fork(lambda: _note_calls(session, file)), 0)
        if status:
            raise session.Failed("the tests do not pass on the unchanged code")
    calls: dict[str, list[tuple[float, int]]] = json.loads(file.read_text(encoding="utf-8"))
    return {function: sorted((seconds, number) for seconds, number in tests) for function, tests in calls.items()}


def _note_calls(session: pytest.Session, file: Path) -> int:
    set_mutant_under_test("stats")
    calls: dict[str, list[tuple[float, int]]] = {}
    for number, item in enumerate(session.items):
        state()._stats.clear()
        began = time.process_time()
        failure = _failure(session, [number])
        if failure is not None:
            os.write(2, f"{item.nodeid} fails on the unchanged code:\n{failure}\n".encode())
            return _BROKEN
        seconds = round(time.process_time() - began, 4)
        for function in state()._stats:
            calls.setdefault(function, []).append((seconds, number))
    part = file.with_suffix(".part")
    part.write_text(json.dumps(calls), encoding="utf-8")
    part.rename(file)
    return 0


def outcomes(
    session: pytest.Session, names: list[str], reached: dict[str, list[tuple[float, int]]]
) -> Iterator[tuple[str, str]]:
    """The outcome of each change, as its fork ends. As many forks run as there are processors."""
    running: dict[int, str] = {}
    for name in names:
        tests = reached.get(name.partition("__mutmut_")[0])
        if not tests:
            yield name, UNREACHED
            continue
        while len(running) >= (os.cpu_count() or 1):
            yield _wait(running)
        running[_fork(lambda name=name, tests=tests: _try(session, name, tests))] = name  # type: ignore[misc]
    while running:
        yield _wait(running)


def _wait(running: dict[int, str]) -> tuple[str, str]:
    pid, status = os.waitpid(-1, 0)
    while pid not in running:
        pid, status = os.waitpid(-1, 0)
    # A change that kills its process is noticed; a signal is the end of its time.
    return running.pop(pid), TIMED_OUT if os.WIFSIGNALED(status) else _EXIT.get(os.WEXITSTATUS(status), CAUGHT)


def _try(session: pytest.Session, name: str, tests: list[tuple[float, int]]) -> int:
    limit = int(5 * sum(seconds for seconds, _ in tests)) + SPARE_CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WALL_CLOCK * limit)
    gc.disable()  # A collection would write to every page that the forks share.
    set_mutant_under_test(name)
    return 0 if _failure(session, [number for _, number in tests]) is None else 1


def _failure(session: pytest.Session, numbers: list[int]) -> str | None:
    """What the first of these tests that fails says; None when all pass."""
    items = [session.items[number] for number in numbers]
    for item, following in zip(items, [*items[1:], None], strict=True):
        for report in runtestprotocol(item, log=False, nextitem=following):
            if report.failed:
                return report.longreprtext
    return None


def _fork(work: Callable[[], int]) -> int:
    """Run `work` in a fork that ends with its answer. What it prints is dropped."""
    pid = os.fork()
    return pid if pid else _end_with(work)


def _end_with(work: Callable[[], int]) -> NoReturn:
    code = 1  # An exception that leaves a test, like SystemExit, is noticed.
    with suppress(BaseException):
        code = work()
    os._exit(code)
