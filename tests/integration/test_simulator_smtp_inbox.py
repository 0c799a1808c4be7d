"""The SMTP inbox over raw sockets: what it stores, what it answers, and each of its faults."""

import email
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.simulators import Simulator, running, until


class Session:
    """One SMTP connection, byte by byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._lines = self.socket.makefile("rb")
        self.reply()
        self.write("EHLO test.example\r\n")
        self.announced = self.reply()

    def write(self, text: str | bytes) -> None:
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def reply(self) -> list[str]:
        """The lines of the next reply; empty when the connection has ended."""
        lines: list[str] = []
        while line := self._lines.readline().decode():
            lines.append(line.rstrip())
            if line[3:4] != "-":
                break
        return lines

    def codes(self, number: int) -> list[str]:
        """The codes of the next replies; "" for a connection that has ended."""
        return [reply[-1][:3] if (reply := self.reply()) else "" for _ in range(number)]

    def send(self, recipient: str, name: str = "m") -> list[str]:
        """One mail in one go; codes of MAIL, RCPT, DATA and the verdict."""
        self.write(envelope(recipient))
        codes = self.codes(3)
        if codes[2] == "354":
            self.write(content(name) + b".\r\n")
            codes += self.codes(1)
        return codes

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


def envelope(*recipients: str) -> bytes:
    lines = ["MAIL FROM:<bounce+1@university.example> BODY=8BITMIME SIZE=200"]
    lines += [f"RCPT TO:<{recipient}>" for recipient in recipients]
    return "".join(f"{line}\r\n" for line in [*lines, "DATA"]).encode()


def content(name: str) -> bytes:
    headers = f"Message-ID:\r\n <{name}@university.example>\r\nSubject: Reisadvies\r\n"
    return f"{headers}\r\ngewijzigd: Andalusië\r\n".encode()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running("smtp_inbox", tmp_path_factory.mktemp("inbox"), "--control-port", "0") as simulator:
        yield simulator


@pytest.fixture
def inbox(process: Simulator) -> Simulator:
    """The inbox, empty and without faults."""
    process.put("/faults", {})
    for file in (process.state / "maildir").glob("*/*"):
        file.unlink()
    return process


@pytest.fixture
def session(inbox: Simulator) -> Iterator[Session]:
    opened = Session(inbox.port)
    yield opened
    opened.close()


def ids(inbox: Simulator) -> list[str]:
    return [message["message_id"].strip("<>").partition("@")[0] for message in inbox.get("/messages")]


def test_inbox_pipelined_mails_answers_in_order_and_stores_all(inbox: Simulator, session: Session) -> None:
    """MAIL, RCPT, DATA in one write, then body and the next three in one write: PIPELINING is announced rightly."""
    announced = {line[4:].split()[0] for line in session.announced}
    session.write(envelope("s1@example.org"))
    first = session.codes(3)
    session.write(content("one") + b".\r\n" + envelope("s2@example.org", "refused@example.org", "s3@example.org"))
    second = session.codes(6)
    session.write(content("two") + b".\r\nQUIT\r\n")
    last = session.codes(2)

    assert {"PIPELINING", "8BITMIME", "SIZE"} <= announced
    assert first == ["250", "250", "354"]
    assert second == ["250", "250", "250", "250", "250", "354"]
    assert last == ["250", "221"]
    assert ids(inbox) == ["one", "two", "two", "two"]


def test_inbox_file_is_the_message_behind_its_envelope(inbox: Simulator, session: Session) -> None:
    """One file per recipient: Return-Path, Delivered-To, then the bytes as sent, dots unstuffed, 8-bit kept."""
    body = content("m") + b".een punt\r\n"
    session.write(envelope("s1@example.org", "s2@example.org"))
    session.codes(4)
    session.write(content("m") + b"..een punt\r\n.\r\n")
    verdict = session.codes(1)

    files = list((inbox.state / "maildir" / "new").iterdir())
    listed = inbox.get("/messages")
    assert verdict == ["250"]
    assert {file.read_bytes() for file in files} == {
        f"Return-Path: <bounce+1@university.example>\r\nDelivered-To: {to}\r\n".encode() + body
        for to in ("s1@example.org", "s2@example.org")
    }
    assert [message["to"] for message in listed] == ["s1@example.org", "s2@example.org"]
    assert {message["size"] for message in listed} == {len(body)}
    assert email.message_from_bytes(files[0].read_bytes())["Subject"] == "Reisadvies"
    assert not list((inbox.state / "maildir" / "tmp").iterdir())


def test_inbox_messages_survive_being_read_and_limit_gives_the_newest(inbox: Simulator, session: Session) -> None:
    """A mail that a reader moved to cur/ stays listed; limit=1 is the newest."""
    session.send("s1@example.org", "one")
    session.send("s1@example.org", "two")
    (oldest, _) = sorted((inbox.state / "maildir" / "new").iterdir())
    oldest.rename(inbox.state / "maildir" / "cur" / f"{oldest.name}:2,S")

    everything, newest = inbox.get("/messages"), inbox.get("/messages", limit=1)

    assert [message["message_id"] for message in everything] == ["<one@university.example>", "<two@university.example>"]
    assert everything[0]["file"].startswith("cur/")
    assert [message["message_id"] for message in newest] == ["<two@university.example>"]


@pytest.mark.parametrize(("fault", "code"), [("refuse_rcpt", "550"), ("tempfail_rcpt", "451")])
def test_inbox_refuses_a_recipient_by_pattern_and_takes_the_others(
    inbox: Simulator, session: Session, fault: str, code: str
) -> None:
    """The refusal hits whom the pattern names, for as long as it is set."""
    inbox.put("/faults", {fault: ["^s1@"]})
    session.write(envelope("s1@example.org", "s2@example.org"))
    mixed = session.codes(4)
    session.write(content("m") + b".\r\n")
    verdict = session.codes(1)
    inbox.put("/faults", {})
    after = session.send("s1@example.org")

    assert mixed == ["250", code, "250", "354"]
    assert verdict == ["250"]
    assert after == ["250", "250", "354", "250"]
    assert [message["to"] for message in inbox.get("/messages")] == ["s2@example.org", "s1@example.org"]


def test_inbox_refuses_after_data_as_often_as_told(inbox: Simulator, session: Session) -> None:
    """The next N messages are answered 554 and are nowhere; the count consumes itself."""
    inbox.put("/faults", {"refuse_after_data": 2})

    verdicts = [session.send("s1@example.org", name)[-1] for name in ("one", "two", "three")]

    assert verdicts == ["554", "554", "250"]
    assert ids(inbox) == ["three"]
    assert inbox.get("/faults")["refuse_after_data"] == 0


def test_inbox_drop_before_verdict_stores_and_never_answers(inbox: Simulator, session: Session) -> None:
    """The sender cannot know: the mail is there, the 250 never came."""
    inbox.put("/faults", {"drop_before_verdict": 1})

    try:
        codes = session.send("s1@example.org", "stored")
    except ConnectionResetError:
        codes = ["reset"]
    after = Session(inbox.port).send("s1@example.org", "next")

    assert codes[-1] in ("", "reset")
    assert after[-1] == "250"
    assert ids(inbox) == ["stored", "next"]


def test_inbox_drop_during_data_stores_nothing(inbox: Simulator, session: Session) -> None:
    """The same cut from the sender's side, but nothing arrived."""
    inbox.put("/faults", {"drop_during_data": 1})

    try:
        codes = session.send("s1@example.org", "lost")
    except ConnectionResetError:
        codes = ["reset"]
    after = Session(inbox.port).send("s1@example.org", "next")

    assert codes[-1] in ("", "reset")
    assert after[-1] == "250"
    assert ids(inbox) == ["next"]


