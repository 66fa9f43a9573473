from django.urls import path

from webapp.operations import generation_views, job_views, views

urlpatterns = [
    path("health/live", views.live, name="health_live"),
    path("health/ready", views.ready, name="health_ready"),
    path("metrics", views.metrics, name="metrics"),
    path("jobs/", job_views.job_list, name="job_list"),
    path("jobs/<uuid:job_id>/", job_views.job_detail, name="job_detail"),
    path("jobs/<uuid:job_id>/progress/", job_views.job_progress, name="job_progress"),
    path("jobs/<uuid:job_id>/cancel/", job_views.job_cancel, name="job_cancel"),
    path("jobs/<uuid:job_id>/retry/", job_views.job_retry, name="job_retry"),
    path("generations/", generation_views.generation_list, name="generation_list"),
    path("generations/start/", generation_views.generation_start, name="generation_start"),
    path("generations/rollback/", generation_views.generation_rollback, name="generation_rollback"),
    path("generations/<int:number>/", generation_views.generation_detail, name="generation_detail"),
    path("generations/<int:number>/progress/", generation_views.generation_progress, name="generation_progress"),
    path("generations/<int:number>/pause/", generation_views.generation_pause, name="generation_pause"),
    path("generations/<int:number>/rate/", generation_views.generation_rate, name="generation_rate"),
    path("generations/<int:number>/activate/", generation_views.generation_activate, name="generation_activate"),
    path("generations/<int:number>/drop/", generation_views.generation_drop, name="generation_drop"),
    path("status/", views.status, name="status"),
]
