"""What ingest, resolve and delivery cost, each beside a bare floor. Run with ``python -m benchmarks``."""
