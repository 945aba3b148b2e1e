"""Custom fields and values of picklists, made by the Tooling API where the user may customize the application."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.destinations.contract import FieldType
from millstream.destinations.http import Http
from millstream.destinations.salesforce.fields import SObjectField, SObjectFields
from millstream.destinations.salesforce.soql import records, text_literal
from millstream.state.errors import ConfigurationError, NotFoundError, PermissionDeniedError, RefusedError
from millstream.state.vendors.salesforce import code_and_words

LONGEST_LABEL = 40

_KINDS: Mapping[FieldType, Mapping[str, object]] = {
    "text": {"type": "Text", "length": 255},
    "number": {"type": "Number", "precision": 18, "scale": 4},
    "boolean": {"type": "Checkbox", "defaultValue": False},
    "date": {"type": "Date"},
    "timestamp": {"type": "DateTime"},
}
_ALREADY = ("DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE")


class FieldMaker:
    """Makes what an object lacks.

    Args:
        http: The engine's HTTP for the organization.
        root: Path of the API.
        fields: The fields of the object.
        permission_set: Which gets access to new fields.
    """

    def __init__(self, http: Http, root: str, fields: SObjectFields, permission_set: str | None) -> None:
        self._http = http
        self._root = root
        self._fields = fields
        self._permission_set = permission_set

    def make(self, name: str, field_type: FieldType, *, label: str | None = None) -> SObjectField:
        """Make a field, unless another process was first, and let the permission set edit it.

        Raises:
            ConfigurationError: Custom fields are not named so.
            PermissionDeniedError: The user may not make it, or not see it.
        """
        if not name.endswith("__c"):
            raise ConfigurationError(
                f"A custom field of Salesforce cannot be named {name!r}.",
                where="salesforce",
                remedy=f"map {name}__c: names of custom fields end in __c.",
            )
        shown = label or name.removesuffix("__c").replace("_", " ")[:LONGEST_LABEL].strip()
        metadata = {**_KINDS[field_type], "label": shown}
        self._post("tooling/sobjects/CustomField", {"FullName": self._full_name(name), "Metadata": metadata})
        if self._permission_set:
            self._grant(name, self._permission_set)
        self._fields.forget()
        made = self._fields.get(name)
        if made is None:
            raise PermissionDeniedError(
                f"The field {name} of {self._fields.api_name} was made, and the user may not see it.",
                where="salesforce",
                remedy="give the user edit access to it; or name as permission_set one that the user has, which then "
                "gets access to each new field.",
            )
        return made

    def add_value(self, field: SObjectField, value: str) -> None:
        """Let a restricted picklist take one more value.

        Raises:
            ConfigurationError: It cannot be added by the API.
        """
        by_hand = ConfigurationError(
            f"The picklist {field.name} has no value {value!r}, and takes no others.",
            where="salesforce",
            allowed=field.values,
            remedy="add the value in Salesforce (Object Manager > Fields > the field > Values).",
        )
        prefix, _, developer_name = field.name.removesuffix("__c").rpartition("__")
        soql = (
            f"SELECT Id, Metadata FROM CustomField WHERE DeveloperName = {text_literal(developer_name)} "
            f"AND TableEnumOrId = {text_literal(self._fields.api_name)} "
            f"AND NamespacePrefix = {text_literal(prefix) if prefix else 'null'}"
        )
        try:
            found = next(records(self._http, f"{self._root}/tooling", soql), None)
        except NotFoundError:
            found = None
        values = (((found or {}).get("Metadata") or {}).get("valueSet") or {}).get("valueSetDefinition")
        if found is None or not values:
            raise by_hand  # not to be seen by this user, or a value set that several fields share
        values["value"] = [*values.get("value", ()), {"valueName": value, "label": value, "default": False}]
        path = f"{self._root}/tooling/sobjects/CustomField/{found['Id']}"
        self._http.request("PATCH", path, body={"Metadata": found["Metadata"]})
        self._fields.forget()
        described = self._fields.get(field.name)
        if described is None or value not in described.values:
            raise by_hand

    def _grant(self, name: str, permission_set: str) -> None:
        soql = f"SELECT Id FROM PermissionSet WHERE Name = {text_literal(permission_set)}"
        found = next(records(self._http, self._root, soql), None)
        if found is None:
            raise ConfigurationError(
                f"The organization has no permission set {permission_set!r}.",
                where="salesforce",
                remedy="give the API name of one, and assign it to the user.",
            )
        access = {"PermissionsRead": True, "PermissionsEdit": True}
        about = {"ParentId": found["Id"], "SobjectType": self._fields.api_name, "Field": self._full_name(name)}
        self._post("sobjects/FieldPermissions", about | access)

    def _post(self, path: str, body: object) -> None:
        try:
            self._http.post(f"{self._root}/{path}", body)
        except RefusedError as error:
            if code_and_words(error.body)[0] not in _ALREADY:
                raise

    def _full_name(self, name: str) -> str:
        return f"{self._fields.api_name}.{name}"
