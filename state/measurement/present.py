"""Figures of which nothing but the present is known: consent, who can be reached, predictions. Told from day to day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from millstream.state.measurement.figures import Series
from millstream.state.measurement.meanings import BY_CHANNEL, SHIPPED, FigureMeaning
from millstream.state.profiles.columns import existing_columns
from millstream.state.profiles.people_view import people_column
from millstream.state.sql import quoted

if TYPE_CHECKING:
    from millstream.state.store import Connection

_TOPIC = "marketing"
_PREDICTED = "predicted_value"
_ADDRESS = {"email": "email", "sms": "phone", "phone": "phone"}
"""What a person needs to be reached by a channel; others need no more than consent."""


def present_figures(connection: Connection, today: date) -> Iterator[Series]:
    """The figures of today."""
    row = connection.execute("SELECT count(*) FROM customers.profiles").fetchone()
    people = int(row[0]) if row else 0
    if not people:
        return
    yield from _consents(connection, today, people)
    yield from _predicted(connection, today)


def _consents(connection: Connection, today: date, people: int) -> Iterator[Series]:
    addresses = " ".join(
        f"WHEN '{channel}' THEN profile.{quoted(column)} IS NOT NULL" for channel, column in _ADDRESS.items()
    )
    rows = connection.execute(
        f"""
        SELECT consent.channel, count(*) FILTER (WHERE consent.status = 'granted'),
               count(*) FILTER (WHERE consent.status = 'granted' AND CASE consent.channel {addresses} ELSE TRUE END)
        FROM customers.profile_consents AS consent
        JOIN customers.profiles AS profile ON profile.profile_id = consent.profile_id
        WHERE consent.topic = ? GROUP BY consent.channel ORDER BY consent.channel
        """,
        [_TOPIC],
    ).fetchall()
    if not rows:
        return
    anywhere = connection.execute(
        "SELECT count(DISTINCT consent.profile_id) FROM customers.profile_consents AS consent "
        "JOIN customers.profiles AS profile ON profile.profile_id = consent.profile_id "
        "WHERE consent.topic = ? AND consent.status = 'granted'",
        [_TOPIC],
    ).fetchone()
    yield _of("consent_share", SHIPPED["consent_share"], today, float(anywhere[0] if anywhere else 0), float(people))
    for channel, granted, reachable in rows:
        yield _by_channel("consent_share_", str(channel), today, float(granted), float(people))
        yield _by_channel("reachable_", str(channel), today, float(reachable), None)


def _predicted(connection: Connection, today: date) -> Iterator[Series]:
    trait = people_column(_PREDICTED, existing_columns(connection))
    if trait not in existing_columns(connection, "people"):
        return
    row = connection.execute(
        f"SELECT CAST(sum({quoted(trait)}) AS DOUBLE), count({quoted(trait)}) FROM customers.people"
    ).fetchone()
    if row and row[1]:
        name = "predicted_lifetime_value"
        yield _of(name, SHIPPED[name], today, float(row[0]), float(row[1]))


def _by_channel(prefix: str, channel: str, today: date, numerator: float, denominator: float | None) -> Series:
    meaning = BY_CHANNEL[prefix]
    told = FigureMeaning(unit=meaning.unit, description=meaning.description.format(channel=channel))
    return _of(f"{prefix}{channel}", told, today, numerator, denominator)


def _of(figure: str, meaning: FigureMeaning, today: date, numerator: float, denominator: float | None) -> Series:
    return Series(
        figure=figure,
        meaning=meaning,
        days=(today,),
        numerators=(numerator,),
        denominators=None if denominator is None else (denominator,),
        history=False,
    )
