/*
description: When people were active, and how much. What they did themselves counts, not what was sent to them.
inputs: [profiles, behaviour]
traits:
  first_active:
    type: timestamp
    description: When somebody first did something.
  last_active:
    type: timestamp
    description: When somebody last did something.
  days_since_active:
    type: number
    unit: days
    description: Whole days since somebody last did something.
    at_least: 0
  tenure_days:
    type: number
    unit: days
    description: Whole days since somebody was first seen by any source.
    at_least: 0
  active_days_30:
    type: number
    unit: days
    description: On how many days of the last 30 somebody did something; empty for people who never did.
    at_least: 0
    at_most: 31
  actions_30:
    type: number
    unit: actions
    description: How many things somebody did in the last 30 days; empty for people who never did any.
    at_least: 0
  actions_90:
    type: number
    unit: actions
    description: How many things somebody did in the last 90 days; empty for people who never did any.
    at_least: 0
*/
WITH ever AS (
    SELECT
        profile_id,
        min(happened_at) AS first_active,
        max(happened_at) AS last_active,
        count(*) FILTER (WHERE happened_at > $as_of - INTERVAL 30 DAY) AS actions_30,
        count(*) FILTER (WHERE happened_at > $as_of - INTERVAL 90 DAY) AS actions_90
    FROM behaviour
    GROUP BY profile_id
),
-- Telling the day in a time zone is slow, so it is done for few events.
recent AS (
    SELECT profile_id, count(DISTINCT CAST(happened_at AT TIME ZONE $timezone AS DATE)) AS active_days_30
    FROM behaviour
    WHERE happened_at > $as_of - INTERVAL 30 DAY
    GROUP BY profile_id
)
SELECT
    profiles.profile_id,
    ever.first_active,
    ever.last_active,
    floor((epoch($as_of) - epoch(ever.last_active)) / 86400) AS days_since_active,
    floor((epoch($as_of) - epoch(least(profiles.first_seen, $as_of))) / 86400) AS tenure_days,
    CASE WHEN ever.profile_id IS NOT NULL THEN coalesce(recent.active_days_30, 0) END AS active_days_30,
    ever.actions_30,
    ever.actions_90
FROM profiles
LEFT JOIN ever ON ever.profile_id = profiles.profile_id
LEFT JOIN recent ON recent.profile_id = profiles.profile_id
