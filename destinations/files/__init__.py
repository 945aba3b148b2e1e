"""Files: people as CSV, JSON Lines or Parquet in a folder, S3, Google Cloud, Azure or on an SFTP server."""

from millstream.destinations.files.destination import Files
from millstream.destinations.files.settings import FilesSettings

__all__ = ["Files", "FilesSettings"]
