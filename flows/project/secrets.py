"""Values that stand elsewhere: environment variables, files, Prefect's Secret blocks. Read when they are needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, SecretStr

from millstream.state.errors import ConfigurationError

Where = Literal["env", "file", "prefect"]
WHERE: tuple[Where, ...] = ("env", "file", "prefect")
FORMS = ("{env: NAME}", "{file: path}", "{prefect: block-name}")
PLACEHOLDER = "not-read-yet"
"""Stands for a value that was not read, where only the shape of settings is looked at."""


@dataclass(frozen=True)
class Reference:
    """Where a value is to be found.

    Attributes:
        where: An environment variable, a file, or a Secret block of Prefect.
        name: Its name or path.
    """

    where: Where
    name: str

    @classmethod
    def of(cls, value: object) -> Reference | None:
        """``{"env": "NAME"}`` as a reference; None for anything else."""
        if not isinstance(value, dict) or len(value) != 1:
            return None
        [(where, name)] = value.items()
        return cls(where, name) if where in WHERE and isinstance(name, str) and name else None

    def read(self, root: Path) -> str:
        """The value.

        Args:
            root: Where relative file paths start.

        Raises:
            ConfigurationError: There is none.
        """
        if self.where == "env":
            return self._from_environment()
        return self._from_file(root) if self.where == "file" else self._from_prefect()

    def _from_environment(self) -> str:
        value = os.environ.get(self.name, "").strip()
        if not value:
            raise ConfigurationError(
                f"the environment variable {self.name} is not set.", remedy=f"set it: export {self.name}=…"
            )
        return value

    def _from_file(self, root: Path) -> str:
        path = root / Path(self.name).expanduser()
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigurationError(
                f"the file {self.name} cannot be read: {reason}.",
                remedy="make the file; a relative path starts at the project file's folder.",
            ) from error
        if not value:
            raise ConfigurationError(f"the file {self.name} is empty.", remedy="write the value into it.")
        return value

    def _from_prefect(self) -> str:
        from prefect.blocks.system import Secret
        from prefect.exceptions import PrefectException

        try:
            block = cast("Secret[str]", Secret.load(self.name, _sync=True))  # type: ignore[call-arg]
        except (ValueError, PrefectException) as error:
            raise ConfigurationError(
                f"Prefect has no Secret block {self.name!r}, or cannot be reached ({type(error).__name__}).",
                remedy="make the block under Blocks in Prefect's UI, and check PREFECT_API_URL.",
            ) from error
        return str(block.get()).strip()


def is_secret(annotation: object) -> bool:
    """Whether a field's type holds a ``SecretStr`` at any depth."""
    if annotation is SecretStr:
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(is_secret(field.annotation) for field in annotation.model_fields.values())
    return any(is_secret(part) for part in get_args(annotation))


def takes_reference(annotation: object) -> bool:
    """Whether a mapping at a field of this type can only be a reference: the type holds no mapping of its own."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return all(takes_reference(part) for part in get_args(annotation) if part is not None)
    origin = get_origin(annotation) or annotation
    return not (isinstance(origin, type) and issubclass(origin, (Mapping, BaseModel)))
