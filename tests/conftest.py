"""Fixtures that several folders share. What starts processes is imported only where it is used."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service import RunningService


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[RunningService]":
    """The whole service, started once for all tests that do not kill parts of it."""
    from tests.service import EVERYTHING, RunningService

    with RunningService(tmp_path_factory.mktemp("service"), processes=EVERYTHING) as running:
        running.create_user()
        running.wait_until_healthy()
        yield running
