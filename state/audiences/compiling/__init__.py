"""From rules to SQL: expressions over people, what they rest on, and the stages of one query."""
