"""The demo, ``make demo``: everything on this machine, from made-up vendors to a scheduled pipeline in Prefect."""
