/*
description: What people bought, in the base currency. An order counts once, and not at all once it was cancelled.
inputs: [profiles, purchases, refunds]
traits:
  orders:
    type: number
    unit: orders
    description: How many orders somebody has placed; 0 for people who never bought.
    at_least: 0
    required: true
  revenue:
    type: number
    unit: currency
    description: What somebody's orders come to, in the base currency.
  average_order:
    type: number
    unit: currency
    description: What an order of somebody's is worth on average; orders without a known value do not count.
  first_order_at:
    type: timestamp
    description: When somebody placed the first order.
  last_order_at:
    type: timestamp
    description: When somebody placed the latest order.
  days_since_order:
    type: number
    unit: days
    description: Whole days since the latest order.
    at_least: 0
  orders_365:
    type: number
    unit: orders
    description: How many orders somebody has placed in the last 365 days; empty for people who never bought.
    at_least: 0
  revenue_365:
    type: number
    unit: currency
    description: What the orders of the last 365 days come to; 0 for customers without one, empty for others.
  refunded:
    type: number
    unit: currency
    description: How much of it somebody got back; a refund that names no amount is of the whole order.
  net_revenue:
    type: number
    unit: currency
    description: Revenue without what was refunded.
*/
WITH bought AS (
    SELECT
        profile_id,
        count(*) AS orders,
        sum(value) AS revenue,
        avg(value) AS average_order,
        min(happened_at) AS first_order_at,
        max(happened_at) AS last_order_at,
        count(*) FILTER (WHERE happened_at > $as_of - INTERVAL 365 DAY) AS orders_365,
        sum(value) FILTER (WHERE happened_at > $as_of - INTERVAL 365 DAY) AS revenue_365
    FROM purchases
    GROUP BY profile_id
),
given_back AS (
    SELECT refunds.profile_id, sum(coalesce(refunds.value, purchases.value)) AS refunded
    FROM refunds
    LEFT JOIN purchases ON purchases.profile_id = refunds.profile_id AND purchases.order_id = refunds.order_id
    GROUP BY refunds.profile_id
)
SELECT
    profiles.profile_id,
    coalesce(bought.orders, 0) AS orders,
    -- Sums of the same amounts differ in their last digits with the order of adding them up.
    round(bought.revenue, 6) AS revenue,
    round(bought.average_order, 6) AS average_order,
    bought.first_order_at,
    bought.last_order_at,
    floor((epoch($as_of) - epoch(bought.last_order_at)) / 86400) AS days_since_order,
    bought.orders_365,
    -- Nothing bought is 0, bought for an unknown price is unknown.
    CASE WHEN bought.orders_365 = 0 THEN 0 ELSE round(bought.revenue_365, 6) END AS revenue_365,
    CASE WHEN bought.orders > 0 THEN round(coalesce(given_back.refunded, 0), 6) END AS refunded,
    round(bought.revenue - coalesce(given_back.refunded, 0), 6) AS net_revenue
FROM profiles
LEFT JOIN bought ON bought.profile_id = profiles.profile_id
LEFT JOIN given_back ON given_back.profile_id = profiles.profile_id
