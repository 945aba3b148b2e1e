"""Trait sets as files: SQL with a YAML comment on top, or Python with a ``TRAITS``. A file's stem is the set's name.

Whatever is wrong with a file is told with its line, before anything is computed.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from millstream.state.errors import ConfigurationError
from millstream.state.model.declarations import TraitType
from millstream.state.spans import Span, timespan
from millstream.state.suggestions import did_you_mean
from millstream.state.traits.contract import Trait, TraitSet
from millstream.state.traits.relations import RELATIONS
from millstream.state.traits.rules import TraitName
from millstream.state.traits.selects import SelectError, check_select, read_select

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from millstream.state.traits.rules import TraitRules

OTHERS = "_traits"
"""The end of an input that names another set: ``purchases_traits`` are the traits of the set purchases."""
_HEADER = re.compile(r"\s*/\*(.*?)\*/", re.DOTALL)
_NAME = TypeAdapter(TraitName)


Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _TraitHeader(BaseModel):
    model_config = ConfigDict(extra="forbid")

    description: Words
    type: TraitType
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    allowed: tuple[str, ...] = ()
    required: bool = False


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    description: Words
    inputs: Annotated[tuple[str, ...], Field(min_length=1)]
    profile_traits: dict[str, TraitType] = Field(default_factory=dict)
    every: Span | None = None
    traits: Annotated[dict[TraitName, _TraitHeader], Field(min_length=1)]


def read_set(path: Path, rules: TraitRules, *, label: str | None = None) -> TraitSet | None:
    """The trait set of a file.

    Args:
        path: An SQL or a Python file.
        rules: The section ``traits``, for sets that depend on it.
        label: What messages call the file; its path when left out.

    Returns:
        None where a Python file has nothing to compute by these rules.

    Raises:
        ConfigurationError: The file is no trait set.
    """
    label = label or str(path)
    try:
        _NAME.validate_python(path.stem)
    except ValidationError:
        told = f"{path.stem!r} cannot be the name of a trait set."
        raise ConfigurationError(told, where=label, remedy="name the file as in days_abroad.sql.") from None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"the file cannot be read: {reason}.", where=label) from error
    if path.suffix == ".sql":
        return read_sql(text, name=path.stem, label=label)
    return _python_set(_imported(path, label), text, rules, name=path.stem, label=label)


def read_sql(text: str, *, name: str, label: str) -> TraitSet:
    """The trait set of an SQL file's text.

    Raises:
        ConfigurationError: Its header or its SELECT is wrong.
    """
    found = _HEADER.match(text)
    if found is None:
        raise ConfigurationError(
            "the file does not begin with a comment that declares its traits.",
            where=f"{label}:1",
            remedy="begin with /*, then description, inputs and traits as YAML, then */ and the SELECT.",
        )
    first = text.count("\n", 0, found.start(1)) + 1
    header, lines = _header(found[1], label, first)
    traits = {name: Trait(**vars(trait)) for name, trait in header.traits.items()}
    sql = text[found.end() :].strip().removesuffix(";")
    _check_inputs(header.inputs, label, lines)
    try:
        check_select(read_select(sql), traits=traits, inputs=header.inputs, relations=RELATIONS)
    except SelectError as error:
        begin = text.count("\n", 0, len(text) - len(text[found.end() :].lstrip())) + 1
        line = begin + (error.line or 1) - 1
        raise ConfigurationError(error.what, where=f"{label}:{line}", remedy=error.remedy) from error
    return TraitSet(
        name=name,
        description=header.description,
        traits=traits,
        inputs=header.inputs,
        profile_traits=header.profile_traits,
        every=timespan(header.every) if header.every else None,
        sql=sql,
        file=label,
        code=text,
    )


def _header(text: str, label: str, first: int) -> tuple[_Header, Mapping[tuple[str | int, ...], int]]:
    """The declaration, and the line of each of its keys."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first + (mark.line if mark else 0)
        told = f"the declaration is not YAML: {error.problem or error.context}."
        raise ConfigurationError(told, where=f"{label}:{line}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError("the declaration is not YAML.", where=f"{label}:{first}") from error
    lines = dict(_lines(node, (), first)) if node is not None else {}
    try:
        return _Header.model_validate(data), lines
    except ValidationError as error:
        # A mistyped key says more than that the right one is missing.
        faults = sorted(error.errors(), key=lambda details: details["type"] == "missing")
        raise _header_error(faults[0], label, first, lines) from None


def _lines(node: yaml.Node, key: tuple[str | int, ...], first: int) -> list[tuple[tuple[str | int, ...], int]]:
    pairs: list[tuple[str | int, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(name.value), name, value) for name, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(index, item, item) for index, item in enumerate(node.value)]
    found: list[tuple[tuple[str | int, ...], int]] = []
    for part, marked, value in pairs:
        found.append(((*key, part), first + marked.start_mark.line))
        found += _lines(value, (*key, part), first)
    return found


def _header_error(
    details: ErrorDetails, label: str, first: int, lines: Mapping[tuple[str | int, ...], int]
) -> ConfigurationError:
    place = tuple(part for part in details["loc"] if part != "[key]")
    key = ".".join(str(part) for part in place) or "the declaration"
    known: Mapping[str, object] = _TraitHeader.model_fields if len(place) > 2 else _Header.model_fields
    remedy = None
    if details["type"] == "extra_forbidden":
        told, remedy = f"{key}: this key is not known here.", did_you_mean(place[-1], known)
    elif details["type"] == "missing":
        told = f"{key}: this is missing."
    else:
        told = f"{key}: {details['msg'].removeprefix('Value error, ')}."
    while place and place not in lines:
        place = place[:-1]
    return ConfigurationError(told, where=f"{label}:{lines.get(place, first)}", remedy=remedy)


def _check_inputs(inputs: tuple[str, ...], label: str, lines: Mapping[tuple[str | int, ...], int]) -> None:
    for number, name in enumerate(inputs):
        if name not in RELATIONS and not name.endswith(OTHERS):
            raise ConfigurationError(
                f"there is no input {name!r}.",
                where=f"{label}:{lines[('inputs', number)]}" if lines else label,
                allowed=(*RELATIONS, f"<set>{OTHERS}"),
                remedy=did_you_mean(name, RELATIONS),
            )


def _imported(path: Path, label: str) -> ModuleType:
    """A project's Python file as a module."""
    name = f"millstream_project_traits.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while they are made.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ConfigurationError(f"the file is not Python: {error.msg}.", where=f"{label}:{error.lineno}") from error
    except (Exception, SystemExit) as error:
        told = f"the file cannot be imported: {type(error).__name__}: {error}."
        raise ConfigurationError(told, where=f"{label}:{line_in(error, path)}") from error
    return module


def line_in(error: BaseException, path: Path | str) -> int:
    """The last line of a file that an error came through; 1 if it came through none."""
    here = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == Path(path)]
    return next((line for line in reversed(here) if line), 1)


