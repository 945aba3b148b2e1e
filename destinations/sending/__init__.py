"""Send: a plan's rows go out in batches or jobs, each in the journal before its request and after its answer."""

from millstream.destinations.sending.kept_back import HELD_BACK, PUT_OFF, KeptBack
from millstream.destinations.sending.plan_rows import AnyDestination
from millstream.destinations.sending.sender import Sender
from millstream.destinations.sending.staying import Staying
from millstream.destinations.sending.withdrawals import Withdrawals

__all__ = [
    "HELD_BACK",
    "PUT_OFF",
    "AnyDestination",
    "KeptBack",
    "Sender",
    "Staying",
    "Withdrawals",
]
