"""Write data feeds of some days: `python -m millstream.sandbox.adobe_analytics FOLDER --days 7`."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

from millstream.sandbox.adobe_analytics.feed import write_feed
from millstream.sandbox.company import Company


def main() -> None:
    """Write the feeds of the last days before the company's present."""
    parser = argparse.ArgumentParser(description="Write Adobe Analytics data feeds of the sandbox's company.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--people", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--today", type=date.fromisoformat, default=None)
    options = parser.parse_args()
    company = Company(options.people, options.seed, options.today)
    for days_ago in range(options.days, 0, -1):
        manifest = write_feed(company, options.folder, company.day(days_ago))
        sys.stdout.write(f"{manifest}\n")


if __name__ == "__main__":
    main()
