"""A webhook: signed batches to an address of one's own."""

from millstream.destinations.webhook.destination import Webhook
from millstream.destinations.webhook.settings import WebhookSettings

__all__ = ["Webhook", "WebhookSettings"]
