"""Mailchimp: lists and their members, campaigns, and what people did with what was sent to them."""

from millstream.sources.mailchimp.settings import MailchimpSettings
from millstream.sources.mailchimp.source import Mailchimp

__all__ = ["Mailchimp", "MailchimpSettings"]
