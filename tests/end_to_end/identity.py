"""Which records should be one person, by the truth, and how well the profiles agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from tests.end_to_end.world import Truth, World

Key = tuple[Hashable, ...]


def records(world: World) -> dict[str, tuple[str, str]]:
    """Profile and ``source.stream:key`` of every living record, by record id."""
    rows = world.sql(
        """
        SELECT record.record_id, member.profile_id, record.source || '.' || record.stream || ':' || record.source_key
        FROM customers.records AS record LEFT JOIN customers.members AS member USING (record_id)
        WHERE NOT record.deleted
        """
    )
    return {record_id: (profile, place) for record_id, profile, place in rows}


class Owners:
    """Tells whose each record is, and which of a person's records the systems themselves can link.

    A person with a contact is linkable through it: by address, phone, contact id, recipient or customer id. Without one
    only records that name the same address or the same customer id belong together. A browser that nobody signed in on,
    and an answer under the shop's own mailbox, lead to nobody.
    """

    def __init__(self, truth: Truth) -> None:
        self._of: dict[str, Key] = {}
        for person in truth:
            self._add_person(person)

    def group(self, place: str) -> Key:
        """Records with the same group should be one profile; the first part is the person."""
        return self._of.get(place, (place,))

    def _add_person(self, person: Mapping[str, Any]) -> None:
        who, known = person["person_id"], bool(person["hubspot_contact_ids"])
        by_mail = (who,) if known else (who, "email")
        by_user = (who,) if known else (who, "user")
        for contact in person["hubspot_contact_ids"]:
            self._of[f"hubspot.contacts:{contact}"] = (who,)
            self._of[f"hubspot.deals:hubspot_contact_id:{contact}"] = (who,)
        for email in person["emails"]:
            self._of[f"hubspot.subscription_statuses:{email}"] = (who,)
            self._of[f"hubspot.email_events:email:{email}"] = (who,)
        for device in person["ga4_devices"]:
            group = by_user if device["user_id"] else (who, device["device_id"])
            self._of[f"ga4.audience_users:device_id:{device['device_id']}"] = group
        if person["customer_id"]:
            self._of[f"ga4.audience_users:user_id:{person['customer_id']}"] = by_user
        for response in person["survey_responses"]:
            group = by_mail if response["linked"] else (who, response["response_id"])
            self._of[f"surveymonkey.responses:{response['response_id']}"] = group
        if person["surveymonkey_contact"]:
            self._of[f"surveymonkey.contacts:{person['surveymonkey_contact']['id']}"] = by_mail


def agreement(world: World, truth: Truth) -> tuple[float, float]:
    """Pairwise precision and recall of the profiles: of all pairs of records in one profile, and of all linkable pairs.

    Fails on a record that is in no profile.
    """
    found = records(world)
    of = Owners(truth)
    homeless = [record_id for record_id, (profile, _) in found.items() if profile is None]
    assert homeless == [], f"records without a profile: {homeless[:5]}"
    joined = pairs(profile for profile, _ in found.values())
    linkable = pairs(of.group(_folded(place)) for _, place in found.values())
    same_person = pairs((profile, of.group(_folded(place))[0]) for profile, place in found.values())
    right = pairs((profile, of.group(_folded(place))) for profile, place in found.values())
    return same_person / joined, right / linkable


def people_of(world: World, truth: Truth, chosen: Callable[[str], bool]) -> dict[str, set[Hashable]]:
    """Whose records stand in the profiles that have a chosen record."""
    found = records(world)
    of = Owners(truth)
    profiles = {profile for profile, place in found.values() if chosen(place)}
    people: dict[str, set[Hashable]] = {profile: set() for profile in profiles}
    for profile, place in found.values():
        if profile in people:
            people[profile].add(of.group(_folded(place))[0])
    return people


def pairs(labels: Iterable[Hashable]) -> int:
    """How many pairs have the same label."""
    return sum(count * (count - 1) // 2 for count in Counter(labels).values())


def _folded(place: str) -> str:
    """Addresses are keys of some records, and written in any case."""
    return place if "@" not in place else place.lower()
