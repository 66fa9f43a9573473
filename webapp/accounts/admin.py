"""The audit log in the admin."""

from django.contrib import admin

from webapp.accounts.models import AuditEntry
from webapp.http.admin_bases import ReadOnly


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    """Read-only: entries are never changed or deleted."""

    list_display = ["at", "actor", "action", "subject"]
    list_filter = ["action"]
    search_fields = ["actor", "subject"]
    date_hierarchy = "at"
