/*
description: >
  How people react to what they are sent: opening, clicking, tapping. Programs that open and click by themselves do not
  count where the source tells them apart.
inputs: [profiles, messages, behaviour]
traits:
  emails_sent_90:
    type: number
    unit: messages
    description: How many e-mails somebody was sent in the last 90 days; empty for people without any message ever.
    at_least: 0
  emails_opened_90:
    type: number
    unit: reactions
    description: How many times somebody opened an e-mail in the last 90 days.
    at_least: 0
  emails_clicked_90:
    type: number
    unit: reactions
    description: How many times somebody clicked a link in an e-mail in the last 90 days.
    at_least: 0
  email_open_rate_90:
    type: number
    unit: share
    description: Openings for each e-mail sent in the last 90 days, at most 1.
    at_least: 0
    at_most: 1
  email_click_rate_90:
    type: number
    unit: share
    description: Clicks for each e-mail sent in the last 90 days, at most 1.
    at_least: 0
    at_most: 1
  sms_sent_90:
    type: number
    unit: messages
    description: How many text messages somebody was sent in the last 90 days.
    at_least: 0
  sms_clicked_90:
    type: number
    unit: reactions
    description: How many times somebody clicked a link in a text message in the last 90 days.
    at_least: 0
  sms_click_rate_90:
    type: number
    unit: share
    description: Clicks for each text message sent in the last 90 days, at most 1.
    at_least: 0
    at_most: 1
  push_sent_90:
    type: number
    unit: messages
    description: How many push notifications somebody was sent in the last 90 days.
    at_least: 0
  push_tapped_90:
    type: number
    unit: reactions
    description: How many times somebody tapped a push notification in the last 90 days.
    at_least: 0
  push_tap_rate_90:
    type: number
    unit: share
    description: Taps for each push notification sent in the last 90 days, at most 1.
    at_least: 0
    at_most: 1
  preferred_channel:
    type: text
    description: The channel with the most reactions in the last 365 days; if there are several, the first by alphabet.
  preferred_hour:
    type: number
    unit: hour of day
    description: >
      The hour (0 to 23, in the project's time zone) in which somebody did most in the last 365 days, reactions to
      messages included; if there are several, the earliest.
    at_least: 0
    at_most: 23
  last_engaged_at:
    type: timestamp
    description: When somebody last reacted to a message.
  engagement:
    type: text
    description: >
      How much somebody reacts: high (three reactions or more in the last 30 days), medium (one or two), low (one or more
      in the last 365 days), none (none, though messages were sent); empty for people who were never sent any.
    allowed: [high, medium, low, none]
*/
WITH told AS (
    SELECT
        profile_id,
        channel,
        kind,
        happened_at,
        kind IN ('opened', 'clicked', 'tapped') AS is_reaction,
        happened_at > $as_of - INTERVAL 90 DAY AS is_recent
    FROM messages
    WHERE kind IN ('sent', 'delivered', 'opened', 'clicked', 'tapped')
),
counted AS (
    SELECT
        profile_id,
        count(*) FILTER (WHERE is_recent AND channel = 'email' AND kind = 'sent') AS emails_sent_90,
        count(*) FILTER (WHERE is_recent AND channel = 'email' AND kind = 'opened') AS emails_opened_90,
        count(*) FILTER (WHERE is_recent AND channel = 'email' AND kind = 'clicked') AS emails_clicked_90,
        count(*) FILTER (WHERE is_recent AND channel = 'sms' AND kind = 'sent') AS sms_sent_90,
        count(*) FILTER (WHERE is_recent AND channel = 'sms' AND kind = 'clicked') AS sms_clicked_90,
        count(*) FILTER (WHERE is_recent AND channel = 'push' AND kind = 'sent') AS push_sent_90,
        count(*) FILTER (WHERE is_recent AND channel = 'push' AND kind = 'tapped') AS push_tapped_90,
        max(happened_at) FILTER (WHERE is_reaction) AS last_engaged_at,
        count(*) FILTER (WHERE is_reaction AND happened_at > $as_of - INTERVAL 30 DAY) AS reactions_30
    FROM told
    GROUP BY profile_id
),
channels AS (
    SELECT profile_id, channel, count(*) AS reactions
    FROM told
    WHERE is_reaction AND happened_at > $as_of - INTERVAL 365 DAY
    GROUP BY profile_id, channel
),
preferred_channels AS (
    SELECT profile_id, first(channel ORDER BY reactions DESC, channel) AS channel
    FROM channels
    GROUP BY profile_id
),
hours AS (
    SELECT profile_id, extract(hour FROM happened_at AT TIME ZONE $timezone) AS hour_of_day, count(*) AS actions
    FROM behaviour
    WHERE happened_at > $as_of - INTERVAL 365 DAY
    GROUP BY ALL
),
preferred_hours AS (
    SELECT profile_id, first(hour_of_day ORDER BY actions DESC, hour_of_day) AS hour_of_day
    FROM hours
    GROUP BY profile_id
)
SELECT
    profiles.profile_id,
    emails_sent_90,
    emails_opened_90,
    emails_clicked_90,
    CASE WHEN emails_sent_90 > 0 THEN least(1, emails_opened_90 / emails_sent_90) END AS email_open_rate_90,
    CASE WHEN emails_sent_90 > 0 THEN least(1, emails_clicked_90 / emails_sent_90) END AS email_click_rate_90,
    sms_sent_90,
    sms_clicked_90,
    CASE WHEN sms_sent_90 > 0 THEN least(1, sms_clicked_90 / sms_sent_90) END AS sms_click_rate_90,
    push_sent_90,
    push_tapped_90,
    CASE WHEN push_sent_90 > 0 THEN least(1, push_tapped_90 / push_sent_90) END AS push_tap_rate_90,
    preferred_channels.channel AS preferred_channel,
    preferred_hours.hour_of_day AS preferred_hour,
    last_engaged_at,
    CASE
        WHEN reactions_30 >= 3 THEN 'high'
        WHEN reactions_30 >= 1 THEN 'medium'
        WHEN last_engaged_at > $as_of - INTERVAL 365 DAY THEN 'low'
        WHEN counted.profile_id IS NOT NULL THEN 'none'
    END AS engagement
FROM profiles
LEFT JOIN counted ON counted.profile_id = profiles.profile_id
LEFT JOIN preferred_channels ON preferred_channels.profile_id = profiles.profile_id
LEFT JOIN preferred_hours ON preferred_hours.profile_id = profiles.profile_id
