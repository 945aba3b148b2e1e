"""Settings of sources and destinations: what the connection says and what the entry adds, made one and checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from millstream.destinations.registry import AnyDestination
from millstream.flows.project.document import Document
from millstream.flows.project.problems import Key, Problems
from millstream.flows.project.secrets import FORMS, PLACEHOLDER, Reference, is_secret, takes_reference
from millstream.flows.project.validation import add_pydantic_errors
from millstream.sources.contract import Source
from millstream.sources.registry import AnySource
from millstream.state.errors import ConfigurationError
from millstream.state.suggestions import did_you_mean

ConnectorT = TypeVar("ConnectorT", bound=AnySource | AnyDestination)


@dataclass(frozen=True)
class Configured(Generic[ConnectorT]):
    """A source or destination of the project, before its secrets are read.

    Attributes:
        name: Name in the project.
        section: ``sources`` or ``destinations``.
        connection: Name of its connection.
        connector: The connector class.
        values: Its settings as the file has them, references unread.
        keys: Where each setting stands in the file.
    """

    name: str
    section: str
    connection: str
    connector: type[ConnectorT]
    values: Mapping[str, object]
    keys: Mapping[str, Key]

    @property
    def system(self) -> str:
        """Name of the connector."""
        return self.connector.name

    @property
    def key(self) -> Key:
        """Where the entry stands in the file."""
        return (self.section, self.name)

    def make(self, settings: BaseModel) -> ConnectorT:
        """The connector with settings that its own model made."""
        return self.connector(settings)  # type: ignore[arg-type]

    def references(self) -> dict[str, list[Reference]]:
        """The references in each setting that has some."""
        found = {name: list(_references(value)) for name, value in self._readable().items()}
        return {name: references for name, references in found.items() if references}

    def read_references(
        self, root: Path, *, ask_servers: bool
    ) -> tuple[dict[Reference, str], dict[str, list[ConfigurationError]]]:
        """Read what the settings refer to.

        Args:
            root: Where relative paths start.
            ask_servers: Read Prefect's blocks too, which takes a request; they count as missing else.

        Returns:
            What was read, and why the settings that lack a value do.
        """
        read: dict[Reference, str] = {}
        missing: dict[str, list[ConfigurationError]] = {}
        for name, references in self.references().items():
            for reference in references:
                try:
                    if reference.where == "prefect" and not ask_servers:
                        raise ConfigurationError(f"Prefect's block {reference.name!r} was not asked for.")
                    read[reference] = reference.read(root)
                except ConfigurationError as error:
                    missing.setdefault(name, []).append(error)
        return read, missing

    def settings_values(self, read: Mapping[Reference, str]) -> dict[str, object]:
        """The settings with references replaced by what was read, or by a placeholder."""
        readable = self._readable()
        return {name: _replaced(value, read) if name in readable else value for name, value in self.values.items()}

    def settings(self, read: Mapping[Reference, str], root: Path) -> BaseModel:
        """The settings as their own model, which is told where relative paths start.

        Raises:
            ValidationError: They do not fit it.
        """
        return self.connector.Settings.model_validate(self.settings_values(read), context={"root": root})

    def _readable(self) -> dict[str, object]:
        fields = self.connector.Settings.model_fields
        return {
            name: value
            for name, value in self.values.items()
            if name in fields and (is_secret(fields[name].annotation) or takes_reference(fields[name].annotation))
        }


def check_settings(configured: Configured[ConnectorT], document: Document, problems: Problems) -> None:
    """Note what is wrong with an entry's settings, as far as that shows without the secrets that are not there."""
    refused = _refuse_literal_secrets(configured, document, problems)
    read, unread = configured.read_references(document.path.parent, ask_servers=False)
    try:
        settings = configured.settings(read, document.path.parent)
    except ValidationError as error:
        add_settings_errors(configured, error, document, problems, unread={*unread, *refused})
        return
    if "streams" in configured.values:
        _check_streams(configured, settings, document, problems)


def _check_streams(
    configured: Configured[ConnectorT], settings: BaseModel, document: Document, problems: Problems
) -> None:
    connector = configured.make(settings)
    if not isinstance(connector, Source):
        return
    key = configured.keys["streams"]
    try:
        connector.selected_streams()
    except ConfigurationError as error:
        remedy = error.remedy or did_you_mean(error.what.partition("'")[2].partition("'")[0], error.allowed)
        problems.add(key, error.what, line=document.line(key), allowed=error.allowed, remedy=remedy)


def _refuse_literal_secrets(configured: Configured[ConnectorT], document: Document, problems: Problems) -> set[str]:
    refused = set()
    for name, value in configured.values.items():
        field = configured.connector.Settings.model_fields.get(name)
        if field is None or not is_secret(field.annotation) or not _has_literal_secret(field.annotation, value):
            continue
        refused.add(name)
        key = configured.keys[name]
        problems.add(
            key,
            "a secret does not stand in the project file: name the place where it is kept.",
            line=document.line(key),
            allowed=FORMS,
            remedy=f"export it as an environment variable NAME, and write {name}: {{env: NAME}}.",
        )
    return refused


def _has_literal_secret(annotation: object, value: object) -> bool:
    """Whether a secret is written out; a nested model that mixes secrets with other values is judged by its parts."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(value, dict):
        return any(
            is_secret(field.annotation) and _has_literal_secret(field.annotation, value.get(name))
            for name, field in annotation.model_fields.items()
        )
    if get_origin(annotation) is Mapping and isinstance(value, dict) and not Reference.of(value):
        return any(_has_literal_secret(get_args(annotation)[1], one) for one in value.values())
    return any(leaf is not None for leaf in _leaves(value))


def add_settings_errors(
    configured: Configured[ConnectorT],
    error: ValidationError,
    document: Document,
    problems: Problems,
    *,
    unread: Collection[str] = (),
) -> None:
    """Note a settings model's errors at the lines where the settings stand.

    Args:
        configured: The entry.
        error: What pydantic found.
        document: The project file.
        problems: Where they are noted.
        unread: Settings without their real value: errors about their content say nothing, nor do those of the
            settings as a whole.
    """
    places: dict[Key, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False, include_input=False):
        first = str(details["loc"][0]) if details["loc"] else None
        if unread and (first is None or first in unread):
            continue
        at = configured.keys[first][:-1] if first and first in configured.keys else configured.key
        places.setdefault(at, []).append(details)
    for at, found in places.items():
        add_pydantic_errors(problems, document, configured.connector.Settings, found, at=at)


def _references(value: object) -> Iterable[Reference]:
    if reference := Reference.of(value):
        yield reference
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _references(item)


def _leaves(value: object) -> Iterable[object]:
    if Reference.of(value):
        return
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value


def _replaced(value: object, read: Mapping[Reference, str]) -> object:
    if reference := Reference.of(value):
        return read.get(reference, PLACEHOLDER)
    if isinstance(value, dict):
        return {key: _replaced(item, read) for key, item in value.items()}
    return [_replaced(item, read) for item in value] if isinstance(value, list) else value
