"""Files: CSV, JSON Lines, Parquet, XML and Excel from a folder, S3, Google Cloud, Azure or SFTP."""

from millstream.sources.files.settings import FilesSettings
from millstream.sources.files.source import Files

__all__ = ["Files", "FilesSettings"]
