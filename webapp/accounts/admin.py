"""The staff's view of the audit log."""

from django.contrib import admin

from webapp.accounts.models import AuditEntry
from webapp.http.admin_bases import ReadOnly


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    """Nobody changes or deletes what was written down here."""

    list_display = ["at", "actor", "action", "subject"]
    list_filter = ["action"]
    search_fields = ["actor", "subject"]
    date_hierarchy = "at"
