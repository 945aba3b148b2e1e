"""What never is a person's own identifier: the lists that the identity rules come with.

Patterns as in ``KindRule.blocked``: ``*`` is anything, ``?`` one character, ``#`` one or more digits.
"""

from __future__ import annotations

# Mailboxes that stand for a function, in the languages of the people who made them (RFC 2142 and beyond).
_FUNCTIONS = (
    "abuse", "accounting", "accounts", "admin", "administrator", "bestellung", "billing", "bookings", "buchhaltung",
    "careers", "comercial", "commercial", "compras", "compta", "comptabilite", "contabilidad", "contact", "contacto",
    "contato", "contatti", "customercare", "customerservice", "customersupport", "datenschutz", "direction",
    "empfang", "enquiries", "enquiry", "events", "facturation", "feedback", "finance", "frontdesk", "hello", "help",
    "helpdesk", "hola", "hostmaster", "hr", "info", "informacion", "informations", "inquiries", "invoice", "invoices",
    "it", "jobs", "kantoor", "karriere", "klantenservice", "kontakt", "kundendienst", "kundenservice", "legal",
    "mail", "mailbox", "marketing", "media", "newsletter", "newsletters", "notifications", "office", "oficina",
    "order", "orders", "post", "postmaster", "presse", "press", "privacy", "purchasing", "rechnung", "recepcion",
    "receptie", "reception", "reservas", "reservations", "rh", "root", "sales", "secretariat", "security",
    "segreteria", "sekretariat", "service", "services", "shop", "soporte", "staff", "support", "team", "vendas",
    "ventas", "verkauf", "verkoop", "vertrieb", "webmaster", "zentrale",
)  # fmt: skip

# Mailboxes of nobody: of machines, and what people type to get past a form.
_NOBODIES = (
    "anonym", "anonymous", "anonymus", "asdf", "asdfasdf", "bounce", "bounces", "demo", "do-not-reply", "do_not_reply",
    "donotreply", "dummy", "email", "example", "fake", "guest", "invalid", "kein", "keine", "mailer-daemon", "n/a",
    "na", "nao-responda", "ne-pas-repondre", "nepasrepondre", "nicht-antworten", "no-email", "no-mail", "no-reply",
    "no-responder", "no.reply", "no_reply", "nobody", "noemail", "nomail", "none", "noone", "noreply", "null",
    "qwerty", "sample", "spam", "undefined", "unknown", "user", "xxx",
)  # fmt: skip
_TESTS = ("test", "test-user", "test.user", "test_user", "tester", "testing", "testtest", "testuser")

# The domains that can receive nothing (RFC 2606, RFC 6761), and those people type to get past a form. `.example` is not
# among them: the sandbox's people live there, and so may those of whoever tries Millstream out.
_DOMAINS = (
    *(f"{under}example.{top}" for under in ("", "*.") for top in ("com", "net", "org")),
    "*.invalid", "*.localhost", "*.local", "*.test", "fake.com", "invalid.com", "localhost.localdomain", "na.com",
    "no.com", "noemail.com", "nomail.com", "none.com", "nowhere.com", "null.com", "test.com", "test.de", "test.net",
    "test.org", "undefined.com", "unknown.com",
)  # fmt: skip

PLACEHOLDERS = (
    "(none)", "(not set)", "(direct)", "-", "--", ".", "-1", *("0" * length for length in range(1, 21)),
    # Shorter ones are given in turn, and somebody has them.
    *(digit * length for digit in "123456789" for length in range(7, 21)),
    "?object object?", "<null>", "?n/a", "anonymous", "false", "guest", "n/a", "na", "nan", "nil", "no", "none",
    "not available", "not set", "null", "system", "tbd", "test", "true", "undefined", "unknown", "user", "x", "xx",
    "xxx", "{}",
)  # fmt: skip
"""Values that stand where an id should be."""

DEVICES = (
    *PLACEHOLDERS,
    # What iOS gives in place of an advertising id since people are asked first, with and without its dashes.
    "00000000-0000-0000-0000-000000000000", "0" * 32, "ffffffff-ffff-ffff-ffff-ffffffffffff",
    # One Android id that whole model ranges of the past share, and the address that stands for a hidden one.
    "9774d56d682e549c", "02:00:00:00:00:00", "00:00:00:00:00:00",
)  # fmt: skip
"""Device and cookie ids that stand on any number of devices."""

EMAILS = (
    *(f"{name}{tag}@*" for name in (*_FUNCTIONS, *_NOBODIES, *_TESTS) for tag in ("", "+*")),
    # Of a short name, or of nobody's, a number can make a person's own.
    *(f"{name}#@*" for name in (*_FUNCTIONS, *_TESTS) if len(name) > 3),
    *(f"*@{domain}" for domain in _DOMAINS),
)
"""Mailboxes, with a tag behind them too, as ``test+shop@``; those of functions also with a number, as ``info2@``."""

PHONES = (
    *(f"+*{digit * 7}" for digit in "0123456789"),
    *(f"+*{digits}" for digits in ("123456789", "1234567890", "987654321")),
)
"""Numbers that are typed to get past a form."""

ADDRESSES = ("0", "n a", "na", "none", "null", "test", "unknown", "x", "xx", "xxx")
"""Addresses as they are spelled for comparing: words without punctuation."""
