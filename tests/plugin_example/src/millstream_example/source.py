"""The smallest source: one stream, one credential."""

from __future__ import annotations

from pydantic import Field, SecretStr
from requests.auth import AuthBase

from millstream.sources.contract import Column, Endpoint, Source, SourceSettings, Stream
from millstream.sources.pull import Pull
from millstream.state.http import BearerAuth, RateLimit
from millstream.state.model.declarations import Identifier, People, Trait


class ExampleSettings(SourceSettings):
    base_url: str = Field(default="https://api.example.com", description="Root of the API.")
    token: SecretStr = Field(description="The account's token.")
    page_size: int = Field(default=100, ge=1, le=500, description="Rows a page.")


class Example(Source[ExampleSettings]):
    name = "example"
    title = "Example"
    category = "other"
    docs_url = "https://example.com/docs"
    api_version = "2"
    Settings = ExampleSettings
    rate_limit = RateLimit(requests=10, seconds=1)

    def auth(self) -> AuthBase:
        return BearerAuth(self.settings.token)

    def streams(self) -> tuple[Stream, ...]:
        return (
            Stream(
                name="people",
                description="A person.",
                primary_key=("id",),
                columns=(Column("id", required=True), Column("email"), Column("city", optional=True)),
                endpoint=Endpoint(path="/people", records="people", params={"limit": self.settings.page_size}),
                people=People(
                    identifiers=(Identifier(kind="email", column="email"),), traits=(Trait(name="city", column="city"),)
                ),
            ),
        )

    def probe(self, pull: Pull) -> None:
        pull.get("/people", {"limit": 1})
