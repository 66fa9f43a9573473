"""Users in the admin, with what operators do for them; the audit log, API keys, quotas and invitations."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from webapp.accounts.keys import key_revoke
from webapp.accounts.models import AccountDeletion, ApiKey, AuditEntry, Quota, SignUpInvitation
from webapp.accounts.own.links import absolute
from webapp.accounts.own.passwords import password_link
from webapp.accounts.own.second_factor import second_factor_off
from webapp.accounts.own.sign_up import sign_up_invitation_create
from webapp.accounts.sessions import sessions_end
from webapp.accounts.staff import actor_of
from webapp.http.admin_bases import ReadOnly
from webapp.http.problems import Problem
from webapp.operations.accounts import deletion_request, is_last_superuser

# allauth's own pages for its rows: secrets, and addresses that nothing here uses.
for model in (EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
admin.site.unregister(User)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    """Deleting a user deletes their galleries too, in the same way as on the page of one's own account."""

    actions = ["make_password_link", "turn_second_factor_off", "log_out"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """For superusers only, whatever permissions others have: to set a password is to get into any account.

        Django then lets nobody else add users, either.
        """
        return bool(getattr(request.user, "is_superuser", False))

    @admin.action(description="Make a link that sets a new password", permissions=["change"])
    def make_password_link(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in users:
            try:
                link = absolute(password_link(user=user, actor=actor_of(request)), request)
            except Problem as problem:
                self.message_user(request, problem.message, messages.ERROR)
            else:
                self.message_user(request, f"For {user}, once and within a day: {link}")

    @admin.action(description="Turn the second factor off", permissions=["change"])
    def turn_second_factor_off(self, request: HttpRequest, users: QuerySet[User]) -> None:
        count = sum(second_factor_off(user=user, actor=actor_of(request)) for user in users)
        self.message_user(request, f"The second factor of {count} users is off.")

    @admin.action(description="Log out everywhere", permissions=["change"])
    def log_out(self, request: HttpRequest, users: QuerySet[User]) -> None:
        count = sum(sessions_end(user_id=user.pk) for user in users)
        self.message_user(request, f"{count} sessions are ended.")

    def get_deleted_objects(self, users: Any, request: HttpRequest) -> Any:
        """Say what goes, by name: listing every photo would take a large page."""
        names = [f"{user} and everything in {user.galleries.count()} galleries" for user in users]
        needed = [f"{user}, the last superuser" for user in users if is_last_superuser(user)]
        return names, {"users": len(names)}, set(), needed

    def delete_model(self, request: HttpRequest, user: User) -> None:
        deletion_request(user=user, actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in users:
            deletion_request(user=user, actor=actor_of(request))


@admin.register(AccountDeletion)
class AccountDeletionAdmin(ReadOnly):
    list_display = ["user", "requested_by", "requested_at"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    """Read-only: entries are never changed or deleted, except that they lose the names of deleted users."""

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


@admin.register(SignUpInvitation)
class SignUpInvitationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Adding one shows its link, once; deleting one revokes it."""

    list_display = ["note", "created", "expires_at"]
    fields = ["note"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return settings.SIGN_UP != "closed" and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return settings.SIGN_UP != "closed" and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return settings.SIGN_UP != "closed" and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: SignUpInvitation, form: Any, change: bool) -> None:
        invitation, path = sign_up_invitation_create(actor=actor_of(request), note=obj.note)
        obj.pk, obj.digest, obj.expires_at = invitation.pk, invitation.digest, invitation.expires_at
        self.message_user(request, f"For one person, within a week: {absolute(path, request)}")

    def response_add(self, request: HttpRequest, obj: SignUpInvitation, post_url_continue: Any = None) -> HttpResponse:
        return redirect("admin:accounts_signupinvitation_changelist")


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
