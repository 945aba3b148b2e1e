"""Telling people of alerts: by signed webhooks, Slack's incoming webhooks, and e-mail."""

from millstream.state.alerts.channels import Channel, Slack, Webhook
from millstream.state.alerts.messages import Message
from millstream.state.alerts.smtp import Email
from millstream.state.alerts.telling import ChannelFailure, tell

__all__ = ["Channel", "ChannelFailure", "Email", "Message", "Slack", "Webhook", "tell"]
