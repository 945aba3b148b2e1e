"""Settle: outcomes become the acknowledged state, and what was not accepted is listed for another try."""

from millstream.destinations.settling.settle import Settled, settle

__all__ = ["Settled", "settle"]
