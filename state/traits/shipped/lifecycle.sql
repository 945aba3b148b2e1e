/*
description: Where people stand as customers, and their birthdays.
inputs: [profiles, purchases, behaviour]
profile_traits: {birth_date: date, birthday: date}
traits:
  lifecycle:
    type: text
    description: >
      The first that holds: new_customer (first order in the last 30 days), active_customer (an order in the first half
      of the days after which a customer has lapsed), lapsing (an order in the second half), lapsed (longer ago),
      active_prospect (never bought, but did something lately), prospect (everybody else). The days are lapsed_days and
      active_days of the section traits.
    allowed: [new_customer, active_customer, lapsing, lapsed, active_prospect, prospect]
    required: true
  days_to_birthday:
    type: number
    unit: days
    description: Days until the next birthday, 0 on the day itself; who was born on 29 February has it on 1 March in other years.
    at_least: 0
    at_most: 365
  age:
    type: number
    unit: years
    description: Age in whole years; empty where the date of birth makes somebody older than 120.
    at_least: 0
    at_most: 120
*/
WITH bought AS (
    SELECT profile_id, min(happened_at) AS first_order_at, max(happened_at) AS last_order_at
    FROM purchases
    GROUP BY profile_id
),
active AS (
    SELECT profile_id, max(happened_at) AS last_active
    FROM behaviour
    GROUP BY profile_id
),
born AS (
    SELECT
        profile_id,
        coalesce(birth_date, birthday) AS birth_date,
        CAST($as_of AT TIME ZONE $timezone AS DATE) AS today
    FROM profiles
),
-- The days are counted from the first of the month: that makes 29 February 1 March where there is none.
birthdays AS (
    SELECT
        profile_id,
        today,
        year(today) - year(birth_date) AS turns,
        make_date(year(today), month(birth_date), 1) + (CAST(day(birth_date) AS INTEGER) - 1) AS this_year,
        make_date(year(today) + 1, month(birth_date), 1) + (CAST(day(birth_date) AS INTEGER) - 1) AS next_year
    FROM born
    WHERE birth_date <= today
),
ages AS (
    SELECT
        profile_id,
        CASE WHEN this_year >= today THEN this_year ELSE next_year END - today AS days_to_birthday,
        CASE WHEN this_year <= today THEN turns ELSE turns - 1 END AS age
    FROM birthdays
)
SELECT
    profiles.profile_id,
    CASE
        WHEN bought.first_order_at > $as_of - INTERVAL 30 DAY THEN 'new_customer'
        WHEN bought.last_order_at > $as_of - $lapsed_days * INTERVAL 12 HOUR THEN 'active_customer'
        WHEN bought.last_order_at > $as_of - $lapsed_days * INTERVAL 24 HOUR THEN 'lapsing'
        WHEN bought.profile_id IS NOT NULL THEN 'lapsed'
        WHEN active.last_active > $as_of - $active_days * INTERVAL 24 HOUR THEN 'active_prospect'
        ELSE 'prospect'
    END AS lifecycle,
    ages.days_to_birthday,
    CASE WHEN ages.age <= 120 THEN ages.age END AS age
FROM profiles
LEFT JOIN bought ON bought.profile_id = profiles.profile_id
LEFT JOIN active ON active.profile_id = profiles.profile_id
LEFT JOIN ages ON ages.profile_id = profiles.profile_id
