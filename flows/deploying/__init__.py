"""A project's flows as Prefect deployments: their forms, their schedules, ``prefect.yaml``."""
