/*
description: What people buy, by the products that their orders list.
inputs: [line_items]
traits:
  favourite_category:
    type: text
    description: >
      The category of which somebody bought the most pieces; if there are several, that for which more was paid, then
      the first by alphabet.
  favourite_product:
    type: text
    description: >
      The product of which somebody bought the most pieces, by its name, or its id where it has none; if there are
      several, that for which more was paid, then the first by alphabet.
  products_bought:
    type: number
    unit: products
    description: How many different products somebody has bought.
    at_least: 0
*/
WITH categories AS (
    -- To the cent: what is equal for people is equal here, however it was added up.
    SELECT profile_id, category, sum(quantity) AS pieces, round(coalesce(sum(quantity * price), 0), 2) AS paid
    FROM line_items
    WHERE category IS NOT NULL
    GROUP BY profile_id, category
),
products AS (
    SELECT
        profile_id,
        coalesce(name, product_id) AS product,
        sum(quantity) AS pieces,
        round(coalesce(sum(quantity * price), 0), 2) AS paid
    FROM line_items
    GROUP BY profile_id, coalesce(name, product_id)
),
favourite_categories AS (
    SELECT profile_id, first(category ORDER BY pieces DESC, paid DESC, category) AS category
    FROM categories
    GROUP BY profile_id
),
favourite_products AS (
    SELECT profile_id, first(product ORDER BY pieces DESC, paid DESC, product) AS product
    FROM products
    WHERE product IS NOT NULL
    GROUP BY profile_id
),
bought AS (
    SELECT profile_id, count(DISTINCT product_id) AS products
    FROM line_items
    GROUP BY profile_id
)
SELECT
    bought.profile_id,
    favourite_categories.category AS favourite_category,
    favourite_products.product AS favourite_product,
    bought.products AS products_bought
FROM bought
LEFT JOIN favourite_categories ON favourite_categories.profile_id = bought.profile_id
LEFT JOIN favourite_products ON favourite_products.profile_id = bought.profile_id
