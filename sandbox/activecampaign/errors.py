"""ActiveCampaign's refusals, which have no shape in common: each endpoint has its own."""

from __future__ import annotations

from millstream.sandbox.system import ApiError, JsonObject


def message(status: int, text: str) -> ApiError:
    """A refusal that is one sentence."""
    return ApiError(status, {"message": text})


def missing(kind: str, number: object) -> ApiError:
    """Nothing with that id; `kind` is the vendor's inner name of the thing."""
    return message(404, f"No Result found for {kind} with id {number}")


def not_permitted(what: str) -> ApiError:
    """The key's user may not do this."""
    return ApiError(
        403, {"errors": [{"status": 403, "title": "Forbidden", "detail": f"You do not have permission to {what}."}]}
    )


def unprocessable(title: str, code: str = "", pointer: str = "", detail: str = "") -> ApiError:
    """The body is understood, but cannot be taken."""
    problem: JsonObject = {"title": title, "detail": detail, "code": code}
    if pointer:
        problem["source"] = {"pointer": f"/data/attributes/{pointer}"}
    return ApiError(422, {"errors": [problem]})


def missing_attribute(name: str) -> ApiError:
    """A part of the body that must be there is not."""
    return unprocessable("Missing attribute", "missing_attribute", name)


def import_refused(text: str, reasons: list[JsonObject] | list[str]) -> ApiError:
    """A bulk import that is not queued: either what is wrong with which contact, or sentences."""
    return ApiError(400, {"success": 0, "message": text, "failureReasons": reasons})
