"""Millstream: customer data put to work.

The four steps are packages: ``millstream.sources`` pull, ``millstream.state`` knows, ``millstream.destinations``
push, ``millstream.flows`` run them. Nothing of them is imported here, so that the command line starts quickly.
"""

import os

# Arrow takes memory from the system's allocator, unless told otherwise. Its own (mimalloc) is no faster at what is
# done here, and keeps some 60 MB that nothing uses any more.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

__version__ = "0.1.0"
