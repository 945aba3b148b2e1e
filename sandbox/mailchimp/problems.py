"""Mailchimp's refusals: `application/problem+json` with a title that says what kind it is."""

from __future__ import annotations

from collections.abc import Iterable

from millstream.sandbox.system import ApiError, JsonObject

GLOSSARY = "https://mailchimp.com/developer/marketing/docs/errors/"
INSTANCE = "00000000-0000-4000-8000-000000000000"
INVALID_RESOURCE = "Invalid Resource"


def problem(status: int, title: str, detail: str, errors: Iterable[tuple[str, str]] = ()) -> ApiError:
    """A refusal; `errors` are (field, message) for each thing that is wrong in the body."""
    body: JsonObject = {
        "type": GLOSSARY,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": INSTANCE,
    }
    fields = [{"field": field, "message": message} for field, message in errors]
    if fields:
        body["errors"] = fields
    refused = ApiError(status, body)
    refused.answer.media_type = "application/problem+json; charset=utf-8"
    return refused


def bare(status: int) -> ApiError:
    """A refusal without any body, as the vendor's front gives under load."""
    return ApiError(status, None)


def invalid_fields(*errors: tuple[str, str]) -> ApiError:
    """The body is JSON, but fields of it are wrong."""
    return problem(400, INVALID_RESOURCE, "The resource submitted could not be validated. See `errors`.", errors)


def not_found(what: str) -> ApiError:
    """Nothing by that name."""
    return problem(404, "Resource Not Found", f"The requested resource could not be found: {what}.")


class RowRefused(Exception):
    """One member cannot be written.

    Attributes:
        title: The vendor's title where the member is written alone.
        message: What is wrong.
        field: The field that is wrong, or an empty string.
        code: Error code where the member is one of a batch.
    """

    def __init__(self, title: str, message: str, field: str = "", code: str = "ERROR_GENERIC") -> None:
        super().__init__(message)
        self.title = title
        self.message = message
        self.field = field
        self.code = code

    def alone(self) -> ApiError:
        """The answer to a request about this member only."""
        errors = [(self.field, self.message)] if self.field else []
        return problem(400, self.title, self.message, errors)

    def in_batch(self, email: str) -> JsonObject:
        """The entry in `errors` of a batch."""
        return {
            "email_address": email,
            "error": self.message,
            "error_code": self.code,
            "field": self.field,
            "field_message": self.message if self.field else "",
        }


def looks_fake(email: str) -> RowRefused:
    """The address is well formed, yet the vendor does not believe in it."""
    return RowRefused("Invalid Resource", f"{email} looks fake or invalid, please enter a real email address.")
