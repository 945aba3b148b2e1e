/*
description: >
  Where people are: what their records say, filled up from the latest event that tells a place, unless that is another
  place than the records say.
inputs: [profiles, events]
profile_traits: {country: text, region: text, state: text, city: text}
traits:
  place_country:
    type: text
    description: The country somebody is in, as the source calls it.
  place_region:
    type: text
    description: The region or state somebody is in.
  place_city:
    type: text
    description: The city somebody is in.
*/
WITH read AS (
    SELECT
        profile_id,
        happened_at,
        event_id,
        json_extract_string(properties, ['$.country', '$.region', '$.city']) AS found
    FROM events
    -- Documents without these words need not be read.
    WHERE CAST(properties AS TEXT) LIKE '%"country"%'
       OR CAST(properties AS TEXT) LIKE '%"region"%'
       OR CAST(properties AS TEXT) LIKE '%"city"%'
),
told AS (
    SELECT
        profile_id,
        happened_at,
        event_id,
        nullif(found[1], '') AS country,
        nullif(found[2], '') AS region,
        nullif(found[3], '') AS city
    FROM read
),
seen AS (
    SELECT
        profile_id,
        last(country ORDER BY happened_at, event_id) AS country,
        last(region ORDER BY happened_at, event_id) AS region,
        last(city ORDER BY happened_at, event_id) AS city
    FROM told
    WHERE coalesce(country, region, city) IS NOT NULL
    GROUP BY profile_id
),
recorded AS (
    SELECT
        profile_id,
        nullif(trim(country), '') AS country,
        coalesce(nullif(trim(region), ''), nullif(trim(state), '')) AS region,
        nullif(trim(city), '') AS city
    FROM profiles
),
compared AS (
    SELECT
        recorded.*,
        seen.country AS seen_country,
        seen.region AS seen_region,
        seen.city AS seen_city,
        coalesce(lower(seen.country) <> lower(recorded.country), FALSE)
            OR coalesce(lower(seen.region) <> lower(recorded.region), FALSE)
            OR coalesce(lower(seen.city) <> lower(recorded.city), FALSE) AS is_elsewhere
    FROM recorded
    LEFT JOIN seen ON seen.profile_id = recorded.profile_id
)
SELECT
    profile_id,
    CASE WHEN is_elsewhere THEN country ELSE coalesce(country, seen_country) END AS place_country,
    CASE WHEN is_elsewhere THEN region ELSE coalesce(region, seen_region) END AS place_region,
    CASE WHEN is_elsewhere THEN city ELSE coalesce(city, seen_city) END AS place_city
FROM compared
