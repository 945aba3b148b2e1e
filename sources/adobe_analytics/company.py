"""The company and the report suite: which one a credential sees, and where its days begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from millstream.state.errors import ConfigurationError, MalformedAnswerError, PermissionDeniedError
from millstream.state.http import RefreshableAuth, client_credentials_auth

if TYPE_CHECKING:
    from requests import PreparedRequest

    from millstream.sources.adobe_analytics.settings import AdobeAnalyticsSettings
    from millstream.sources.pull import Pull

DISCOVERY = "discovery/me"
_CHANGED = "the API may have changed: update the connector, or check the base_url of the connection."


class AdobeAuth(RefreshableAuth):
    """A token of the OAuth server-to-server credential, and the headers that go with it."""

    def __init__(self, settings: AdobeAnalyticsSettings) -> None:
        self._client_id = settings.client_id
        self._token = client_credentials_auth(
            settings.token_url, settings.client_id, settings.client_secret, scope=settings.scope
        )

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        request.headers["x-api-key"] = self._client_id
        path = request.path_url.split("/api/", 1)
        if len(path) == 2:
            # Some services take the company from here and not from the path.
            request.headers["x-proxy-global-company-id"] = path[1].split("/", 1)[0]
        return self._token(request)

    def renew(self) -> None:
        """Forget the token."""
        self._token.renew()


class Company:
    """Answers what of the company is not in the settings; asks once."""

    def __init__(self, settings: AdobeAnalyticsSettings) -> None:
        self._settings = settings
        self._id = settings.global_company_id
        self._zone = ZoneInfo(settings.timezone) if settings.timezone else None

    def path(self, pull: Pull, what: str) -> str:
        """The path of something of the company.

        Raises:
            ConfigurationError: The credential sees several companies, and the settings name none.
            PermissionDeniedError: It sees none.
        """
        if self._id is None:
            self._id = self._only_one(pull)
        return f"api/{self._id}/{what}"

    def zone(self, pull: Pull) -> ZoneInfo:
        """The time zone whose days the report suite counts.

        Raises:
            ConfigurationError: Adobe's name for it is not known here.
        """
        if self._zone is None:
            body = pull.get(self.path(pull, f"reportsuites/collections/suites/{self._settings.rsid}"))
            name = body.get("timezoneZoneinfo") if isinstance(body, dict) else None
            try:
                self._zone = ZoneInfo(str(name))
            except (OSError, ValueError, ZoneInfoNotFoundError) as error:
                raise ConfigurationError(
                    f"The report suite's time zone {name!r} is not known here.",
                    where="source adobe_analytics",
                    remedy="give it as `timezone`, such as Europe/Berlin.",
                ) from error
        return self._zone

    def _only_one(self, pull: Pull) -> str:
        found = sorted(companies(pull.get(DISCOVERY)))
        if not found:
            raise PermissionDeniedError(
                "The credential sees no company of Adobe Analytics.",
                remedy="in the Admin Console, add it to a product profile of Adobe Analytics.",
            )
        if len(found) > 1:
            raise ConfigurationError(
                "The credential sees several companies.",
                where="source adobe_analytics, setting global_company_id",
                allowed=found,
            )
        return found[0]


def companies(body: Any) -> set[str]:
    """Ids of the companies in an answer of discovery.

    Raises:
        MalformedAnswerError: It is no such answer.
    """
    organizations = body.get("imsOrgs") if isinstance(body, dict) else None
    if not isinstance(organizations, list):
        raise MalformedAnswerError(f"GET {DISCOVERY} answered without imsOrgs.", remedy=_CHANGED)
    return {str(company["globalCompanyId"]) for organization in organizations for company in organization["companies"]}
