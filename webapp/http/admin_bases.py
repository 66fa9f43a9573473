"""Base classes of admin pages."""

from django.contrib import admin
from django.http import HttpRequest


class NoDeletion(admin.ModelAdmin):  # type: ignore[type-arg]
    """Forbids deletion, which would leave the row's faces in the vector store."""

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


class ReadOnly(NoDeletion):
    """For rows that only workers or their owners write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False