def test_inbox_delay_stores_before_it_answers(inbox: Simulator, session: Session) -> None:
    """With a delay the mail is stored while the sender still waits for the verdict."""
    inbox.put("/faults", {"delay_seconds": 2})
    session.write(envelope("s1@example.org"))
    session.codes(3)
    session.write(content("slow") + b".\r\n")

    until(lambda: ids(inbox) == ["slow"], "the mail is listed")
    answered, _, _ = select.select([session.socket], [], [], 0)
    verdict = session.codes(1)

    assert answered == []
    assert verdict == ["250"]


def test_inbox_421_closes_the_connection_and_takes_nothing(inbox: Simulator, session: Session) -> None:
    """Commands pipelined behind the MAIL that got 421 are not accepted; the next connection works."""
    inbox.put("/faults", {"421_next": 1})
    session.write(envelope("s1@example.org") + content("lost") + b".\r\n")

    try:
        first, *rest = session.codes(6)
    except ConnectionResetError:
        first, rest = "421", []
    after = Session(inbox.port).send("s1@example.org", "next")

    assert first == "421"
    assert not {"250", "354"} & set(rest)
    assert after[-1] == "250"
    assert ids(inbox) == ["next"]


def test_inbox_sender_gone_after_the_final_dot_is_still_stored(inbox: Simulator, session: Session) -> None:
    """A sender that dies right after its last byte has sent a mail all the same."""
    session.write(envelope("s1@example.org"))
    session.codes(3)
    session.write(content("orphan") + b".\r\n")
    session.socket.shutdown(socket.SHUT_WR)

    until(lambda: ids(inbox) == ["orphan"], "the mail is listed")
    closed = session.codes(3)

    assert closed[-1] == ""


def test_inbox_sender_gone_before_the_final_dot_leaves_nothing(inbox: Simulator, session: Session) -> None:
    """Half a mail is no mail."""
    session.write(envelope("s1@example.org"))
    session.codes(3)
    session.write(content("half"))
    session.socket.shutdown(socket.SHUT_WR)
    ended = session.codes(3)
    Session(inbox.port).send("s1@example.org", "whole")

    assert ended[-1] == ""
    assert ids(inbox) == ["whole"]


def test_inbox_killed_keeps_what_it_answered_for(tmp_path: Path) -> None:
    """After kill -9 every mail with a 250 is listed, and a torn file in tmp/ is gone."""
    with running("smtp_inbox", tmp_path, "--control-port", "0") as first:
        session = Session(first.port)
        verdicts = [session.send("s1@example.org", f"m{number}")[-1] for number in range(5)]
        first.kill()
    (tmp_path / "maildir" / "tmp" / "torn").write_bytes(b"Return-Path")
    with running("smtp_inbox", tmp_path, "--control-port", "0") as second:
        found, stored = ids(second), second.get("/healthz")["stored"]

    assert verdicts == ["250"] * 5
    assert found == [f"m{number}" for number in range(5)]
    assert stored == 5
    assert not list((tmp_path / "maildir" / "tmp").iterdir())
