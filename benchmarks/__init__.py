"""What ingest, resolve and delivery cost, each beside a bare floor. Run with ``python -m benchmarks``."""

import millstream  # noqa: F401 - before Arrow, as in every program: it says whose allocator Arrow uses
