"""As much of Google Cloud Storage's JSON API as files take: writing, listing, reading, and signing in."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

BUCKET = "exports"
_TOKEN = "ya29.sandbox"
_MADE = "2026-11-23T00:00:00.000Z"


@dataclass
class GcsServer:
    """A running server.

    Attributes:
        url: Where it listens.
        key_file: A service account that may write, its JSON as text.
        objects: What lies in the bucket.
        failures: So many uploads are answered with 503.
    """

    url: str = ""
    key_file: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    failures: int = 0
    sessions: dict[str, tuple[str, bytearray]] = field(default_factory=dict)
    public_key: rsa.RSAPublicKey | None = None

    def facts(self, name: str) -> dict[str, Any]:
        """An object as the API describes it."""
        content = self.objects[name]
        digest = base64.b64encode(hashlib.md5(content).digest()).decode()
        times = {"timeCreated": _MADE, "updated": _MADE}
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": BUCKET,
            "size": str(len(content)),
            "md5Hash": digest,
        } | times


def _accepts(server: GcsServer, assertion: str) -> bool:
    signed, _, signature = assertion.rpartition(".")
    assert server.public_key is not None
    try:
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        server.public_key.verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


class _Handler(BaseHTTPRequestHandler):
    google: GcsServer

    def take(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, content = self._answer(parts.path, query, body)
        raw = content if isinstance(content, bytes) else orjson.dumps(content)
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _answer(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
        if path == "/token":
            if _accepts(self.google, parse_qs(body.decode())["assertion"][0]):
                return 200, {}, {"access_token": _TOKEN, "expires_in": 3600, "token_type": "Bearer"}
            return 400, {}, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if self.headers.get("Authorization") != f"Bearer {_TOKEN}":
            return 401, {}, _problem(401, "Invalid Credentials")
        if (session := re.fullmatch(r"/upload/sessions/(\w+)", path)) is not None:
            return self._go_on(session.group(1), body)
        found = re.fullmatch(r"(?:/upload|/download)?/storage/v1/b/([^/]+)(?:/o(?:/(.*))?)?", path)
        if found is None or found.group(1) != BUCKET:
            return 404, {}, _problem(404, "The specified bucket does not exist.")
        name = unquote(found.group(2) or "")
        if self.command == "POST":
            return self._upload(query, body)
        return self._object(name, query) if name else self._listing(query)

    def _object(self, name: str, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        if name not in self.google.objects:
            return 404, {}, _problem(404, f"No such object: {BUCKET}/{name}")
        if self.command == "DELETE":
            del self.google.objects[name]
            return 204, {}, b""
        return 200, {}, self.google.objects[name] if query.get("alt") == "media" else self.google.facts(name)

    def _listing(self, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        below = sorted(name for name in self.google.objects if name.startswith(prefix))
        folders = {prefix + name[len(prefix) :].split("/")[0] + "/" for name in below if "/" in name[len(prefix) :]}
        items = [name for name in below if not (delimiter and "/" in name[len(prefix) :])]
        answer = {"kind": "storage#objects", "items": [self.google.facts(name) for name in items]}
        return 200, {}, answer | ({"prefixes": sorted(folders)} if delimiter else {})

    def _upload(self, query: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
        if self.google.failures:
            self.google.failures -= 1
            return 503, {}, _problem(503, "Backend Error")
        if query["uploadType"] == "resumable":
            session = f"s{len(self.google.sessions)}"
            self.google.sessions[session] = (query.get("name") or orjson.loads(body)["name"], bytearray())
            return 200, {"Location": f"{self.google.url}/upload/sessions/{session}"}, {}
        boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
        assert boundary is not None
        _, about, media, _ = body.split(f"--{boundary.group(1)}".encode(), 3)
        name = orjson.loads(about.split(b"\n\n", 1)[1])["name"]
        self.google.objects[name] = media.split(b"\n\n", 1)[1].removesuffix(b"\n")
        return 200, {}, self.google.facts(name)

    def _go_on(self, session: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        name, taken = self.google.sessions[session]
        if self.command == "DELETE":
            del self.google.sessions[session]
            return 499, {}, b""
        taken += body
        if int(self.headers["Content-Range"].rpartition("/")[2]) > len(taken):
            return 308, {"Range": f"bytes=0-{len(taken) - 1}"}, b""
        self.google.objects[name] = bytes(taken)
        return 200, {}, self.google.facts(name)

    def __getattr__(self, name: str) -> Any:
        if name in ("do_GET", "do_POST", "do_PUT", "do_DELETE"):
            return self.take
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Nothing on the console."""


def _problem(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "errors": [{"message": message}]}}


@contextmanager
def gcs_server() -> Iterator[GcsServer]:
    """A server with one empty bucket."""
    google = GcsServer()
    handler = type("Handler", (_Handler,), {"google": google})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    google.url = f"http://127.0.0.1:{server.server_address[1]}"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    google.public_key = key.public_key()
    google.key_file = service_account(google.url, key)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield google
    server.shutdown()
    server.server_close()
    thread.join()


def service_account(url: str, key: rsa.RSAPrivateKey) -> str:
    """A key file of Google's, which signs in here."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    facts = {
        "type": "service_account",
        "project_id": "sandbox",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "millstream@sandbox.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{url}/token",
    }
    return orjson.dumps(facts).decode()
