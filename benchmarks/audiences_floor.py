"""The fifty audiences of ``audiences_rules.py`` as one DuckDB query that somebody wrote by hand for just them."""

from __future__ import annotations

from datetime import datetime

from millstream.state.store import Connection

CONDITIONS = {
    "from_country_0": "country = 'country 0'",
    "from_the_north": "country IN ('country 1', 'country 2', 'country 3')",
    "paying": "plan IN ('basic', 'plus')",
    "without_plan": "plan IS NULL",
    "vips": "vip",
    "born_before_1980": "birth_date < DATE '1980-01-01'",
    "buyers": "orders >= 1",
    "frequent_buyers": "orders >= 5",
    "spent_500": "revenue >= 500",
    "champions": "rfm_group = 'champions'",
    "promoters": "nps >= 9",
    "first_thousands": "contains(email, 'person-10')",
    "new_people": "first_seen >= TIMESTAMPTZ '2026-01-01 00:00:00+00'",
    "lapsed": "orders >= 1 AND days_since_order > 365",
    "at_risk_and_rich": "rfm_group = 'at_risk' AND revenue >= 300",
    "ordered_ever": "ordered > 0",
    "ordered_30d": "ordered_30 > 0",
    "ordered_thrice_90d": "ordered_90 >= 3",
    "spent_200_90d": "spent_90 >= 200",
    "never_ordered": "coalesce(ordered, 0) = 0",
    "looked_but_left": "viewed_7 > 0 AND ordered_7 = 0",
    "opened_30d": "opened_30 > 0",
    "clicked_30d": "clicked_30 > 0",
    "mail_in_vain": "sent_90 >= 2 AND opened_90 = 0",
    "with_tickets_180d": "tickets_180 >= 2",
    "heavy_browsers": "pages_30 >= 5",
    "app_viewers": "viewed_in_app > 0",
    "of_campaign_5": "pages_of_campaign > 0",
    "gift_buyers": "gifts > 0",
    "into_category_3": "viewed_category > 0",
    "of_size_42": "added_size > 0",
    "gone_quiet": "coalesce(pages_60, 0) = 0",
    "signed_up_this_week": "signed_up_7 > 0",
    "surveyed_this_year": "surveyed_365 > 0",
    "light_buyers": "ordered_365 BETWEEN 1 AND 2",
    "buyers_of_old": "ordered_before_180 > 0 AND ordered_180 = 0",
    "cart_then_order": "cart_then_order.profile_id IS NOT NULL",
    "looked_took_bought": "looked_took_bought.profile_id IS NOT NULL",
    "cart_left": "cart_left.profile_id IS NOT NULL",
    "mailable": "email_granted AND has_email",
    "textable": "sms_granted AND has_phone",
    "known_by_device": "has_device",
    "unreachable": "NOT coalesce(email_granted, FALSE) AND NOT coalesce(sms_granted, FALSE)",
    "top_10_by_revenue": "revenue >= revenue_top_10",
    "bottom_20_by_actions": "actions_30 <= actions_bottom_20",
    "power_users": "actions_30 >= actions_top_10",
    "reachable_vips": "vip AND email_granted AND has_email",
    "buyers_to_ask": "orders >= 1 AND NOT coalesce(email_granted AND has_email, FALSE)",
    "win_back": "orders >= 1 AND days_since_order > 365 AND email_granted AND has_email "
    "AND coalesce(clicked_90, 0) = 0",
    "best_customers": "revenue >= revenue_top_10 OR rfm_group = 'champions' AND spent_90 >= 200",
}

