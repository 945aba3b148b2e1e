"""The channel by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Literal

from pydantic import SecretStr

from millstream.state.alerts.messages import Message, headline
from millstream.state.errors import AuthenticationError, UnavailableError
from millstream.state.ledger.journal import now

Security = Literal["starttls", "tls", "none"]
_TIMEOUT = 15.0


@dataclass(frozen=True, kw_only=True)
class Email:
    """Sends changes as one mail.

    Attributes:
        host: The mail server.
        port: Its port.
        security: ``starttls`` (begun in clear, then encrypted), ``tls`` from the first byte, or ``none``.
        user: For servers that ask who one is.
        password: The user's.
        sender: Address it comes from.
        recipients: Addresses it goes to.
    """

    host: str
    port: int
    security: Security
    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    password: SecretStr | None = None

    def tell(self, messages: Sequence[Message]) -> None:
        """One mail.

        Raises:
            AuthenticationError: The server does not take the password.
            UnavailableError: It did not take the mail.
        """
        try:
            with ExitStack() as opened:
                server = opened.enter_context(self._server())
                if self.security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.user and self.password:
                    server.login(self.user, self.password.get_secret_value())
                server.send_message(self._mail(messages))
        except smtplib.SMTPAuthenticationError as error:
            # The server's own words may repeat what it was sent.
            raise AuthenticationError(
                f"{self.host} does not take the user and password ({error.smtp_code}).",
                remedy="replace the channel's password.",
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            code = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
            raise UnavailableError(
                f"{self.host}:{self.port} did not take the mail ({type(error).__name__}{code}).",
                remedy="check the channel's host, port and security.",
            ) from None

    def _server(self) -> smtplib.SMTP:
        if self.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT)

    def _mail(self, messages: Sequence[Message]) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = headline(messages)
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail["Date"] = format_datetime(now())
        mail["Message-ID"] = make_msgid(idstring=messages[0].id, domain="millstream.invalid")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n".join("\n".join(message.lines()) for message in messages) + "\n")
        return mail
