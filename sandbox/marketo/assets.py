"""The asset API's side of static lists, and the folders they stand in. Bodies are forms, not JSON."""

from __future__ import annotations

import time

import orjson

from millstream.sandbox.marketo.answers import asset, refused
from millstream.sandbox.marketo.lists import FOLDER_ID, PROGRAM_ID, Lists, StaticList
from millstream.sandbox.system import Answer, Call, JsonObject

FORM = "application/x-www-form-urlencoded"
LARGEST_PAGE = 200
FOLDERS = {
    (FOLDER_ID, "Folder"): ("Lists", "Zone"),
    (PROGRAM_ID, "Program"): ("Spring campaign", "Program"),
    (341, "Folder"): ("Templates", "Email Template"),
}
MARKETING = ("Zone", "Program", "Marketing Folder")


class Assets:
    """Handlers of `/rest/asset/v1`."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    def find(self, call: Call) -> Answer:
        """The list with exactly this name; where there is none, no result and a warning."""
        name = call.query.get("name", "")
        if not name:
            raise refused(701, "name cannot be blank")
        return asset([_row(one) for one in self._lists.all.values() if one.name == name])

    def get(self, call: Call) -> Answer:
        """One list by id."""
        text = call.params["list_id"]
        found = self._lists.find(int(text)) if text.isdecimal() else None
        return asset([] if found is None else [_row(found)])

    def browse(self, call: Call) -> Answer:
        """A page of the lists, of one folder or of all."""
        start, size = _number(call, "offset", 0), _number(call, "maxReturn", 20)
        if size > LARGEST_PAGE:
            raise refused(701, f"maxReturn cannot be more than {LARGEST_PAGE}")
        rows = list(self._lists.all.values())
        if "folder" in call.query:
            folder = _folder(call.query["folder"])
            rows = [one for one in rows if one.folder == folder]
        return asset([_row(one) for one in rows[start : start + call.page_limit(size)]])

    def create(self, call: Call) -> Answer:
        """Make a list in a folder. Parameters stand in the form; those of the query are taken too."""
        given = _form(call)
        for parameter in ("folder", "name"):
            if not given.get(parameter):
                raise refused(701, f"{parameter} cannot be blank")
        folder = _folder(given["folder"])
        self._check_name(given["name"])
        return asset([_row(self._lists.create(given["name"], given.get("description"), folder))])

    def update(self, call: Call) -> Answer:
        """Give a list another name or description."""
        one, given = self._there(call), _form(call)
        name = given.get("name") or one.name
        if name != one.name:
            self._check_name(name)
        one.name, one.description = name, given.get("description", one.description)
        one.updated_ms = int(time.time() * 1000)
        return asset([_row(one)])

    def delete(self, call: Call) -> Answer:
        """Delete a list."""
        one = self._there(call)
        self._lists.delete(one.list_id)
        return asset([{"id": one.list_id}])

    def find_folder(self, call: Call) -> Answer:
        """Folders with exactly this name."""
        name, kind = call.query.get("name", ""), call.query.get("type")
        if not name:
            raise refused(701, "name cannot be blank")
        rows = [key for key, (title, _) in FOLDERS.items() if title == name and kind in (None, key[1])]
        return asset([_folder_row(key) for key in rows])

    def get_folder(self, call: Call) -> Answer:
        """One folder by id."""
        text, kind = call.params["folder_id"], call.query.get("type", "")
        if kind not in ("Folder", "Program"):
            raise refused(701, "type cannot be blank")
        key = (int(text) if text.isdecimal() else 0, kind)
        return asset([_folder_row(key)] if key in FOLDERS else [])

    def _there(self, call: Call) -> StaticList:
        text = call.params["list_id"]
        found = self._lists.find(int(text)) if text.isdecimal() else None
        if found is None:
            raise refused(702, f"No data found for a given search scenario: static list {text}")
        return found

    def _check_name(self, name: str) -> None:
        if any(one.name.lower() == name.lower() for one in self._lists.all.values()):
            raise refused(709, f"Static list with name '{name}' already exists")


def _form(call: Call) -> dict[str, str]:
    if call.body and not call.headers.get("content-type", "").lower().startswith(FORM):
        raise refused(612, "Invalid Content Type")
    return {**call.query, **call.form()}


def _folder(text: str) -> tuple[int, str]:
    """A folder as it is given: an object with id and type, or the id of a folder alone."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise refused(701, "folder is no JSON object of id and type") from error
    given = value if isinstance(value, dict) else {"id": value, "type": "Folder"}
    number, kind = given.get("id"), given.get("type")
    if not isinstance(number, int) or kind not in ("Folder", "Program"):
        raise refused(701, "folder is no JSON object of id and type")
    folder = (number, str(kind))
    if folder not in FOLDERS:
        raise refused(710, "Parent Folder Not Found")
    if FOLDERS[folder][1] not in MARKETING:
        raise refused(711, "Incompatible Folder Type")
    return folder


def _number(call: Call, parameter: str, default: int) -> int:
    text = call.query.get(parameter, str(default))
    if not text.isdecimal():
        raise refused(701, f"{parameter} is no number")
    return int(text)


def _row(one: StaticList) -> JsonObject:
    return {
        "id": one.list_id,
        "name": one.name,
        **({} if one.description is None else {"description": one.description}),
        "createdAt": _stamp(one.created_ms),
        "updatedAt": _stamp(one.updated_ms),
        "folder": {"id": one.folder[0], "type": one.folder[1]},
        "computedUrl": f"https://app-sandbox.marketo.com/#ST{one.list_id}A1",
    }


def _folder_row(key: tuple[int, str]) -> JsonObject:
    title, kind = FOLDERS[key]
    return {
        "name": title,
        "description": None,
        "folderId": {"id": key[0], "type": key[1]},
        "folderType": kind,
        "path": f"/Marketing Activities/Default/{title}",
        "isArchive": False,
        "isSystem": False,
        "workspace": "Default",
        "id": key[0],
    }


def _stamp(ms: int) -> str:
    """A moment as the asset API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ+0000", time.gmtime(ms / 1000))
