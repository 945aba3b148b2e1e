"""A YAML file as plain data that remembers on which line each key stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from millstream.flows.project.problems import Key, Problems, ProjectError, label_of


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of booleans: ``no`` is the country Norway, ``on`` and ``yes`` are words."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


@dataclass(frozen=True)
class Document:
    """The content of a project file.

    Attributes:
        path: The file.
        data: Its mapping.
        lines: Line of each key or list item, counted from 1.
    """

    path: Path
    data: Mapping[str, object]
    lines: Mapping[Key, int]

    def line(self, key: Key) -> int:
        """Line of a key, or of the nearest one around it that is in the file."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def value(self, key: Key) -> object:
        """What stands at a key; None where there is nothing."""
        found: object = self.data
        for part in key:
            if isinstance(found, dict):
                found = found.get(part)
            elif isinstance(found, list) and isinstance(part, int) and part < len(found):
                found = found[part]
            else:
                return None
        return found

    def has(self, key: Key) -> bool:
        """Whether the file has this key."""
        return key in self.lines


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ProjectError: It cannot be read, is not YAML, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ProjectError.single(path, 1, (), f"the file cannot be read: {reason}.") from error
    problems = Problems(path)
    lines: dict[Key, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _walk(node, (), lines, problems, ())
        problems.raise_if_any()
        data = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(path, error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ProjectError.single(path, line, (), "a character that YAML does not allow.") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ProjectError.single(path, 1, (), "the file should be a mapping, starting with `name: …`.")
    return Document(path, data, lines)


def _walk(node: yaml.Node, key: Key, lines: dict[Key, int], problems: Problems, above: tuple[int, ...]) -> None:
    """Note the lines of everything below a node, and keys that stand twice."""
    if id(node) in above:
        problems.add(key, "refers to itself.", line=node.start_mark.line + 1)
        return
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            name = str(key_node.value)
            if key_node.tag == "tag:yaml.org,2002:merge":
                _walk(value_node, key, lines, problems, above)
                continue
            if name == "null":
                key_node.tag = "tag:yaml.org,2002:str"  # a word of ours, which says what a missing value means
            if key_node.tag != "tag:yaml.org,2002:str":
                problems.add((*key, name), "a key should be text: put it in quotes.", line=line)
            if name in seen:
                problems.add(
                    (*key, name),
                    f"this key stands twice; the first is on line {seen[name]}.",
                    line=line,
                    remedy="keep one of the two.",
                )
            seen[name] = line
            lines[(*key, name)] = line
            _walk(value_node, (*key, name), lines, problems, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*key, index)] = item.start_mark.line + 1
            _walk(item, (*key, index), lines, problems, above)


def _syntax_error(path: Path, error: yaml.MarkedYAMLError) -> ProjectError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    words = " ".join(filter(None, (error.context, error.problem)))
    remedy = None
    if "alias" in words:
        remedy = "a value that starts with * has to stand in quotes, as in cron: '*/15 * * * *'."
    elif "'\\t'" in words:
        remedy = "indent with spaces, not with tabs."
    elif "mapping values are not allowed" in words:
        remedy = "put a value that contains a colon in quotes, and check the indentation."
    return ProjectError.single(path, line, (), f"this is not valid YAML: {words}.", remedy=remedy)


__all__ = ["Document", "label_of", "read_document"]
