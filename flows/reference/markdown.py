"""Tables in Markdown, and the parts of a page that are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

END = "<!-- end of what is made -->"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows as the lines of a table."""
    for row in (heads, ["---"] * len(heads), *rows):
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |"


def between_marks(page: str, made: str, *, begin: str) -> str:
    """A page with what is made in the place of what was made before."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{made}\n\n{END}{after}"
