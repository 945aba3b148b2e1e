"""Hosts whose certificate nobody vouches for get no request, however often they are asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from millstream.state.errors import UnreachableError
from millstream.state.http import BearerAuth, Pacer, RateLimit, Retries, VendorSession


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and the certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def url(certificate: Path) -> Iterator[str]:
    """A server with that certificate."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def session() -> Iterator[VendorSession]:
    limit = RateLimit(requests=100, seconds=1)
    auth = BearerAuth(SecretStr("secret"))
    with VendorSession(system="vendor", auth=auth, pacer=Pacer(limit), retries=Retries(attempts=1)) as session:
        yield session


def test_an_unknown_certificate_is_refused_each_time(url: str, session: VendorSession) -> None:
    for _ in range(2):
        with pytest.raises(UnreachableError, match="SSLError"):
            session.get(url)


def test_one_that_the_session_trusts_is_taken(url: str, session: VendorSession, certificate: Path) -> None:
    session.verify = str(certificate)

    assert [session.get(url).json() for _ in range(2)] == [{}, {}]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_what_holds_for_one_request_does_not_hold_for_the_next(url: str, session: VendorSession) -> None:
    unverified = session.send(session.prepare_request(requests.Request("GET", url)), verify=False)

    assert unverified.json() == {}
    with pytest.raises(UnreachableError, match="SSLError"):
        session.get(url)
