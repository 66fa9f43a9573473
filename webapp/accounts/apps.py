from django.apps import AppConfig
from django.contrib.admin import apps as django_admin


class AccountsConfig(AppConfig):
    name = "webapp.accounts"


class AdminConfig(django_admin.AdminConfig):
    """Django's admin, on our site."""

    default = False
    default_site = "webapp.accounts.admin_site.AdminSite"
