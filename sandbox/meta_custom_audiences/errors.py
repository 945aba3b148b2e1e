"""The Graph API's way of refusing: one envelope, where the code says more than the status."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from millstream.sandbox.system import ApiError, JsonObject

PERMISSION_CODES = frozenset({3, 10, 200, 294})
APPLICATION_LIMIT = 4


def graph_error(
    code: int,
    message: str,
    *,
    subcode: int | None = None,
    kind: str = "OAuthException",
    user: tuple[str, str] | None = None,
    status: int | None = None,
    transient: bool = False,
    headers: Mapping[str, str] | None = None,
) -> ApiError:
    """A refusal; `user` is the title and the text meant for people."""
    error: JsonObject = {"message": message, "type": kind, "code": code}
    if subcode is not None:
        error["error_subcode"] = subcode
    if transient or user is not None:
        error["is_transient"] = transient
    if user is not None:
        error |= {"error_user_title": user[0], "error_user_msg": user[1]}
    error["fbtrace_id"] = "A" + secrets.token_urlsafe(16)
    if status is None:
        status = 403 if code in PERMISSION_CODES or code == APPLICATION_LIMIT else 400
    return ApiError(status, {"error": error}, headers)


def invalid(message: str) -> ApiError:
    """Something is wrong with a parameter."""
    return graph_error(100, f"(#100) {message}")


def no_such_object(method: str, object_id: str) -> ApiError:
    """No such object, or it is somebody else's: the vendor does not say which."""
    return graph_error(
        100,
        f"Unsupported {method.lower()} request. Object with ID '{object_id}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation.",
        subcode=33,
        kind="GraphMethodException",
    )


def not_updated(reason: str, subcode: int | None = None) -> ApiError:
    """The audience cannot take this upload."""
    return graph_error(2650, f"(#2650) Failed to update the custom audience: {reason}", subcode=subcode)


def flagged() -> ApiError:
    """The audience was flagged for what it suggests about people; nothing changes until that is settled."""
    return graph_error(
        100,
        "Invalid parameter",
        subcode=1713230,
        user=("Audience Upload Blocked", "The restrictions on this audience have to be resolved in Audience Manager."),
    )


def terms_for_creating() -> ApiError:
    """Nobody has accepted the terms of custom audiences in the ad account."""
    return graph_error(2655, "(#2655) Terms of service has not been accepted.")


def terms_for_uploading() -> ApiError:
    """The same, said by the edges of an audience that is there already."""
    return graph_error(
        200,
        "Permissions error",
        subcode=1870034,
        user=("Custom Audience Terms Not Accepted", "The Custom Audience terms have to be agreed to first."),
    )
