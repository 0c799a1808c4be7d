"""Our SMTP client against a real Postfix of Debian's packages, where there is one and we may start it."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.notify.channels.email import EmailChannel
from services.notify.channels.smtp import EmailSettings
from services.notify.messages.outgoing import Email
from services.notify.model.outcome import OutcomeKind
from tests.integration.notify_world import SENDER

POSTFIX = shutil.which("postfix") or shutil.which("/usr/sbin/postfix")
MASTER = """127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
qmgr unix n - n 300 1 qmgr
postlog unix-dgram n - n - 1 postlogd
"""


def _obstacle() -> str | None:
    if POSTFIX is None:
        return "no Postfix here (Debian: apt-get install postfix)"
    if os.geteuid() != 0:
        return "Postfix's master runs as root only"
    try:
        pwd.getpwnam("postfix")
    except KeyError:
        return "Postfix has no user of its own here"
    return None


pytestmark = pytest.mark.skipif(_obstacle() is not None, reason=str(_obstacle()))


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Postfix of the test's own that takes mail for students.example.org and throws it away."""
    assert POSTFIX is not None
    root = tmp_path_factory.mktemp("postfix")
    for folder in (root, *root.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o111)
    config, queue, data = root / "etc", root / "queue", root / "data"
    for folder in (config, queue, data):
        folder.mkdir()
    shutil.chown(data, "postfix")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = int(taken.getsockname()[1])
    (config / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\nmail_owner = postfix\n"
        "myhostname = mx.university.example\nmydestination =\nmynetworks = 127.0.0.0/8\n"
        "relay_domains = students.example.org\nrelay_transport = discard:\nalias_maps =\nlocal_recipient_maps =\n"
        "relay_recipient_maps = inline:{ { p1@students.example.org = OK }, { p2@students.example.org = OK } }\n"
        f"maillog_file = {root}/mail.log\nmaillog_file_prefixes = {root}\n"
        "smtpd_recipient_restrictions = reject_unlisted_recipient, permit_mynetworks, reject\n"
    )
    (config / "master.cf").write_text(MASTER.format(port=number))
    started = subprocess.run([POSTFIX, "-c", str(config), "start"], capture_output=True, text=True, check=False)
    if started.returncode != 0:
        pytest.skip(f"Postfix does not start here: {started.stderr.strip()[-200:]}")
    try:
        _wait(number)
        yield number
    finally:
        subprocess.run([POSTFIX, "-c", str(config), "stop"], capture_output=True, check=False)


def _wait(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < end, "Postfix does not listen"
            time.sleep(0.1)
        else:
            return


async def test_postfix_takes_pipelined_mail_and_refuses_one_recipient_alone(port: int) -> None:
    """A hundred emails over three connections; a refused one stops no other; the queue id is stored."""
    channel = EmailChannel(EmailSettings(host="127.0.0.1", port=port, connections=3))
    content = b"From: alerts@university.example\r\nSubject: Spain\r\n\r\n.dot\r\n..dots\r\n"
    to = ["nobody" if number == 50 else f"p{1 + number % 2}" for number in range(100)]

    outcomes = await channel.send([Email(f"d{n}", SENDER, f"{who}@students.example.org", content)
                                   for n, who in enumerate(to)])  # fmt: skip
    await channel.close()

    assert outcomes[50].kind is OutcomeKind.REFUSED
    accepted = [outcome for outcome in outcomes if outcome.is_accepted]
    assert len(accepted) == 99
    assert all("queued as" in outcome.reason for outcome in accepted)
