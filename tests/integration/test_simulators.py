"""Behaviour of all three simulators: start, refuse, stop, and log no message content."""

import smtplib
import socket
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.integration.simulators import failing_start, running

PROGRAMS = {"smtp_inbox": ("--control-port", "0"), "sms_gateway": (), "advice_feed": ()}


@pytest.mark.parametrize("program", PROGRAMS)
def test_simulator_sigterm_ends_cleanly(program: str, tmp_path: Path) -> None:
    """It answers /healthz, ends with 0 on SIGTERM and says so."""
    with running(program, tmp_path, *PROGRAMS[program]) as simulator:
        health = simulator.get("/healthz")

        code = simulator.stop()

    assert health["status"] == "ok"
    assert code == 0
    assert '"event": "stopped"' in simulator.log()


@pytest.mark.parametrize("program", PROGRAMS)
def test_simulator_port_taken_says_so_in_one_line(program: str, tmp_path: Path) -> None:
    """A port in use is one line and exit code 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        code, said = failing_start(program, "--port", port, "--state", str(tmp_path), *PROGRAMS[program])

    assert code == 1
    assert len(said.splitlines()) == 1
    assert '"event": "cannot_start"' in said


@pytest.mark.parametrize("program", PROGRAMS)
def test_faults_unknown_name_is_refused_by_name(program: str, tmp_path: Path) -> None:
    """A misspelt fault never passes for a fault that is set."""
    with running(program, tmp_path, *PROGRAMS[program]) as simulator:
        unknown = simulator.http.put("/faults", json={"explode": 1})
        no_json = simulator.http.put("/faults", content=b"{")
        in_force = simulator.get("/faults")
        simulator.put("/faults", in_force)

    assert unknown.status_code == 400
    assert "explode" in unknown.json()["error"]
    assert no_json.status_code == 400
    assert "explode" not in in_force


def test_simulators_log_holds_nothing_personal(tmp_path: Path) -> None:
    """Neither an address nor a number nor a word of a message is written to standard error."""
    mail = EmailMessage()
    mail["Subject"] = "canary-subject"
    mail.set_content("canary-body")
    sms = {
        "from": "UniAlert",
        "to": [{"number": "0031600000042"}],
        "body": {"type": "auto", "content": "canary-body"},
        "reference": "a1",
    }

    with running("smtp_inbox", tmp_path / "smtp", "--control-port", "0") as inbox:
        with smtplib.SMTP("127.0.0.1", inbox.port) as smtp:
            smtp.send_message(mail, "bounce@university.example", ["canary-address@example.org"])
        inbox.get("/messages")
    with running("sms_gateway", tmp_path / "sms", "--product-token", "canary-token") as gateway:
        answer = gateway.http.post(
            "/v1.0/message", json={"messages": {"msg": [sms]}}, headers={"X-CM-PRODUCTTOKEN": "canary-token"}
        )

    log = inbox.log() + gateway.log()
    assert answer.status_code == 200
    assert '"event": "stored"' in log
    assert '"event": "accepted"' in log
    assert "canary" not in log
    assert "600000042" not in log
