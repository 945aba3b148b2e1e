"""Shift4Shop (formerly 3dcart): customers, orders with what was bought, products."""

from millstream.sources.shift4shop.settings import Shift4ShopSettings
from millstream.sources.shift4shop.source import Shift4Shop

__all__ = ["Shift4Shop", "Shift4ShopSettings"]
