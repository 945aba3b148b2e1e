"""Surveys, their structure, and their collectors."""

from __future__ import annotations

from collections.abc import Callable

from millstream.sandbox.company import Company
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.surveymonkey.forms import FORMS, Form, find_form, form_of_collector
from millstream.sandbox.surveymonkey.pages import Page, check_query, includes, moment, one_of, stamp
from millstream.sandbox.surveymonkey.responses import Responses
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

SURVEY_EXTRAS = (
    "response_count",
    "date_created",
    "date_modified",
    "language",
    "question_count",
    "analyze_url",
    "preview",
)
COLLECTOR_EXTRAS = ("type", "status", "response_count", "date_created", "date_modified", "url")
SORTED_ORDERS = ("ASC", "DESC")


class Surveys:
    """Handlers for `/surveys` and `/collectors`, as far as answers are not concerned."""

    def __init__(self, company: Company, responses: Responses) -> None:
        self._company = company
        self._responses = responses

    def routes(self) -> list[Route]:
        """The endpoints with the scope each needs."""
        return [
            route("GET", "/v3/surveys", self.list_surveys, "surveys_read"),
            route("GET", "/v3/surveys/{survey_id}", self.get_survey, "surveys_read"),
            route("GET", "/v3/surveys/{survey_id}/details", self.get_details, "surveys_read"),
            route(
                "GET",
                "/v3/surveys/{survey_id}/collectors",
                self.list_collectors,
                "collectors_read",
            ),
            route("GET", "/v3/collectors/{collector_id}", self.get_collector, "collectors_read"),
        ]

    def list_surveys(self, call: Call) -> Answer:
        """The thin list; `include` adds fields."""
        check_query(
            call, "sort_by", "sort_order", "include", "title", "folder_id", "start_modified_at", "end_modified_at"
        )
        extras = includes(call, SURVEY_EXTRAS)
        forms = [form for form in FORMS if self._listed(call, form)]
        keys: dict[str, Callable[[Form], str | int]] = {
            "title": lambda form: form.title,
            "date_modified": lambda form: -form.modified_age,
            "num_responses": self._responses.count,
        }
        order = one_of(call, "sort_order", SORTED_ORDERS, "ASC" if "sort_by" in call.query else "DESC")
        forms.sort(key=keys[one_of(call, "sort_by", tuple(keys), "date_modified")], reverse=order == "DESC")
        page = Page(call, len(forms))
        return page.answer([self._listed_survey(call, form, extras) for form in forms[page.rows]])

    def _listed(self, call: Call, form: Form) -> bool:
        modified = self._ms(form.modified_age) // 1000
        start, end = moment(call, "start_modified_at"), moment(call, "end_modified_at")
        return (
            (start is None or modified > start)
            and (end is None or modified < end)
            and call.query.get("title", "").lower() in form.title.lower()
        )

    def _listed_survey(self, call: Call, form: Form, extras: set[str]) -> JsonObject:
        survey: JsonObject = {
            "id": form.survey_id,
            "title": form.title,
            "nickname": "",
            "href": f"{call.base_url}/v3/surveys/{form.survey_id}",
        }
        more = self._properties(form, offset=False) | {"response_count": self._responses.count(form)}
        return survey | {name: value for name, value in more.items() if name in extras}

    def _properties(self, form: Form, *, offset: bool) -> JsonObject:
        return {
            "language": "en",
            "question_count": len(form.questions),
            "page_count": len(form.pages),
            "date_created": stamp(self._ms(form.created_age), offset=offset),
            "date_modified": stamp(self._ms(form.modified_age), offset=offset),
            "preview": f"https://surveys.example.com/preview/{form.survey_id}",
            "analyze_url": f"https://surveys.example.com/analyze/{form.survey_id}",
        }

    def _ms(self, age: int) -> int:
        return self._company.today_ms - age * DAY_MS + 36_000_000

    def get_survey(self, call: Call) -> Answer:
        """One survey without its pages."""
        form = find_form(call.params["survey_id"])
        survey: JsonObject = {
            "id": form.survey_id,
            "title": form.title,
            "nickname": "",
            "href": f"{call.base_url}/v3/surveys/{form.survey_id}",
            "folder_id": "0",
            "category": "",
            "custom_variables": {name: name for name in form.custom_variables},
            "response_count": self._responses.count(form),
            "footer": True,
        }
        return Answer(survey | self._properties(form, offset=True))

    def get_details(self, call: Call) -> Answer:
        """One survey with all pages and questions."""
        form = find_form(call.params["survey_id"])
        pages = []
        for number, questions in enumerate(form.pages):
            page_id = form.page_id(number)
            pages.append(
                {
                    "id": page_id,
                    "position": number + 1,
                    "title": "",
                    "description": "",
                    "question_count": len(questions),
                    "href": f"{call.base_url}/v3/surveys/{form.survey_id}/pages/{page_id}",
                    "questions": [
                        question.described(place + 1, call.base_url, form.survey_id, page_id)
                        for place, question in enumerate(questions)
                    ],
                }
            )
        whole = self.get_survey(call).body
        return Answer({**whole, "pages": pages} if isinstance(whole, dict) else whole)

    def list_collectors(self, call: Call) -> Answer:
        """The two ways people come to a survey: a public link and invitations by e-mail."""
        check_query(call, "sort_by", "sort_order", "name", "start_date", "end_date", "include")
        extras = includes(call, COLLECTOR_EXTRAS)
        form = find_form(call.params["survey_id"])
        collectors = [self._collector(call, form, collector_id) for collector_id in form.collectors]
        if one_of(call, "sort_order", SORTED_ORDERS, "ASC") == "DESC":
            collectors.reverse()
        shown = {"id", "name", "href"} | extras
        page = Page(call, len(collectors))
        return page.answer(
            [{name: value for name, value in one.items() if name in shown} for one in collectors[page.rows]]
        )

    def get_collector(self, call: Call) -> Answer:
        """One collector with all its fields."""
        form = form_of_collector(call.params["collector_id"])
        return Answer(self._collector(call, form, call.params["collector_id"]) | {"survey_id": form.survey_id})

    def _collector(self, call: Call, form: Form, collector_id: str) -> JsonObject:
        weblink = collector_id == form.weblink_collector
        return {
            "id": collector_id,
            "name": "Web link" if weblink else "E-mail invitation",
            "href": f"{call.base_url}/v3/collectors/{collector_id}",
            "type": "weblink" if weblink else "email",
            "status": "open",
            "response_count": self._responses.count(form, collector_id),
            "date_created": stamp(self._ms(form.created_age)),
            "date_modified": stamp(self._ms(form.modified_age)),
            "url": f"https://surveys.example.com/r/{collector_id}" if weblink else None,
        }
