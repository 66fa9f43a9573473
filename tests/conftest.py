"""Fixtures that several folders share. What starts processes is imported only where it is used."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from tests.service import RunningService

# A busy machine is no reason to fail: no deadline, and generating examples may be slow.
settings.register_profile("facequeue", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("facequeue")

#: Folders whose tests share what is dear to start, or start whole services: one process runs them, one by one. More
#: services at a time than there are cores, and everything waits for everything.
TOGETHER = {
    "tests/acceptance": "the service",
    "tests/attacks": "the attacked web",
    "tests/browser": "the service",
    "tests/contract": "the vector stores",
    "tests/faults": "faults",
    "tests/formats": "formats",
    "tests/fuzz/api": "the attacked web",
}


class FoldersTogether(LoadFileScheduling):  # type: ignore[misc]
    """Where several processes share the suite: a file stays in one of them, and so do the folders of TOGETHER."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return TOGETHER.get(file.rpartition("/")[0], file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FoldersTogether:
    return FoldersTogether(config, log)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file, not memory: the tests of races use several connections."""
    from django.db import connections

    if connections["default"].vendor == "sqlite":
        path = tmp_path_factory.mktemp("database") / "test.sqlite3"
        connections["default"].settings_dict["TEST"]["NAME"] = str(path)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[RunningService]":
    """The whole service, started once for all tests that do not kill parts of it."""
    from tests.service import EVERYTHING, RunningService

    everything_on = {"TOTP": "true", "SIGN_UP": "invited"}
    with RunningService(tmp_path_factory.mktemp("service"), processes=EVERYTHING, environment=everything_on) as running:
        running.create_user()
        running.wait_until_healthy()
        yield running
