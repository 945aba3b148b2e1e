"""Files keep the destination contract, on a real SFTP server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from millstream.destinations.files import Files, FilesSettings
from millstream.destinations.testing import StandIn
from millstream.destinations.testing.ground import AnyDestination
from millstream.state.errors import FatalError
from tests.contract.destinations.ground import SandboxContract
from tests.contract.destinations.written_files import members_of
from tests.sftp_server import PASSWORD, USER, SftpServer, sftp_server


class Reader:
    """Whoever takes the files, with no code of the connector."""

    def __init__(self, server: SftpServer) -> None:
        self._server = server

    def throttle(self, *, times: int, seconds: int) -> None:
        self._server.failures = times

    def lose_answers(self, *, times: int) -> None:
        self._server.lost_answers = times

    def standings(self) -> Mapping[str, str]:
        return {}

    def fields(self) -> Mapping[str, Mapping[str, object]] | None:
        return None

    def members(self, audience_id: str) -> set[str] | None:
        return members_of(self._server.folder, audience_id)

    def clear(self) -> None:
        self._server.behave()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with sftp_server(tmp_path_factory.mktemp("sftp")) as server:
        yield server


class TestFiles(SandboxContract):
    connector = Files
    bad_match_value = "half-a-pair-\ud83d@box.example"
    sample_fields: ClassVar = {"first_name": "Ana", "city": "Genoa"}
    says_how_long_to_wait = False  # SFTP has no word for it
    refuses_strangers = False  # whoever is written is a member
    has_standings = False  # files consent to nothing

    @pytest.fixture
    def destination(self, server: SftpServer) -> Any:
        return self.connect(server)

    @pytest.fixture
    def impostor(self, server: SftpServer) -> Any:
        return self.connect(server, password="of-somebody-else")

    @pytest.fixture
    def stand_in(self, server: SftpServer) -> StandIn:
        return Reader(server)

    @staticmethod
    def connect(server: SftpServer, **changes: str) -> Files:
        options = {"port": server.port, "host_key": server.host_key}
        facts = {"url": server.url, "username": USER, "password": PASSWORD, "options": options, **changes}
        return Files(FilesSettings.model_validate(facts))

    def members(self, destination: AnyDestination, stand_in: StandIn, audience: str) -> set[str] | None:
        """Only files with everybody can be read back; who is in changes is what a reader makes of them."""
        told = stand_in.members(audience)
        with suppress(FatalError):
            assert set(destination.read_back(audience)) == told
        return told
