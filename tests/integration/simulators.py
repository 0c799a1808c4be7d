"""Starts the local stack's simulators as real processes for the tests, and plays who they talk to."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).parents[2]
FEED_SAMPLES = ROOT.parent / "shared" / "data" / "feeds" / "nl-bz"
DEADLINE_SECONDS = 60.0
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """What the condition gives once it is true; fails when it does not become true before the deadline."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"did not happen in time: {what}"
        time.sleep(0.01)
    return value


class Simulator:
    """A running simulator: `url` is its HTTP (the control port of the inbox), `port` what it serves."""

    def __init__(self, program: str, state: Path, *flags: str) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.state = state
        self._stderr = state / "stderr.log"
        offset = self._stderr.stat().st_size if self._stderr.exists() else 0
        command = [sys.executable, "-m", f"deploy.local.{program}", "--port", "0", "--state", str(state), *flags]
        with self._stderr.open("ab") as stderr:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=stderr)

        def listening() -> dict[str, int] | None:
            assert self.process.poll() is None, self.log()
            lines = self._stderr.read_text()[offset:].splitlines()
            return next((json.loads(line) for line in lines if '"event": "listening"' in line), None)

        ports = until(listening, f"{program} listening")
        self.port = ports["port"]
        address = f"http://127.0.0.1:{ports.get('control_port', self.port)}"
        self.http = httpx.Client(base_url=address, timeout=30, verify=False)

    def log(self) -> str:
        """Everything it wrote to standard error."""
        return self._stderr.read_text()

    def put(self, path: str, body: object) -> None:
        """PUT that must succeed."""
        answer = self.http.put(path, json=body)
        assert answer.status_code == 200, answer.text

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)
        self.http.close()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        code = self.process.wait(DEADLINE_SECONDS)
        self.http.close()
        return code


@contextmanager
def running(program: str, state: Path, *flags: str) -> Iterator[Simulator]:
    """A simulator that ends cleanly with the block, and never with an error of its own in its log."""
    simulator = Simulator(program, state, *flags)
    try:
        yield simulator
    finally:
        if simulator.process.poll() is None:
            assert simulator.stop() == 0, simulator.log()
        assert "Traceback" not in simulator.log(), simulator.log()


class Customer:
    """Who gets the gateway's receipts and replies: keeps them, and answers what it is told to, 200 otherwise."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[int] = []
        customer = self

        class Requests(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                customer.headers.append(dict(self.headers))
                customer.posts.append((self.path, body))
                self.send_response(customer.answers.pop(0) if customer.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def at(self, path: str, number: int = 1) -> list[dict[str, Any]]:
        """The bodies posted to this path, once there are this many."""
        return until(lambda: found if len(found := self._at(path)) >= number else None, f"{number} posts to {path}")

    def _at(self, path: str) -> list[dict[str, Any]]:
        return [body for posted, body in list(self.posts) if posted == path]

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


def failing_start(program: str, *flags: str) -> tuple[int, str]:
    """Exit code and standard error of a simulator that cannot start."""
    ended = subprocess.run(
        [sys.executable, "-m", f"deploy.local.{program}", *flags],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    return ended.returncode, ended.stderr
