from django.apps import AppConfig


class SearchConfig(AppConfig):
    name = "webapp.search"
