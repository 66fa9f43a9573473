"""The staff's view of jobs."""

from django.contrib import admin

from webapp.http.admin_bases import ReadOnly
from webapp.jobs.models import Job
from webapp.jobs.selectors import progress_of


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