_QUERY = """
WITH happened AS NOT MATERIALIZED (
    SELECT profile_id, name, happened_at, value_base, channel, campaign,
        CASE WHEN name = 'Order Completed' THEN json_extract_string(properties, 'gift') END AS gift,
        CASE WHEN name = 'Product Viewed' THEN json_extract_string(properties, 'category') END AS category,
        CASE WHEN name = 'Product Added' THEN json_extract_string(properties, 'size') END AS size
    FROM customers.events JOIN customers.members USING (record_id)
    WHERE happened_at <= $now
),
facts AS (
    SELECT profile_id,
        count(*) FILTER (name = 'Order Completed') AS ordered,
        count(*) FILTER (name = 'Order Completed' AND happened_at > $now - INTERVAL 30 DAY) AS ordered_30,
        count(*) FILTER (name = 'Order Completed' AND happened_at > $now - INTERVAL 90 DAY) AS ordered_90,
        count(*) FILTER (name = 'Order Completed' AND happened_at > $now - INTERVAL 7 DAY) AS ordered_7,
        count(*) FILTER (name = 'Order Completed' AND happened_at > $now - INTERVAL 180 DAY) AS ordered_180,
        count(*) FILTER (name = 'Order Completed' AND happened_at <= $now - INTERVAL 180 DAY) AS ordered_before_180,
        count(*) FILTER (name = 'Order Completed' AND happened_at > $now - INTERVAL 365 DAY) AS ordered_365,
        coalesce(sum(value_base) FILTER (name = 'Order Completed' AND happened_at > $now - INTERVAL 90 DAY), 0)
            AS spent_90,
        count(*) FILTER (name = 'Order Completed' AND gift = 'true') AS gifts,
        count(*) FILTER (name = 'Product Viewed' AND happened_at > $now - INTERVAL 7 DAY) AS viewed_7,
        count(*) FILTER (name = 'Product Viewed' AND happened_at > $now - INTERVAL 30 DAY AND channel = 'app')
            AS viewed_in_app,
        count(*) FILTER (name = 'Product Viewed' AND happened_at > $now - INTERVAL 60 DAY
            AND category = 'category 3') AS viewed_category,
        count(*) FILTER (name = 'Product Added' AND happened_at > $now - INTERVAL 90 DAY
            AND size IN ('42', '43')) AS added_size,
        count(*) FILTER (name = 'Email Opened' AND happened_at > $now - INTERVAL 30 DAY) AS opened_30,
        count(*) FILTER (name = 'Email Opened' AND happened_at > $now - INTERVAL 90 DAY) AS opened_90,
        count(*) FILTER (name = 'Email Clicked' AND happened_at > $now - INTERVAL 30 DAY) AS clicked_30,
        count(*) FILTER (name = 'Email Clicked' AND happened_at > $now - INTERVAL 90 DAY) AS clicked_90,
        count(*) FILTER (name = 'Email Sent' AND happened_at > $now - INTERVAL 90 DAY) AS sent_90,
        count(*) FILTER (name = 'Ticket Opened' AND happened_at > $now - INTERVAL 180 DAY) AS tickets_180,
        count(*) FILTER (name = 'Page Viewed' AND happened_at > $now - INTERVAL 30 DAY) AS pages_30,
        count(*) FILTER (name = 'Page Viewed' AND happened_at > $now - INTERVAL 60 DAY) AS pages_60,
        count(*) FILTER (name = 'Page Viewed' AND happened_at > $now - INTERVAL 90 DAY
            AND campaign = 'campaign 5') AS pages_of_campaign,
        count(*) FILTER (name = 'Signed Up' AND happened_at > $now - INTERVAL 7 DAY) AS signed_up_7,
        count(*) FILTER (name = 'Survey Responded' AND happened_at > $now - INTERVAL 365 DAY) AS surveyed_365
    FROM happened GROUP BY profile_id
),
recent AS MATERIALIZED (
    SELECT profile_id, name, happened_at FROM happened
    WHERE happened_at > $now - INTERVAL 30 DAY AND name IN ('Product Viewed', 'Product Added', 'Order Completed')
),
cart_then_order AS (
    SELECT DISTINCT ordered.profile_id
    FROM recent AS ordered ASOF JOIN (SELECT * FROM recent WHERE name = 'Product Added') AS added
      ON added.profile_id = ordered.profile_id AND added.happened_at < ordered.happened_at
    WHERE ordered.name = 'Order Completed' AND ordered.happened_at <= added.happened_at + INTERVAL 2 DAY
),
first_viewed AS (
    SELECT profile_id, min(happened_at) AS happened_at FROM recent WHERE name = 'Product Viewed' GROUP BY profile_id
),
then_added AS (
    SELECT recent.profile_id, min(recent.happened_at) AS happened_at FROM recent JOIN first_viewed AS viewed
      ON viewed.profile_id = recent.profile_id AND recent.happened_at > viewed.happened_at
    WHERE recent.name = 'Product Added' GROUP BY recent.profile_id
),
looked_took_bought AS (
    SELECT DISTINCT recent.profile_id FROM recent JOIN then_added AS added
      ON added.profile_id = recent.profile_id AND recent.happened_at > added.happened_at
    WHERE recent.name = 'Order Completed'
),
cart_left AS (
    SELECT DISTINCT added.profile_id
    FROM recent AS added ASOF LEFT JOIN (SELECT * FROM recent WHERE name = 'Order Completed') AS ordered
      ON ordered.profile_id = added.profile_id AND ordered.happened_at > added.happened_at
    WHERE added.name = 'Product Added' AND added.happened_at > $now - INTERVAL 14 DAY
      AND added.happened_at + INTERVAL 3 DAY <= $now
      AND (ordered.happened_at IS NULL OR ordered.happened_at > added.happened_at + INTERVAL 3 DAY)
),
granted AS (
    SELECT profile_id, bool_or(channel = 'email') AS email_granted, bool_or(channel = 'sms') AS sms_granted
    FROM customers.profile_consents WHERE topic = 'marketing' AND status = 'granted' GROUP BY profile_id
),
known AS (
    SELECT profile_id, bool_or(kind = 'email') AS has_email, bool_or(kind = 'phone') AS has_phone,
        bool_or(kind = 'device_id') AS has_device
    FROM customers.identifiers JOIN customers.members USING (record_id) GROUP BY profile_id
),
thresholds AS MATERIALIZED (
    SELECT (SELECT revenue FROM customers.people WHERE revenue IS NOT NULL ORDER BY revenue DESC LIMIT 1 OFFSET (
            SELECT CAST(ceil(count(revenue) * 10 / 100) AS BIGINT) - 1 FROM customers.people)) AS revenue_top_10,
        (SELECT actions_30 FROM customers.people WHERE actions_30 IS NOT NULL ORDER BY actions_30 LIMIT 1 OFFSET (
            SELECT CAST(ceil(count(actions_30) * 20 / 100) AS BIGINT) - 1 FROM customers.people)) AS actions_bottom_20,
        (SELECT actions_30 FROM customers.people WHERE actions_30 IS NOT NULL ORDER BY actions_30 DESC LIMIT 1 OFFSET (
            SELECT CAST(ceil(count(actions_30) * 10 / 100) AS BIGINT) - 1 FROM customers.people)) AS actions_top_10
),
flags AS (
    SELECT profile_id, {flags}
    FROM customers.people CROSS JOIN thresholds LEFT JOIN granted USING (profile_id) LEFT JOIN known USING (profile_id)
    LEFT JOIN cart_then_order USING (profile_id) LEFT JOIN looked_took_bought USING (profile_id)
    LEFT JOIN cart_left USING (profile_id) LEFT JOIN facts USING (profile_id)
)
{members}
"""


