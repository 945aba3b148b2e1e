"""People are compared by one spelling of their address, and written to by their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.consent import ConsentRequirement, consented_profiles
from millstream.state.identity.normalise import spell
from tests.state.describing import describe, row

if TYPE_CHECKING:
    from tests.state.conftest import Customers

EMAIL = ConsentRequirement(channel="email")


def known_as(customers: Customers, record_id: str, kind: str, original: str) -> str:
    """A record whose identifier is spelled as the model step spells it."""
    spelled = spell(customers.rules, kind, original)
    assert spelled is not None
    customers.record(record_id, (kind, spelled.value))
    customers.connection.execute(
        "UPDATE customers.identifiers SET original = ?, contact = ? WHERE record_id = ?",
        [original, spelled.contact, record_id],
    )
    return record_id


def test_one_mailbox_in_two_spellings_is_one_person_written_to_as_they_last_wrote(customers: Customers) -> None:
    first = known_as(customers, "crm.contacts:1", "email", "Ana.Li+crm@gmail.com")
    second = known_as(customers, "shop.orders:1", "email", "ana.li+shop@googlemail.com")
    describe(customers)
    assert customers.profile(first) == customers.profile(second)
    assert row(customers, first)["email"] == "ana.li+shop@googlemail.com"
    shown = customers.rows("SELECT value, contact FROM customers.profile_identifiers")
    assert shown == [("anali@gmail.com", "ana.li+crm@gmail.com")]


def test_a_desk_is_called_by_the_number_before_its_extension(customers: Customers) -> None:
    one = known_as(customers, "crm.contacts:1", "phone", "+1 202 555 0123 ext. 7")
    other = known_as(customers, "crm.contacts:2", "phone", "+1 202 555 0123 ext. 8")
    describe(customers)
    assert customers.profile(one) != customers.profile(other)
    assert row(customers, one)["phone"] == row(customers, other)["phone"] == "+12025550123"


def test_who_refuses_under_one_spelling_is_not_written_to_under_another(customers: Customers) -> None:
    """Also where the address does not make two records one person."""
    customers.rules = customers.rules.model_validate({"kinds": {"email": {"max_records": 1}}})
    refused = known_as(customers, "crm.contacts:1", "email", "ana.li+crm@gmail.com")
    agreed = known_as(customers, "shop.orders:1", "email", "analI@gmail.com")
    customers.consent(refused, "email", "denied")
    customers.consent(agreed, "email", "granted")
    describe(customers)
    assert customers.profile(refused) != customers.profile(agreed)
    assert customers.rows("SELECT DISTINCT status FROM customers.profile_consents") == [("denied",)]
    assert consented_profiles(customers.connection, EMAIL) == set()
