"""Pull: what other systems know about our customers.

What a connector needs to declare itself, and what runs one. A connector lives in a module (or package) of its own,
imports from here and from ``millstream.state``, and never from another connector.
"""

from millstream.sources.contract import (
    Column,
    Cursor,
    DeclaredSettings,
    Endpoint,
    Row,
    Source,
    SourceSettings,
    Stream,
    TableSource,
)

__all__ = [
    "Column",
    "Cursor",
    "DeclaredSettings",
    "Endpoint",
    "Row",
    "Source",
    "SourceSettings",
    "Stream",
    "TableSource",
]