def query(names: list[str]) -> str:
    """One SELECT of audience and profile_id, of these audiences, with ``$now``."""
    flags = ", ".join(f"{CONDITIONS[name]} AS {name}" for name in names)
    members = " UNION ALL ".join(f"SELECT '{name}' AS audience, profile_id FROM flags WHERE {name}" for name in names)
    return _QUERY.format(flags=flags, members=members)


def build(connection: Connection, names: list[str], *, run_id: str, as_of: datetime) -> None:
    """The first time: everybody enters."""
    connection.execute("CREATE SCHEMA by_hand")
    connection.execute(
        f"""
        CREATE TABLE by_hand.memberships AS
        SELECT audience, profile_id, CAST($now AS TIMESTAMPTZ) AS entered_at, $run AS entered_run,
               TIMESTAMPTZ 'infinity' AS left_at, CAST(NULL AS TEXT) AS left_run, 'meets the rule' AS reason
        FROM ({query(names)})
        """,
        {"now": as_of, "run": run_id},
    )


def update(connection: Connection, names: list[str], *, run_id: str, as_of: datetime) -> None:
    """Every time after: who is new enters, who is no longer in it leaves.

    A stay that lasts ends at infinity: by that DuckDB can join on equal values alone, without which this takes hours.
    """
    connection.execute(
        f"""
        MERGE INTO by_hand.memberships AS stay
        USING (SELECT *, TIMESTAMPTZ 'infinity' AS left_at FROM ({query(names)})) AS now
        USING (audience, profile_id, left_at)
        WHEN NOT MATCHED THEN INSERT VALUES (audience, profile_id, $now, $run, left_at, NULL, 'meets the rule')
        WHEN NOT MATCHED BY SOURCE AND left_at = TIMESTAMPTZ 'infinity' THEN
            UPDATE SET left_at = $now, left_run = $run, reason = 'no longer meets the rule'
        """,
        {"now": as_of, "run": run_id},
    )
