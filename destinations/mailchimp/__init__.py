"""Mailchimp: people of one audience (list), with tags as the audiences of syncs."""

from millstream.destinations.mailchimp.destination import Mailchimp
from millstream.destinations.mailchimp.settings import MailchimpSettings

__all__ = ["Mailchimp", "MailchimpSettings"]
