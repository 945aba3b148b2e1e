"""SurveyMonkey's refusals: every one has an id of its own beside the HTTP status."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.sandbox.system import ApiError

DOCS = "https://developer.surveymonkey.com/api/v3/#error-codes"

# Error id -> (HTTP status, name, message in our own words).
ERRORS: dict[int, tuple[int, str, str]] = {
    1000: (400, "Bad Request", "The request cannot be processed with this input."),
    1001: (400, "Bad Request", "The body is not JSON."),
    1002: (400, "Bad Request", "The body does not have the right shape."),
    1003: (400, "Bad Request", "Invalid URL parameters."),
    1010: (401, "Authorization Error", "No authorization token was given."),
    1011: (401, "Authorization Error", "The authorization token is invalid."),
    1012: (401, "Authorization Error", "The authorization token has expired."),
    1014: (403, "Permission Error", "The user has not granted this scope."),
    1018: (403, "Permission Error", "The user's account lives in another region."),
    1020: (404, "Resource Not Found", "The resource could not be found."),
    1040: (429, "Rate limit reached", "Too many requests were made, try again later."),
    1050: (500, "Internal Server Error", "The request could not be processed."),
    1051: (503, "Internal Server Error", "The service cannot be reached. Try again later."),
    1054: (502, "Bad Gateway Error", "The network could not connect to the server."),
}


def refusal(error_id: int, detail: str = "", headers: Mapping[str, str] | None = None) -> ApiError:
    """The answer with this error id; `detail` says what exactly is wrong."""
    status, name, message = ERRORS[error_id]
    error = {
        "id": str(error_id),
        "name": name,
        "docs": DOCS,
        "message": f"{message} {detail}".strip(),
        "http_status_code": status,
    }
    return ApiError(status, {"error": error}, headers)
