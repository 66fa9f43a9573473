"""The staff's view of generations."""

from django.contrib import admin

from webapp.generations.models import Check, Entry, Generation, Trial
from webapp.http.admin_bases import ReadOnly


@admin.register(Generation)
class GenerationAdmin(ReadOnly):
    list_display = ["id", "pack", "collection", "state", "is_paused", "is_dropping", "created", "activated_at"]
    list_filter = ["state"]
    search_fields = ["pack", "collection"]


@admin.register(Check)
class CheckAdmin(ReadOnly):
    list_display = ["generation", "started_at", "finished_at", "missing_count", "orphaned_count", "duplicated_count"]
    list_select_related = ["generation"]


@admin.register(Trial)
class TrialAdmin(ReadOnly):
    list_display = ["generation", "state", "search_params", "previous", "recall_before", "recall_after", "started_at"]
    list_select_related = ["generation"]


@admin.register(Entry)
class EntryAdmin(ReadOnly):
    list_display = ["photo", "generation", "state", "code", "attempts", "enqueued_at", "settled_at"]
    list_filter = ["generation", "state", "code"]
    search_fields = ["photo__id", "photo__filename"]
    list_select_related = ["photo", "generation"]
