"""The one place that speaks HTTP: pacing, retry, authentication, typed errors, redaction.

Sources use it underneath dlt's REST client, destinations through ``millstream.destinations.http``.
"""

from millstream.state.http.answer import Answer
from millstream.state.http.auth import BasicAuth, BearerAuth, RefreshableAuth, TimedAuth, TokenGrantAuth
from millstream.state.http.budget import Budget, Budgets
from millstream.state.http.caution import Caution
from millstream.state.http.credentials import TokenOrOAuthSettings, client_credentials_auth, refresh_token_auth
from millstream.state.http.pacing import Pacer, RateLimit
from millstream.state.http.session import Classify, Retries, VendorSession

__all__ = [
    "Answer",
    "BasicAuth",
    "BearerAuth",
    "Budget",
    "Budgets",
    "Caution",
    "Classify",
    "Pacer",
    "RateLimit",
    "RefreshableAuth",
    "Retries",
    "TimedAuth",
    "TokenGrantAuth",
    "TokenOrOAuthSettings",
    "VendorSession",
    "client_credentials_auth",
    "refresh_token_auth",
]
