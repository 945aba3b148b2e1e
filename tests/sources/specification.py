"""Vendors' machine-readable specifications: what a connector asks and a stand-in answers, held against them.

The specifications are not ours to hand on. A folder holds them, ``<vendor>/<file>``; the environment variable
``MILLSTREAM_API_SPECS`` names it, and without it these tests are skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import requests
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_VARIABLE = "MILLSTREAM_API_SPECS"
FOLDER = Path(os.environ[_VARIABLE]) if os.environ.get(_VARIABLE) else None
"""Where the specifications are; None: they are not on this machine."""

needs_specifications = pytest.mark.skipif(
    FOLDER is None, reason=f"the vendors' specifications are not here: set {_VARIABLE} to their folder"
)
Json = Any


class Exchange:
    """One request and its answer."""

    def __init__(self, request: requests.PreparedRequest, answer: requests.Response) -> None:
        parts = urlsplit(str(request.url))
        self.method = str(request.method).lower()
        self.path = parts.path
        self.query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.body: Json = orjson.loads(request.body) if request.body and b"{" in _bytes(request.body)[:1] else None
        self.status = answer.status_code
        self.answer: Json = answer.json() if "json" in answer.headers.get("Content-Type", "") else None


class Specification:
    """An OpenAPI 3.0 or Swagger 2.0 document.

    Args:
        file: Below the folder of specifications.
        base_path: What stands before its paths in the requests that are held against it.
        read: Makes changes to the document, where it is known to be wrong.
    """

    def __init__(self, file: Path, *, base_path: str, read: Callable[[Json], None] | None = None) -> None:
        text = file.read_bytes()
        document = orjson.loads(text) if file.suffix == ".json" else yaml.load(text, Loader=yaml.CSafeLoader)
        if read:
            read(document)
        self._document = _as_json_schema(document)
        self._base = base_path
        resource = DRAFT202012.create_resource(self._document)
        self._registry: Registry[Json] = Registry().with_resource("urn:specification", resource)

    def problems(self, exchange: Exchange, *, undeclared: Mapping[str, str] | None = None) -> Iterator[str]:
        """What an exchange has that the specification does not allow.

        Args:
            exchange: A request and its answer.
            undeclared: Query parameters that the vendor takes though they are not declared, and where it says so.
        """
        template, operation = self._operation(exchange)
        if operation is None:
            yield f"{exchange.method} {exchange.path} is not specified"
            return
        parameters = [self._resolved(one) for one in operation.get("parameters", ())]
        known = {name for one in parameters if one["in"] == "query" for name in _names(one)}
        where = f"{exchange.method} {template}"
        for name in exchange.query.keys() - known - set(undeclared or ()):
            yield f"{where}: the parameter {name} is not specified"
        for one in parameters:
            if one["in"] == "query" and one.get("required") and not _names(one) & exchange.query.keys():
                yield f"{where}: the parameter {one['name']} is missing"
        yield from self._invalid(f"{where}: body", exchange.body, _body_schema(operation, parameters))
        answer = self._resolved(operation["responses"].get(str(exchange.status)) or {})
        yield from self._invalid(f"{where}: answer {exchange.status}", exchange.answer, _schema(answer))

    def _invalid(self, where: str, value: Json, schema: Json) -> Iterator[str]:
        if schema is None or value is None:
            return
        whole = {"$id": "urn:part", **_absolute(schema)}
        for error in Draft202012Validator(whole, registry=self._registry).iter_errors(value):
            place = re.sub(r"\[\d+\]", "[]", error.json_path)
            yield f"{where}: {place}: {error.message[:120]}"

    def _operation(self, exchange: Exchange) -> tuple[str, Json]:
        """The operation of the template with the fewest variables that fits."""
        path = exchange.path.removeprefix(self._base)
        fitting = [one for one in self._document["paths"] if _fits(one, path)]
        for template in sorted(fitting, key=lambda one: one.count("{")):
            if operation := self._document["paths"][template].get(exchange.method):
                return template, operation
        return path, None

    def _resolved(self, part: Json) -> Json:
        while "$ref" in part:
            found = self._document
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name.replace("~1", "/")]
            part = found
        return part


@contextmanager
def exchanges() -> Iterator[list[Exchange]]:
    """Everything that is asked over HTTP meanwhile, and its answers."""
    seen: list[Exchange] = []
    send = requests.adapters.HTTPAdapter.send

    def watched(self: Any, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        answer = send(self, request, *args, **options)
        seen.append(Exchange(request, answer))
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.adapters.HTTPAdapter, "send", watched)
        yield seen


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _names(parameter: Json) -> set[str]:
    """A parameter's name, or those of an object that is spread over the query."""
    spread = parameter.get("schema", {})
    choices = spread.get("oneOf", [spread]) if "object" in str(spread.get("type")) else []
    return {name for one in choices for name in one.get("properties", {})} or {parameter["name"]}


def _fits(template: str, path: str) -> bool:
    pattern = "[^/]+".join(re.escape(part) for part in re.split(r"\{[^}]+\}", template))
    return re.fullmatch(pattern, path) is not None


def _schema(part: Json) -> Json:
    """The schema of an answer or a body: OpenAPI puts it under its media type."""
    media = part.get("content", {})
    return part.get("schema") or next((one.get("schema") for name, one in media.items() if "json" in name), None)


def _body_schema(operation: Json, parameters: list[Json]) -> Json:
    in_parameters = (one.get("schema") for one in parameters if one["in"] == "body")
    return next(in_parameters, None) or _schema(operation.get("requestBody", {}))


def _absolute(schema: Json) -> Json:
    """A schema that stands alone: its references lead into the document."""
    if isinstance(schema, list):
        return [_absolute(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        return {"$ref": f"urn:specification{reference}"}
    return {name: _absolute(value) for name, value in schema.items()}


def _as_json_schema(part: Json) -> Json:
    """A document in the words of JSON Schema: what may be null says so by its type, and formats are not looked at."""
    if isinstance(part, list):
        return [_as_json_schema(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {str(name): _as_json_schema(value) for name, value in part.items() if name not in ("example", "examples")}
    if part.get("nullable") is not True and part.get("x-nullable") is not True:
        return made
    made.pop("nullable", None)
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
        return made
    return {"anyOf": [made, {"type": "null"}]}
