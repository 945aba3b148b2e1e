"""How a request says who it is: the token is part of the body.

Vero takes it in the query, too; but addresses of requests are logged by libraries, proxies and servers. It is put in
when a request is sent, so that no body which is shown, recorded or kept has it.
"""

from __future__ import annotations

import orjson
from pydantic import SecretStr
from requests import PreparedRequest
from requests.auth import AuthBase


class TokenInBody(AuthBase):
    """Puts ``auth_token`` into the JSON body of a request.

    Args:
        token: The token.
    """

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request; one that is tried again has the same token twice over."""
        body = orjson.loads(request.body) if request.body else {}
        signed = orjson.dumps({**body, "auth_token": self._token.get_secret_value()})
        request.body = signed
        request.headers["Content-Type"] = "application/json"
        request.headers["Content-Length"] = str(len(signed))
        return request
