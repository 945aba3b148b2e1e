"""Databases: tables, views and queries, through SQLAlchemy."""

from millstream.sources.sql.settings import SqlSettings
from millstream.sources.sql.source import Sql

__all__ = ["Sql", "SqlSettings"]
