"""The audit log and the quotas of users in the admin."""

from django.contrib import admin

from webapp.accounts.models import AuditEntry, Quota
from webapp.http.admin_bases import ReadOnly


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    """Read-only: entries are never changed or deleted."""

    list_display = ["at", "actor", "action", "subject"]
    list_filter = ["action"]
    search_fields = ["actor", "subject"]
    date_hierarchy = "at"


@admin.register(Quota)
class QuotaAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """For users who may have more, or less, than the settings say."""

    list_display = ["user", "photos", "byte_size", "galleries"]
    search_fields = ["user__username"]
    autocomplete_fields = ["user"]
