"""The staff's view of jobs and generations. What is done with them is done on their pages and with `manage.py`."""

from django.contrib import admin

from webapp.gallery.admin import ReadOnly
from webapp.operations.job_selectors import progress_of
from webapp.operations.models import AuditEntry, Check, Entry, Generation, Job


@admin.register(Job)
class JobAdmin(ReadOnly):
    list_display = ["id", "kind", "gallery_name", "owner", "state", "total", "created", "finished_at"]
    list_filter = ["kind", "state"]
    search_fields = ["id", "gallery_name", "owner__username"]
    list_select_related = ["owner"]
    date_hierarchy = "created"
    readonly_fields = ["progress"]

    @admin.display(description="photos")
    def progress(self, job: Job) -> str:
        found = progress_of(job)
        names = ("pending", "indexed", "no_faces", "failed", "cancelled", "gone")
        return ", ".join(f"{getattr(found, name)} {name}" for name in names)


@admin.register(Generation)
class GenerationAdmin(ReadOnly):
    list_display = ["id", "pack", "collection", "state", "is_paused", "is_dropping", "created", "activated_at"]
    list_filter = ["state"]
    search_fields = ["pack", "collection"]


@admin.register(Check)
class CheckAdmin(ReadOnly):
    list_display = ["generation", "started_at", "finished_at", "missing_count", "orphaned_count", "duplicated_count"]
    list_select_related = ["generation"]


@admin.register(Entry)
class EntryAdmin(ReadOnly):
    list_display = ["photo", "generation", "state", "code", "attempts", "enqueued_at", "settled_at"]
    list_filter = ["generation", "state", "code"]
    search_fields = ["photo__id", "photo__filename"]
    list_select_related = ["photo", "generation"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    """Nobody changes or deletes what was written down here."""

    list_display = ["at", "actor", "action", "subject"]
    list_filter = ["action"]
    search_fields = ["actor", "subject"]
    date_hierarchy = "at"
