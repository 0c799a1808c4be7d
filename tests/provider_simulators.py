"""The simulated mail server and SMS gateway, for tests that start them without the rest of the stack."""

from collections.abc import Iterator

import pytest

from tests.integration.simulators import Simulator, running


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """An SMTP inbox that keeps what it gets."""
    with running("smtp_inbox", tmp_path_factory.mktemp("inbox"), "--control-port", "0") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """An SMS gateway that keeps what it gets."""
    with running("sms_gateway", tmp_path_factory.mktemp("sms")) as simulator:
        yield simulator
