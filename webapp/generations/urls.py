from django.urls import path

from webapp.generations import views

urlpatterns = [
    path("generations/", views.generation_list, name="generation_list"),
    path("generations/start/", views.generation_start, name="generation_start"),
    path("generations/rollback/", views.generation_rollback, name="generation_rollback"),
    path("generations/<int:number>/", views.generation_detail, name="generation_detail"),
    path("generations/<int:number>/progress/", views.generation_progress, name="generation_progress"),
    path("generations/<int:number>/pause/", views.generation_pause, name="generation_pause"),
    path("generations/<int:number>/rate/", views.generation_rate, name="generation_rate"),
    path("generations/<int:number>/search-params/", views.generation_search_params, name="generation_search_params"),
    path("generations/<int:number>/activate/", views.generation_activate, name="generation_activate"),
    path("generations/<int:number>/drop/", views.generation_drop, name="generation_drop"),
]
