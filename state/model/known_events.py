"""Events that several systems tell of in the same words, declared once: what their rows call the columns is agreed."""

from __future__ import annotations

from millstream.state.model.declarations import Event


def survey_responded(*, at: str) -> Event:
    """A finished response to a survey.

    Rows have ``is_finished``, ``survey_id``, ``survey_title``, ``nps_score`` and ``comment``: what was written in the
    fields for longer texts, one after the other.

    Args:
        at: Column with a time that stays when the response is edited, which would else be another event.
    """
    return Event(
        at=at,
        name="Survey Responded",
        when=("is_finished", ("true",)),
        properties=("survey_id", "survey_title", "nps_score", "comment"),
    )


def deal_events(
    *, created: tuple[str, ...], closed: tuple[str, ...], campaign: str | None = None
) -> tuple[Event, Event, Event]:
    """A deal created, won, lost. Rows have ``created_at``, ``closed_at``, ``amount``, ``currency`` and ``outcome``.

    ``outcome`` is ``open``, ``won``, ``lost`` or ``deleted``.

    Args:
        created: Columns kept as properties of the creation.
        closed: Columns kept as properties of the end.
        campaign: Column that names the campaign.
    """
    begun = Event(
        name="Deal Created",
        at="created_at",
        when=("outcome", ("open", "won", "lost")),
        properties=created,
        campaign=campaign,
    )
    won, lost = (
        Event(
            name=name,
            at="closed_at",
            when=("outcome", (outcome,)),
            value="amount",
            currency="currency",
            properties=closed,
            campaign=campaign,
        )
        for name, outcome in (("Deal Won", "won"), ("Deal Lost", "lost"))
    )
    return begun, won, lost
