"""Bytes of requests and answers, and connections that are cut."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from millstream.sandbox.system import Answer


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def send_answer(answer: Answer, send: Send) -> None:
    """Send an answer whole."""
    body = answer.encoded()
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    if body:
        headers.append((b"content-type", answer.media_type.encode()))
    if answer.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def cut_connection(scope: Scope, send: Send) -> None:
    """Close the connection so that the client sees a reset, not an answer."""
    transport: asyncio.Transport | None = scope.get("extensions", {}).get("millstream.transport")
    if transport is None:
        # Not behind our own server: promise more than is sent, which makes any server cut the connection.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    # The server must notice that the client is gone before this returns, or it would report a missing answer.
    await asyncio.sleep(0.001)
