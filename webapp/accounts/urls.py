from django.contrib.auth.views import LogoutView
from django.urls import path

from webapp.accounts.views import keys
from webapp.accounts.views.log_in import log_in

urlpatterns = [
    path("login/", log_in, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("account/keys/", keys.key_list, name="key_list"),
    path("account/keys/<int:key_id>/revoke/", keys.key_delete, name="key_delete"),
]
