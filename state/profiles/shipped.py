"""What is known of traits by their names: for how long a value is believed, and which value permits least.

Names are those of the built-in sources and what customer data systems commonly call such things. A project's
``survivorship`` section overrides each of them.
"""

from __future__ import annotations

# Days for which a value is believed after the last record that said it. People change jobs every few years, so that a
# title or an address at work is often wrong after one; they move house less often, marry or change names rarely, and
# are born once. A trait that is not named never goes stale by itself.
_YEAR = 365
_LIFETIMES_BY_DAYS: dict[int, tuple[str, ...]] = {
    _YEAR // 2: ("lead_status",),
    _YEAR: (
        "email", "work_email", "lifecycle_stage", "nps_score", "satisfaction", "job_title", "role", "seniority",
        "department", "company", "company_name", "company_size", "industry",
    ),
    2 * _YEAR: ("phone", "mobile_phone", "work_phone", "website", "timezone", "income", "marital_status"),
    3 * _YEAR: ("address", "street", "city", "postal_code", "postcode", "zip", "region", "state"),
    5 * _YEAR: ("country", "language", "locale", "education"),
    10 * _YEAR: ("name", "full_name", "first_name", "last_name", "salutation", "gender"),
}  # fmt: skip
LIFETIMES = {name: days for days, names in _LIFETIMES_BY_DAYS.items() for name in names}

_YES = (True, "yes", "y", 1)
_NO = (False, "no", "n", 0)
_OPT_OUTS = (
    "unsubscribed", "opted_out", "opt_out", "email_opt_out", "email_opted_out", "sms_opt_out", "sms_opted_out",
    "phone_opt_out", "marketing_opt_out", "global_opt_out", "do_not_contact", "do_not_email", "do_not_call",
    "do_not_mail", "do_not_text", "do_not_track", "do_not_sell",
)  # fmt: skip
_OPT_INS = (
    "subscribed", "opted_in", "opt_in", "email_opt_in", "sms_opt_in", "phone_opt_in", "marketing_opt_in",
    "accepts_marketing", "marketing_consent",
)  # fmt: skip
RESTRICTIVE: dict[str, tuple[bool | int | str, ...]] = {
    **dict.fromkeys(_OPT_OUTS, _YES),
    **dict.fromkeys(_OPT_INS, _NO),
}
"""The values that permit least, by trait. One record that says so outweighs all others, as with consents."""
