/*
description: How much support people need, by their tickets.
inputs: [tickets]
traits:
  tickets:
    type: number
    unit: tickets
    description: How many tickets somebody has had; empty for people who never had one.
    at_least: 1
  tickets_90:
    type: number
    unit: tickets
    description: How many tickets of the last 90 days somebody has; empty for people who never had one.
    at_least: 0
  open_tickets:
    type: number
    unit: tickets
    description: How many tickets of somebody's are not solved, or were opened again.
    at_least: 0
  tickets_reopened:
    type: number
    unit: tickets
    description: How many tickets of somebody's were opened again after they had been solved.
    at_least: 0
  last_ticket_at:
    type: timestamp
    description: When somebody last opened a ticket.
  support_load:
    type: text
    description: >
      How much support somebody needed in the last 90 days: none, light (one or two tickets) or heavy (three or more);
      empty for people who never had a ticket.
    allowed: [none, light, heavy]
*/
WITH counted AS (
    SELECT
        profile_id,
        count(*) AS tickets,
        count(*) FILTER (WHERE opened_at > $as_of - INTERVAL 90 DAY) AS tickets_90,
        count(*) FILTER (WHERE solved_at IS NULL) AS open_tickets,
        count(*) FILTER (WHERE reopened > 0) AS tickets_reopened,
        max(opened_at) AS last_ticket_at
    FROM tickets
    GROUP BY profile_id
)
SELECT
    profile_id,
    tickets,
    tickets_90,
    open_tickets,
    tickets_reopened,
    last_ticket_at,
    CASE WHEN tickets_90 = 0 THEN 'none' WHEN tickets_90 <= 2 THEN 'light' ELSE 'heavy' END AS support_load
FROM counted
