/*
description: >
  What brought people here, first and last. A touch is something somebody did that names a campaign, a channel or source
  (utm parameters), or the page of another site it came from; messages sent to them are none.
inputs: [touches]
traits:
  first_touch_at:
    type: timestamp
    description: When something first brought somebody here.
  first_touch_channel:
    type: text
    description: "The channel of the first touch: its utm_medium, or else the event's own; referral where only a page is known."
  first_touch_source:
    type: text
    description: "Where the first touch came from: its utm_source, or else the host of the referring page."
  first_touch_campaign:
    type: text
    description: The campaign of the first touch.
  first_touch_referrer:
    type: text
    description: The page from which somebody came at the first touch.
  last_touch_at:
    type: timestamp
    description: When something last brought somebody here.
  last_touch_channel:
    type: text
    description: "The channel of the latest touch: its utm_medium, or else the event's own; referral where only a page is known."
  last_touch_source:
    type: text
    description: "Where the latest touch came from: its utm_source, or else the host of the referring page."
  last_touch_campaign:
    type: text
    description: The campaign of the latest touch.
  last_touch_referrer:
    type: text
    description: The page from which somebody came at the latest touch.
*/
SELECT
    profile_id,
    min(happened_at) AS first_touch_at,
    first(channel ORDER BY happened_at, event_id) AS first_touch_channel,
    first(source ORDER BY happened_at, event_id) AS first_touch_source,
    first(campaign ORDER BY happened_at, event_id) AS first_touch_campaign,
    first(referrer ORDER BY happened_at, event_id) AS first_touch_referrer,
    max(happened_at) AS last_touch_at,
    last(channel ORDER BY happened_at, event_id) AS last_touch_channel,
    last(source ORDER BY happened_at, event_id) AS last_touch_source,
    last(campaign ORDER BY happened_at, event_id) AS last_touch_campaign,
    last(referrer ORDER BY happened_at, event_id) AS last_touch_referrer
FROM touches
GROUP BY profile_id
