"""Millstream: customer data put to work.

The four steps are packages: ``millstream.sources`` pull, ``millstream.state`` knows, ``millstream.destinations``
push, ``millstream.flows`` run them. Nothing is imported here, so that the command line starts quickly.
"""

__version__ = "0.1.0"
