"""Handlers for directories, contacts, mailing lists and what was sent to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from millstream.sandbox.company import Company
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.qualtrics.contacts import (
    CUSTOMERS,
    DIRECTORY_ID,
    LISTS,
    Contact,
    card,
    contacts,
    listed,
    listed_on,
    lists_of,
    opted_out,
    whole,
)
from millstream.sandbox.qualtrics.envelope import check_query, invalid, page, result, unknown
from millstream.sandbox.qualtrics.exports import Exports
from millstream.sandbox.qualtrics.responses import Response, invited
from millstream.sandbox.qualtrics.surveys import NPS, ORGANIZATION_ID, OWNER_ID, find_survey, stamp
from millstream.sandbox.system import Answer, Call, JsonObject

PAGES = ("pageSize", "skipToken", "useNewPaginationScheme")
LARGEST_PAGE_OF_MEMBERS = 50
DISTRIBUTION_ID = "EMD_sandboxInvite1"


class Directory:
    """The one directory, its two lists, and the one invitation that went to the customers."""

    def __init__(self, company: Company, exports: Exports) -> None:
        self._company = company
        self._exports = exports
        self._advances = -1
        self._known: list[Contact] = []

    @property
    def contacts(self) -> list[Contact]:
        """Everybody in it, in the order of their ids."""
        if self._advances != self._company.advances:
            self._known, self._advances = contacts(self._company), self._company.advances
        return self._known

    def _members(self, list_id: str) -> list[Contact]:
        return [contact for contact in self.contacts if list_id in lists_of(self._company, contact)]

    def directories(self, call: Call) -> Answer:
        """`GET /directories`."""
        check_query(call, *PAGES)
        settings = {"email": True, "phone": True, "externalDataReference": True}
        only: JsonObject = {
            "directoryId": DIRECTORY_ID,
            "name": "Shop directory",
            "contactCount": len(self.contacts),
            "isDefault": True,
            "deduplicationCriteria": {**settings, "firstName": False, "lastName": False},
        }
        return page(call, [only], lambda _: DIRECTORY_ID, lambda row: row)

    def listing(self, call: Call) -> Answer:
        """`GET /directories/{id}/contacts`."""
        check_query(call, *PAGES, "includeEmbedded")
        _check_directory(call)
        return self._page(call, self.contacts, lambda one: listed(self._company, one, _embedded(call)))

    def opted_out(self, call: Call) -> Answer:
        """`GET /directories/{id}/contacts/optedOutContacts`."""
        check_query(call, *PAGES)
        _check_directory(call)
        left = [one for one in self.contacts if card(self._company, one).directory_unsubscribed]
        return self._page(call, left, lambda one: opted_out(self._company, one))

    def bounced(self, call: Call) -> Answer:
        """`GET /directories/{id}/contacts/bouncedContacts`."""
        check_query(call, *PAGES)
        _check_directory(call)
        back = [one for one in self.contacts if card(self._company, one).bounced]
        return self._page(call, back, lambda one: listed(self._company, one, embedded=False))

    def one(self, call: Call) -> Answer:
        """`GET /directories/{id}/contacts/{contact}`."""
        check_query(call)
        _check_directory(call)
        for contact in self.contacts:
            if contact.contact_id == call.params["contact_id"]:
                return result(whole(self._company, contact))
        raise unknown("contact", call.params["contact_id"])

    def lists(self, call: Call) -> Answer:
        """`GET /directories/{id}/mailinglists`."""
        check_query(call, *PAGES, "includeCount")
        _check_directory(call)
        made = self._company.today_ms - 300 * DAY_MS

        def shown(list_id: str) -> JsonObject:
            row: JsonObject = {
                "mailingListId": list_id,
                "name": LISTS[list_id],
                "ownerId": OWNER_ID,
                "creationDate": made,
                "lastModifiedDate": made,
            }
            counted = call.query.get("includeCount") == "true"
            return row | {"contactCount": len(self._members(list_id))} if counted else row

        return page(call, sorted(LISTS), lambda list_id: list_id, shown)

    def members(self, call: Call) -> Answer:
        """`GET /directories/{id}/mailinglists/{list}/contacts`."""
        check_query(call, *PAGES, "includeEmbedded")
        _check_directory(call)
        list_id = _list_id(call)
        return self._page(
            call,
            self._members(list_id),
            lambda one: listed_on(self._company, one, list_id, _embedded(call)),
            LARGEST_PAGE_OF_MEMBERS,
        )

    def members_opted_out(self, call: Call) -> Answer:
        """`GET /directories/{id}/mailinglists/{list}/contacts/optedOutContacts`."""
        check_query(call, *PAGES)
        _check_directory(call)
        list_id = _list_id(call)
        left = [one for one in self._members(list_id) if card(self._company, one).list_unsubscribed]
        return self._page(
            call,
            left,
            lambda one: listed_on(self._company, one, list_id, embedded=False),
            LARGEST_PAGE_OF_MEMBERS,
        )

    # What was sent

    def distributions(self, call: Call) -> Answer:
        """`GET /distributions?surveyId=`."""
        check_query(
            call, *PAGES, "surveyId", "mailingListId", "distributionRequestType", "sendStartDate", "sendEndDate"
        )
        if "surveyId" not in call.query:
            raise invalid("surveyId", "is required")
        mine = find_survey(call.query["surveyId"]) is NPS
        wanted = mine and call.query.get("mailingListId", CUSTOMERS) == CUSTOMERS
        return page(call, [DISTRIBUTION_ID] if wanted else [], str, lambda _: self._distribution())

    def history(self, call: Call) -> Answer:
        """`GET /distributions/{id}/history`: which contact gave which response."""
        check_query(call, *PAGES)
        if call.params["distribution_id"] != DISTRIBUTION_ID:
            raise unknown("distribution", call.params["distribution_id"])
        given = self._given()
        return self._page(call, self._recipients(), lambda one: self._sent(one, given.get(one.contact_id)))

    def _recipients(self) -> list[Contact]:
        """The customers, and whoever else has answered."""
        given = self._given()
        members = {contact.contact_id for contact in self._members(CUSTOMERS)}
        return [one for one in self.contacts if one.contact_id in members or one.contact_id in given]

    def _given(self) -> dict[str, Response]:
        """The first response of each contact to the invitation."""
        given: dict[str, Response] = {}
        for response in self._exports.of(NPS):
            contact = invited(self._company, response)
            if contact is not None:
                given.setdefault(contact.contact_id, response)
        return given

    def _sent_ms(self) -> int:
        return self._company.today_ms - 129 * DAY_MS

    def _distribution(self) -> JsonObject:
        recipients, sent = self._recipients(), stamp(self._sent_ms())
        finished = sum(1 for response in self._given().values() if response.finished)
        counts = {"sent": len(recipients), "finished": finished, "started": len(self._given())}
        others = dict.fromkeys(("failed", "bounced", "opened", "skipped", "complaints", "blocked"), 0)
        return {
            "id": DISTRIBUTION_ID,
            "parentDistributionId": None,
            "ownerId": OWNER_ID,
            "organizationId": ORGANIZATION_ID,
            "requestType": "Invite",
            "requestStatus": "Done",
            "sendDate": sent,
            "createdDate": sent,
            "modifiedDate": sent,
            "headers": {"fromName": "Shop", "subject": "Would you recommend us?"},
            "recipients": {"mailingListId": CUSTOMERS, "contactId": None, "libraryId": DIRECTORY_ID, "sampleId": None},
            "message": {"libraryId": OWNER_ID, "messageId": "MS_1", "messageType": "Inline"},
            "surveyLink": {"surveyId": NPS.survey_id, "expirationDate": None, "linkType": "Individual"},
            "stats": {**others, **counts},
        }

    def _sent(self, contact: Contact, response: Response | None) -> JsonObject:
        closed = None if response is None else stamp(response.recorded_ms)
        status = "Success" if response is None else "SurveyFinished" if response.finished else "SurveyStarted"
        return {
            "contactId": contact.contact_id,
            "contactLookupId": contact.lookup_id(lists_of(self._company, contact)[0]),
            "distributionId": DISTRIBUTION_ID,
            "status": status,
            "surveyLink": f"https://shop.example.com/jfe/form/{NPS.survey_id}",
            "contactFrequencyRuleId": None,
            "responseId": None if response is None else response.response_id,
            "responseCompletedAt": closed if response is not None and response.finished else None,
            "sentAt": stamp(self._sent_ms()),
            "openedAt": closed,
            "responseStartedAt": closed,
            "surveySessionId": None,
        }

    def _page(
        self, call: Call, rows: Sequence[Contact], shown: Callable[[Contact], JsonObject], largest: int = 100
    ) -> Answer:
        return page(call, rows, lambda one: one.contact_id, shown, largest)


def _check_directory(call: Call) -> None:
    if call.params["directory_id"] != DIRECTORY_ID:
        raise unknown("directory", call.params["directory_id"])


def _list_id(call: Call) -> str:
    list_id = call.params["list_id"]
    if list_id not in LISTS:
        raise unknown("mailing list", list_id)
    return list_id


def _embedded(call: Call) -> bool:
    return call.query.get("includeEmbedded") == "true"
