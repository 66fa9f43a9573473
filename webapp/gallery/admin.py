"""The staff's view of the rows. Deleting goes through the pages: only they remove the faces from the vector store."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.gallery.members import services as members
from webapp.gallery.models import Face, FailedPhoto, Gallery, Member, Photo
from webapp.http.admin_bases import ReadOnly
from webapp.http.problems import Problem
from webapp.indexing import retrying


@admin.register(Gallery)
class GalleryAdmin(ReadOnly):
    """Superusers see no picture of other people's galleries until they open one or take it over: both are on record."""

    list_display = ["name", "owner", "deleting", "created"]
    list_filter = ["deleting"]
    search_fields = ["name", "owner__username", "id"]
    list_select_related = ["owner"]
    actions = ["open", "take_over"]

    def has_superuser_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    @admin.action(description="Open the selected galleries: become a viewer", permissions=["superuser"])
    def open(self, request: HttpRequest, galleries: QuerySet[Gallery]) -> None:
        self._each(request, galleries, members.gallery_open, "opened")

    @admin.action(description="Take the selected galleries over: become their owner", permissions=["superuser"])
    def take_over(self, request: HttpRequest, galleries: QuerySet[Gallery]) -> None:
        self._each(request, galleries, members.gallery_take_over, "taken over")

    def _each(self, request: HttpRequest, galleries: QuerySet[Gallery], action: Callable[..., bool], done: str) -> None:
        for gallery in galleries:
            try:
                is_new = action(gallery=gallery, user=request.user)
            except Problem as problem:
                self.message_user(request, f"{gallery}: {problem.message}", messages.ERROR)
            else:
                self.message_user(request, f"{gallery} is {done}." if is_new else f"{gallery} was open to you already.")


@admin.register(Member)
class MemberAdmin(ReadOnly):
    """Owners share their galleries on the galleries' pages."""

    list_display = ["user", "gallery", "level", "created"]
    list_filter = ["level"]
    search_fields = ["user__username", "gallery__name"]
    list_select_related = ["user", "gallery"]


@admin.register(Photo)
class PhotoAdmin(ReadOnly):
    list_display = ["filename", "gallery", "state", "code", "attempts", "enqueued_at", "created"]
    list_filter = ["state", "code", "image_format"]
    search_fields = ["filename", "id", "sha256", "gallery__name"]
    list_select_related = ["gallery"]
    date_hierarchy = "created"


@admin.register(FailedPhoto)
class FailedPhotoAdmin(ReadOnly):
    """The dead-letter list: failed photos that may succeed if they are retried once the cause is fixed."""

    list_display = ["filename", "gallery", "code", "message", "attempts", "settled_at"]
    list_filter = ["code"]
    search_fields = ["filename", "id", "gallery__name"]
    list_select_related = ["gallery"]
    actions = ["replay"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[FailedPhoto]:
        failed: QuerySet[FailedPhoto] = super().get_queryset(request)
        return failed.filter(state=Photo.State.FAILED, code__in=FailedPhoto.CODES)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("gallery.change_photo")

    @admin.action(description="Send the selected photos again", permissions=["replay"])
    def replay(self, request: HttpRequest, photos: QuerySet[FailedPhoto]) -> None:
        """Start one job per gallery, owned by the gallery's owner."""
        count = 0
        for gallery in Gallery.objects.filter(id__in=photos.order_by().values("gallery_id")):
            photo_ids = photos.filter(gallery=gallery).values_list("id", flat=True)
            job, warning = retrying.photos_retry(gallery=gallery, photo_ids=photo_ids, requested_by_id=request.user.pk)
            count += job.total if job else 0
            if warning:
                self.message_user(request, warning, messages.WARNING)
        self.message_user(request, f"{count} photos sent again.")


@admin.register(Face)
class FaceAdmin(ReadOnly):
    list_display = ["id", "photo", "person", "score", "quality"]
    search_fields = ["id", "photo__id", "photo__filename", "person__name"]
    list_select_related = ["photo", "person"]
