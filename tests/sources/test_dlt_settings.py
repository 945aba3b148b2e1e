"""dlt says nothing to anybody: its telemetry stays off, whatever of ours asks it for something first."""

from __future__ import annotations

import os
import subprocess
import sys

_ASKS = """
import dlt
from millstream.sources.pull import client_of
from millstream.sources.typeform import Typeform
client_of(Typeform(Typeform.Settings(access_token="t")))
print(dlt.current.run_context().runtime_config.dlthub_telemetry)
"""


def test_checking_a_source_starts_no_telemetry() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNTIME__")}
    ran = subprocess.run([sys.executable, "-c", _ASKS], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
