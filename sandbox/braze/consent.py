"""Subscription states: what changes them, on purpose or on the side."""

from __future__ import annotations

import time

from millstream.sandbox.braze.people import EMAIL_STATES, GROUPS, SUBSCRIBED, UNSUBSCRIBED
from millstream.sandbox.braze.profiles import Profile, Profiles


class Consent:
    """The rules of subscription states.

    Attributes:
        resubscribes: Whether a new address makes somebody who had left subscribed again, as a switch in the
            vendor's dashboard has it.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self.resubscribes = True

    def set_email_state(self, profile: Profile, state: str) -> None:
        """Set somebody's state, and that of everybody with the same address."""
        shared = self._profiles.all_by_email(profile.email) if profile.email else []
        others = [other for other in shared if other.braze_id != profile.braze_id]
        for one in (profile, *others):
            _set_state(one, state)
            self._profiles.keep(one)

    def set_address_state(self, email: str, state: str) -> None:
        """Set the state of an address, also of one that nobody has yet."""
        found = self._profiles.all_by_email(email)
        if not found:
            self._profiles.waiting_states[email.strip().lower()] = state
        for one in found:
            _set_state(one, state)
            self._profiles.keep(one)

    def block_address(self, email: str) -> None:
        """Unsubscribe an address and count it as bounced."""
        self.set_address_state(email, UNSUBSCRIBED)
        for one in self._profiles.all_by_email(email):
            one.bounced = True

    def take_address(self, profile: Profile, email: str | None) -> None:
        """Give a profile another address, with all that follows for its state."""
        before = profile.email
        if email is None:
            profile.standard.pop("email", None)
            return
        profile.standard["email"] = email
        if before is not None and before.lower() == email.lower():
            return
        known = [one for one in self._profiles.all_by_email(email) if one.braze_id != profile.braze_id]
        waiting = self._profiles.waiting_states.pop(email.lower(), None)
        if known:
            profile.email_state, profile.bounced = known[0].email_state, known[0].bounced
            profile.unsubscribed_ms = known[0].unsubscribed_ms
        elif waiting is not None:
            _set_state(profile, waiting)
        elif before is not None:
            # A bounce is the old address's; who had left is back, because the vendor takes the new one for a wish.
            profile.bounced = False
            if self.resubscribes and profile.email_state == UNSUBSCRIBED:
                _set_state(profile, SUBSCRIBED)

    def set_group(self, profile: Profile, group: str, state: str) -> None:
        """Set somebody's state in a group, and that of everybody who shares the address or number there."""
        channel = GROUPS[group][1]
        shared: list[Profile] = []
        if channel == "email" and profile.email:
            shared = self._profiles.all_by_email(profile.email)
        elif channel == "sms" and profile.phone:
            shared = self._profiles.all_by_phone(profile.phone)
        others = [other for other in shared if other.braze_id != profile.braze_id]
        for one in (profile, *others):
            one.resubscribed |= state == SUBSCRIBED and one.groups.get(group) == UNSUBSCRIBED
            one.groups[group] = state
            self._profiles.keep(one)


def is_email_state(value: object) -> bool:
    """Whether this is one of the three states."""
    return value in EMAIL_STATES if isinstance(value, str) else False


def _set_state(profile: Profile, state: str) -> None:
    left = profile.email_state == UNSUBSCRIBED or profile.bounced
    profile.resubscribed |= left and state != UNSUBSCRIBED
    profile.email_state = state
    profile.unsubscribed_ms = int(time.time() * 1000) if state == UNSUBSCRIBED else None
    if state != UNSUBSCRIBED:
        profile.bounced = False
