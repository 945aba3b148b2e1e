"""The generated parts of the docs, ``make docs``."""
