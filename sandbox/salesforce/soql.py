"""The part of SOQL that is spoken here: SELECT fields or COUNT(), FROM one object, WHERE, ORDER BY, LIMIT.

A field of the record that a reference leads to (`Contact.Email`) can be selected, but not stand in a condition.
Sub-queries, aggregates, OFFSET and TYPEOF are refused as a query that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from millstream.sandbox.salesforce.errors import malformed_query, no_such_field, no_such_object, refusal
from millstream.sandbox.salesforce.fields import TEXTS, UNFILTERED, Field
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.system import ApiError

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')"
    r"|(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))"
    r"|(?P<day>\d{4}-\d\d-\d\d)(?![\dT])"
    r"|(?P<number>-?\d+(?:\.\d+)?)(?![\w.-])"
    r"|(?P<sign><=|>=|!=|<>|[=<>(),])"
    r"|(?P<word>[A-Za-z_][\w.]*))"
)
SIGNS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})
UNESCAPED = re.compile(r"\\(.)")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}

Literal = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A field against one value, or against a list of them for IN, NOT IN, INCLUDES and EXCLUDES."""

    field: Field
    sign: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by AND or OR, or one that is turned round by NOT."""

    word: str
    parts: tuple[Condition | Group, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """A field of the record that a reference leads to."""

    reference: Field
    target: Sobject
    field: Field


@dataclass(frozen=True, slots=True)
class Statement:
    """A query that has been read. Neither fields nor parents means COUNT()."""

    sobject: Sobject
    fields: tuple[Field, ...]
    parents: tuple[Parent, ...]
    where: Condition | Group | None
    order: tuple[tuple[Field, bool, bool], ...]
    """Field, whether downwards, whether nothing comes last."""
    limit: int | None

    @property
    def counts(self) -> bool:
        """Whether it asks for a number alone."""
        return not self.fields and not self.parents


def parse(text: str, visible: Callable[[str], Sobject | None]) -> Statement:
    """Read a query; `visible` gives what the user may see of an object.

    Raises:
        ApiError: It cannot be read, or asks for what is not there.
    """
    return _Reader(text, visible).statement()


class _Reader:
    def __init__(self, text: str, visible: Callable[[str], Sobject | None]) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._visible = visible
        self._sobject: Sobject

    def statement(self) -> Statement:
        self._word("SELECT")
        names = self._names()
        self._word("FROM")
        name = self._take("word")
        found = self._visible(name)
        if found is None:
            raise no_such_object(name)
        self._sobject = found
        names = [] if names == ["COUNT()"] else names
        fields = tuple(self._field(one) for one in names if "." not in one)
        parents = tuple(self._parent(one) for one in names if "." in one)
        if len(set(fields)) < len(fields):
            double = next(field.name for field in fields if fields.count(field) > 1)
            raise malformed_query(f"duplicate field selected: {double}")
        where = self._any() if self._word_is("WHERE") else None
        order = self._order() if self._word_is("ORDER") else ()
        limit = int(self._take("number")) if self._word_is("LIMIT") else None
        if self._at < len(self._tokens):
            raise malformed_query(f"unexpected token: '{self._tokens[self._at][1]}'")
        return Statement(self._sobject, fields, parents, where, order, limit)

    def _names(self) -> list[str]:
        names = [self._take("word")]
        if names[0].upper() == "COUNT" and self._sign_is("("):
            self._sign(")")
            return ["COUNT()"]
        while self._sign_is(","):
            names.append(self._take("word"))
        return names

    def _any(self) -> Condition | Group:
        first = self._one()
        parts, word = [first], ""
        while (found := self._peek_word()) in ("AND", "OR"):
            # SOQL wants brackets where AND and OR meet.
            if word and found != word:
                raise malformed_query(f"unexpected token: '{found}'")
            self._at += 1
            word = found
            parts.append(self._one())
        return Group(word, tuple(parts)) if word else first

    def _one(self) -> Condition | Group:
        if self._word_is("NOT"):
            return Group("NOT", (self._one(),))
        if self._sign_is("("):
            inner = self._any()
            self._sign(")")
            return inner
        field = self._field(self._take("word"))
        if field.type in UNFILTERED:
            raise refusal(400, "INVALID_FIELD", f"field '{field.name}' can not be filtered in a query call")
        if self._word_is("NOT"):
            self._word("IN")
            return Condition(field, "NOT IN", self._list(field))
        if self._word_is("IN"):
            return Condition(field, "IN", self._list(field))
        for word in ("INCLUDES", "EXCLUDES"):
            if field.type == "multipicklist" and self._word_is(word):
                return Condition(field, word, self._list(field))
        if self._word_is("LIKE"):
            return Condition(field, "LIKE", (self._value(field),))
        sign = self._take("sign")
        if sign not in SIGNS:
            raise malformed_query(f"unexpected token: '{sign}'")
        return Condition(field, "!=" if sign == "<>" else sign, (self._value(field),))

    def _list(self, field: Field) -> tuple[Literal, ...]:
        self._sign("(")
        values = [self._value(field)]
        while self._sign_is(","):
            values.append(self._value(field))
        self._sign(")")
        return tuple(values)

    def _value(self, field: Field) -> Literal:
        if self._at >= len(self._tokens):
            raise malformed_query("unexpected token: <EOF>")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "word" and text.lower() == "null":
            return None
        return _literal(field, kind, text)

    def _order(self) -> tuple[tuple[Field, bool, bool], ...]:
        self._word("BY")
        made = []
        while True:
            field = self._field(self._take("word"))
            if field.type in UNFILTERED:
                raise refusal(400, "INVALID_FIELD", f"field '{field.name}' can not be sorted in a query call")
            downwards = self._word_is("DESC")
            if not downwards:
                self._word_is("ASC")
            last = False
            if self._word_is("NULLS"):
                last = self._word_is("LAST")
                if not last:
                    self._word("FIRST")
            made.append((field, downwards, last))
            if not self._sign_is(","):
                return tuple(made)

    def _field(self, name: str) -> Field:
        field = self._sobject.field(name)
        if field is None:
            raise no_such_field(name, self._sobject.name)
        return field

    def _parent(self, name: str) -> Parent:
        outer, _, inner = name.partition(".")
        reference = next((one for one in self._sobject.fields if one.relationship.lower() == outer.lower() != ""), None)
        target = None if reference is None else self._visible(reference.target)
        field = None if target is None else target.field(inner)
        if reference is None or target is None or field is None:
            raise no_such_field(name, self._sobject.name)
        return Parent(reference, target, field)

    def _peek_word(self) -> str:
        at_end = self._at >= len(self._tokens) or self._tokens[self._at][0] != "word"
        return "" if at_end else self._tokens[self._at][1].upper()

    def _word_is(self, word: str) -> bool:
        found = self._peek_word() == word
        self._at += found
        return found

    def _word(self, word: str) -> None:
        if not self._word_is(word):
            raise self._unexpected(word)

    def _sign_is(self, sign: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign)
        self._at += found
        return found

    def _sign(self, sign: str) -> None:
        if not self._sign_is(sign):
            raise self._unexpected(sign)

    def _take(self, kind: str) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != kind:
            raise self._unexpected(kind)
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _unexpected(self, wanted: str) -> ApiError:
        found = f"'{self._tokens[self._at][1]}'" if self._at < len(self._tokens) else "<EOF>"
        return malformed_query(f"unexpected token: {found}, expecting {wanted}")


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise malformed_query(f"line 1:{at} no viable alternative at character '{text[at : at + 1]}'")
        kind = match.lastgroup or ""
        found.append((kind, match.group(kind)))
        at = match.end()
    return found


def _literal(field: Field, kind: str, text: str) -> Literal:
    """A value of the field's own type; whatever else is written is refused as Salesforce refuses it."""
    if field.type in TEXTS and kind == "text":
        return UNESCAPED.sub(lambda match: ESCAPES.get(match.group(1), match.group(1)), text[1:-1])
    if field.type == "datetime" and kind == "moment":
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()
    if field.type == "date" and kind == "day":
        return date.fromisoformat(text).isoformat()
    if field.type == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if field.type in ("currency", "double", "int") and kind == "number":
        return float(text)
    quoted = "should not be enclosed in quotes" if kind == "text" else "must be written as such"
    wanted = "dateTime" if field.type == "datetime" else "string" if field.type in TEXTS else field.type
    raise refusal(
        400,
        "INVALID_FIELD",
        f"{field.name}: value of filter criterion for field '{field.name}' must be of type {wanted} and {quoted}",
    )
