"""Check a source without pulling: the credential first, then each stream that needs a permission of its own."""

from __future__ import annotations

from millstream.sources.contract import Stream
from millstream.sources.pull import AnySource, Pull, client_of
from millstream.state.checks import CheckResult, run_check
from millstream.state.http import Retries

QUICK = Retries(attempts=2, first_wait=0.2, longest_retry_after=5.0)


def check_source(source: AnySource, *, name: str) -> list[CheckResult]:
    """Tell wrong credentials from a missing scope from no network.

    Args:
        source: The connector with its settings.
        name: Its name in the project.

    Returns:
        One result for the source and, if that is good, one for each selected stream with a scope.
    """
    client, pacer = client_of(source, retries=QUICK)

    def pull(stream: Stream | None) -> Pull:
        return Pull(stream, client, pacer=pacer)

    def probe_stream(stream: Stream) -> CheckResult:
        return run_check(f"{name}.{stream.name}", "source", lambda: source.probe_stream(pull(stream)))

    results = [run_check(name, "source", lambda: source.probe(pull(None)))]
    if results[0].ok:
        results += [probe_stream(stream) for stream in source.selected_streams() if stream.scope]
    return results
