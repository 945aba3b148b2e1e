"""Reports as commands show them to people, and to programs with ``--json``."""
