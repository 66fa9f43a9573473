"""The audit log, API keys, and the quotas of users in the admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.accounts.keys import key_revoke
from webapp.accounts.models import ApiKey, AuditEntry, Quota
from webapp.accounts.staff import actor_of
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


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Keys can be looked at, without their hashes, and revoked: that is what deleting one does."""

    list_display = ["name", "hint", "user", "scopes", "is_limited", "created", "expires_at", "last_used_at"]
    list_select_related = ["user"]
    search_fields = ["name", "hint", "user__username"]
    exclude = ["digest"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        key_revoke(key=obj, actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.select_related("user"):
            key_revoke(key=key, actor=actor_of(request))