def _python_set(module: ModuleType, code: str, rules: TraitRules, *, name: str, label: str) -> TraitSet | None:
    """The ``TRAITS`` of a module: a set, or a function that gives one by the rules."""
    declared: object = getattr(module, "TRAITS", None)
    if isinstance(declared, Callable):  # type: ignore[arg-type]
        declared = _called(declared, rules, module.__file__ or "", label)  # type: ignore[arg-type]
        if declared is None:
            return None
    if not isinstance(declared, TraitSet):
        raise ConfigurationError(
            "the file has no TRAITS that is a TraitSet.",
            where=label,
            remedy="see `Traits in Python` in docs/traits.md.",
        )
    return check_declared(replace(declared, name=name, file=label, code=code))


def _called(declare: Callable[[TraitRules], object], rules: TraitRules, path: str, label: str) -> object:
    try:
        return declare(rules)
    except (Exception, SystemExit) as error:
        told = f"its TRAITS cannot be called: {type(error).__name__}: {error}."
        raise ConfigurationError(told, where=f"{label}:{line_in(error, path)}") from error


def check_declared(declared: TraitSet) -> TraitSet:
    """A set that was declared in Python, once it is known to be whole.

    Raises:
        ConfigurationError: A wrong name, an unknown input, both or neither of SQL and a function.
    """
    for trait in declared.traits:
        try:
            _NAME.validate_python(trait)
        except ValidationError:
            raise ConfigurationError(f"{trait!r} cannot be the name of a trait.", where=declared.file) from None
    if not declared.traits or (declared.sql is None) == (declared.compute is None):
        raise ConfigurationError(
            "the set should declare traits, and how they are computed: by either sql or compute.", where=declared.file
        )
    _check_inputs(declared.inputs, declared.file, {})
    if declared.sql is not None:
        try:
            select = read_select(declared.sql)
            check_select(select, traits=declared.traits, inputs=declared.inputs, relations=RELATIONS)
        except SelectError as error:
            raise ConfigurationError(error.what, where=declared.file, remedy=error.remedy) from error
    return declared


def shipped_set(name: str, path: Path, rules: TraitRules) -> TraitSet | None:
    """The trait set of a file of ours, whose modules are imported by their names."""
    label = f"{path.parent.name}/{path.name}"
    if path.suffix == ".sql":
        return read_set(path, rules, label=label)
    module = importlib.import_module(f"millstream.state.traits.shipped.{name}")
    return _python_set(module, path.read_text(encoding="utf-8"), rules, name=name, label=label)
