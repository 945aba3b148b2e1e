"""Customer.io: people of a workspace, with manual segments as the audiences of syncs."""

from millstream.destinations.customerio.destination import CustomerIo
from millstream.destinations.customerio.settings import CustomerIoSettings

__all__ = ["CustomerIo", "CustomerIoSettings"]
