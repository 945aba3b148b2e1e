"""Send: a plan's rows go out in batches or jobs, each in the journal before its request and after its answer."""

from millstream.destinations.sending.plan_rows import AnyDestination
from millstream.destinations.sending.sender import HELD_BACK, Sender
from millstream.destinations.sending.withdrawals import Withdrawals

__all__ = [
    "HELD_BACK",
    "AnyDestination",
    "Sender",
    "Withdrawals",
]
