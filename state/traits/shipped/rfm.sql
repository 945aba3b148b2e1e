/*
description: >
  Recency, frequency and monetary value of customers: each a score from 1 to 5 beside all other customers, and the
  group that follows from them. People who never bought have none.
inputs: [purchases]
traits:
  recency_score:
    type: number
    description: How recent the latest order is; 5 for the most recent fifth of the customers.
    at_least: 1
    at_most: 5
  frequency_score:
    type: number
    description: How many orders somebody has placed; 5 for the fifth with the most. Equal numbers score alike.
    at_least: 1
    at_most: 5
  monetary_score:
    type: number
    description: What all orders come to; 5 for the fifth with the highest revenue.
    at_least: 1
    at_most: 5
  rfm_score:
    type: text
    description: The three scores side by side, as 543 for recency 5, frequency 4, monetary value 3.
  rfm_group:
    type: text
    description: >
      What kind of customer somebody is: champions (lately, often and much), loyal (often), cannot_lose (often and much,
      but long ago), at_risk (fairly often, but long ago), new (one order, lately), potential_loyal (lately),
      dormant (long ago), needs_attention (in the middle).
    allowed: [champions, loyal, cannot_lose, at_risk, new, potential_loyal, dormant, needs_attention]
*/
WITH customers AS (
    SELECT
        profile_id,
        max(happened_at) AS last_order_at,
        count(*) AS orders,
        -- To the cent: what is equal for people is equal here, however it was added up.
        round(coalesce(sum(value), 0), 2) AS revenue
    FROM purchases
    GROUP BY profile_id
),
-- rank() - 1 is how many customers do worse.
scored AS (
    SELECT
        profile_id,
        orders,
        1 + 5 * (rank() OVER (ORDER BY last_order_at) - 1) // count(*) OVER () AS recency,
        1 + 5 * (rank() OVER (ORDER BY orders) - 1) // count(*) OVER () AS frequency,
        1 + 5 * (rank() OVER (ORDER BY revenue) - 1) // count(*) OVER () AS monetary
    FROM customers
)
SELECT
    profile_id,
    recency AS recency_score,
    frequency AS frequency_score,
    monetary AS monetary_score,
    concat(recency, frequency, monetary) AS rfm_score,
    CASE
        WHEN recency >= 4 AND frequency >= 4 AND monetary >= 4 THEN 'champions'
        WHEN recency >= 3 AND frequency >= 4 THEN 'loyal'
        WHEN recency <= 2 AND frequency >= 4 AND monetary >= 4 THEN 'cannot_lose'
        WHEN recency <= 2 AND frequency >= 3 THEN 'at_risk'
        WHEN recency >= 4 AND orders = 1 THEN 'new'
        WHEN recency >= 4 THEN 'potential_loyal'
        WHEN recency <= 2 THEN 'dormant'
        ELSE 'needs_attention'
    END AS rfm_group
FROM scored
