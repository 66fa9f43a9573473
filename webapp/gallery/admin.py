"""The staff's view of the rows. Deleting goes through the pages: only they remove the faces from the vector store."""

from django.contrib import admin
from django.http import HttpRequest

from webapp.gallery.models import Face, Gallery, Photo


class NoDeletion(admin.ModelAdmin):  # type: ignore[type-arg]
    """A row deleted here would leave its faces findable in the vector store."""

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


@admin.register(Gallery)
class GalleryAdmin(NoDeletion):
    list_display = ["name", "owner", "deleting", "created"]
    list_filter = ["deleting"]
    search_fields = ["name", "owner__username", "id"]
    readonly_fields = ["id", "deleting", "created"]
    list_select_related = ["owner"]


class ReadOnly(NoDeletion):
    """Workers write these rows."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


@admin.register(Photo)
class PhotoAdmin(ReadOnly):
    list_display = ["filename", "gallery", "state", "code", "attempts", "enqueued_at", "created"]
    list_filter = ["state", "code", "image_format"]
    search_fields = ["filename", "id", "sha256", "gallery__name"]
    list_select_related = ["gallery"]
    date_hierarchy = "created"


@admin.register(Face)
class FaceAdmin(ReadOnly):
    list_display = ["id", "photo", "score", "quality"]
    search_fields = ["id", "photo__id", "photo__filename"]
    list_select_related = ["photo"]
