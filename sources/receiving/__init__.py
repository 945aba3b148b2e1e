"""Messages that are sent to us: a server that keeps them on disk before it answers, and reads them for a pull.

A source that is sent messages derives from ``Receives`` too, and says what a request holds; ``millstream receive``
serves it. Its streams read what was received with a ``SpoolReader``.
"""

from millstream.sources.receiving.contract import (
    Incoming,
    Message,
    ReceiverSettings,
    Receives,
    RefusedRequestError,
    Taken,
)
from millstream.sources.receiving.reading import SpoolReader

__all__ = [
    "Incoming",
    "Message",
    "ReceiverSettings",
    "Receives",
    "RefusedRequestError",
    "SpoolReader",
    "Taken",
]
