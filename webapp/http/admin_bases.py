"""What every admin page of rows shares."""

from django.contrib import admin
from django.http import HttpRequest


class NoDeletion(admin.ModelAdmin):  # type: ignore[type-arg]
    """A row deleted here would leave its faces findable in the vector store."""

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


class ReadOnly(NoDeletion):
    """Workers write these rows."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False
