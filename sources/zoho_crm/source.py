"""The Zoho CRM connector: its streams, and how it signs in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from millstream.sources.contract import Column, Page, Source, Stream
from millstream.sources.zoho_crm import deals, lists, people
from millstream.sources.zoho_crm.bulk import PATH, BulkReads
from millstream.sources.zoho_crm.credentials import ZohoAuth
from millstream.sources.zoho_crm.errors import CREDITS_LEFT, classify
from millstream.sources.zoho_crm.modules import Module
from millstream.sources.zoho_crm.records import Finish, ModuleReader
from millstream.sources.zoho_crm.settings import ZohoCrmSettings
from millstream.state.errors import NotFoundError
from millstream.state.http import RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer
    from millstream.state.model.declarations import People


class ZohoCrm(Source[ZohoCrmSettings]):
    """Zoho CRM: one account."""

    name: ClassVar[str] = "zoho_crm"
    title: ClassVar[str] = "Zoho CRM"
    category: ClassVar[str] = "crm"
    docs_url: ClassVar[str] = "https://www.zoho.com/crm/developer/docs/api/v8/"
    api_version: ClassVar[str] = "v8"
    Settings = ZohoCrmSettings
    # Zoho limits what runs at once and the credits of a day, not the pace.
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=600, seconds=60.0, daily=5_000, daily_remaining=CREDITS_LEFT)

    def __init__(self, settings: ZohoCrmSettings) -> None:
        super().__init__(settings)
        self._bulk = BulkReads(settings)

    def auth(self) -> AuthBase:
        """Access tokens by the refresh token."""
        return ZohoAuth(self.settings)

    def pace(self) -> RateLimit:
        """The limits, with the day's budget of the settings."""
        return replace(self.rate_limit, daily=self.settings.credits_per_day)

    def streams(self) -> tuple[Stream, ...]:
        """Accounts and people first, then the deals that belong to them."""
        contacts, leads = people.contacts(self.settings), people.leads(self.settings)
        return (
            self._stream(deals.ACCOUNTS, "An account: a company."),
            self._stream(contacts, "A contact.", said=people.contact_people(contacts, self.settings)),
            self._stream(leads, "A lead, also one that has become a contact.", said=self._lead_people(leads)),
            self._stream(
                deals.DEALS,
                "A deal.",
                said=deals.DEAL_PEOPLE,
                columns=deals.DEAL_COLUMNS,
                finish=partial(deals.finish_deal, settings=self.settings),
            ),
        )

    def probe(self, pull: Pull) -> None:
        """Read the names of the modules' fields, which every stream needs."""
        lists.existing_fields(pull, deals.ACCOUNTS.name)

    def probe_stream(self, pull: Pull) -> None:
        """Read one record, and see whether bulk jobs may be looked at."""
        module = next(one for one in _MODULES if one.lower() == pull.stream.name)
        lists.ask(pull, f"crm/v8/{module}", {"fields": "id", "per_page": 1})
        if self.settings.first_load == "bulk":
            try:
                lists.ask(pull, f"{PATH}/0", {})
            except NotFoundError:
                return

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Tell missing scopes from wrong tokens, and used up credits from too many requests at once."""
        return classify(answer)

    def _lead_people(self, leads: Module) -> People:
        return people.lead_people(leads, self.settings)

    def _stream(
        self,
        module: Module,
        description: str,
        *,
        said: People | None = None,
        columns: tuple[Column, ...] | None = None,
        finish: Finish | None = None,
    ) -> Stream:
        reader = ModuleReader(module, self.settings, self._bulk, finish)

        def read(pull: Pull) -> Iterator[Page]:
            return reader.read(pull)

        return Stream(
            name=module.name.lower(),
            description=description,
            primary_key=("id",),
            columns=columns or module.columns,
            read=read,
            resumable=True,
            people=said,
            scope=f"ZohoCRM.modules.{module.name.lower()}.READ",
        )


_MODULES = ("Accounts", "Contacts", "Leads", "Deals")
