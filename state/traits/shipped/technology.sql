/*
description: What people use, by the latest event that tells it.
inputs: [profiles, events]
traits:
  device:
    type: text
    description: The kind of device or its model, as the latest event that names one calls it.
  os:
    type: text
    description: The operating system, as the latest event that names one calls it.
  browser:
    type: text
    description: The browser, as the latest event that names one calls it.
  devices:
    type: number
    unit: devices
    description: How many devices somebody is known by; empty where no source tells devices apart.
    at_least: 1
*/
WITH read AS (
    SELECT
        profile_id,
        happened_at,
        event_id,
        -- All at once: each look into a document reads the whole of it.
        json_extract_string(properties, [
            '$.device', '$.device_type', '$."$device"',
            '$.os', '$."$os"', '$.os_name',
            '$.browser', '$."$browser"', '$.browser_name'
        ]) AS found
    FROM events
    -- Documents without these words need not be read.
    WHERE CAST(properties AS TEXT) LIKE '%device%'
       OR CAST(properties AS TEXT) LIKE '%os"%'
       OR CAST(properties AS TEXT) LIKE '%os_name%'
       OR CAST(properties AS TEXT) LIKE '%browser%'
),
told AS (
    SELECT
        profile_id,
        happened_at,
        event_id,
        coalesce(nullif(found[1], ''), nullif(found[2], ''), nullif(found[3], '')) AS device,
        coalesce(nullif(found[4], ''), nullif(found[5], ''), nullif(found[6], '')) AS os,
        coalesce(nullif(found[7], ''), nullif(found[8], ''), nullif(found[9], '')) AS browser
    FROM read
),
latest AS (
    SELECT
        profile_id,
        last(device ORDER BY happened_at, event_id) FILTER (WHERE device IS NOT NULL) AS device,
        last(os ORDER BY happened_at, event_id) FILTER (WHERE os IS NOT NULL) AS os,
        last(browser ORDER BY happened_at, event_id) FILTER (WHERE browser IS NOT NULL) AS browser
    FROM told
    GROUP BY profile_id
),
known AS (
    SELECT member.profile_id, count(DISTINCT identifier.value) AS devices
    FROM customers.identifiers AS identifier
    JOIN customers.members AS member ON member.record_id = identifier.record_id
    WHERE identifier.kind = 'device_id'
    GROUP BY member.profile_id
)
SELECT profiles.profile_id, latest.device, latest.os, latest.browser, known.devices
FROM profiles
LEFT JOIN latest ON latest.profile_id = profiles.profile_id
LEFT JOIN known ON known.profile_id = profiles.profile_id
