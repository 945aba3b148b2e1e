/*
description: What people answered in surveys, and how they rated the service they got.
inputs: [survey_answers]
traits:
  nps:
    type: number
    unit: points
    description: How likely somebody is to recommend us, from 0 to 10, as they last said.
    at_least: 0
    at_most: 10
  nps_group:
    type: text
    description: promoter (9 or 10), passive (7 or 8) or detractor (6 or less), by the latest answer.
    allowed: [promoter, passive, detractor]
  nps_at:
    type: timestamp
    description: When somebody last said how likely they are to recommend us.
  satisfaction:
    type: number
    unit: share
    description: How satisfied somebody was with the service, from 0 (bad) to 1 (good), by the latest rating.
    at_least: 0
    at_most: 1
  surveys_answered:
    type: number
    unit: answers
    description: How many surveys somebody has answered, ratings of service included; empty for people without any.
    at_least: 1
*/
WITH latest AS (
    SELECT
        profile_id,
        last(nps_score ORDER BY happened_at, event_id) FILTER (WHERE nps_score BETWEEN 0 AND 10) AS nps,
        max(happened_at) FILTER (WHERE nps_score BETWEEN 0 AND 10) AS nps_at,
        last(satisfaction ORDER BY happened_at, event_id) FILTER (WHERE satisfaction IS NOT NULL) AS satisfaction,
        count(*) AS surveys_answered
    FROM survey_answers
    GROUP BY profile_id
)
SELECT
    profile_id,
    nps,
    CASE WHEN nps >= 9 THEN 'promoter' WHEN nps >= 7 THEN 'passive' WHEN nps < 7 THEN 'detractor' END AS nps_group,
    nps_at,
    satisfaction,
    surveys_answered
FROM latest
