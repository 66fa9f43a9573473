from django.conf import settings
from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, path

from webapp.accounts.views import account, deletion, keys, log_in, passwords, second_factor, sign_up

urlpatterns: list[URLPattern] = [
    path("login/", log_in.log_in, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password/<str:user_code>/<str:token>/", passwords.set_by_link, name="password_set"),
    path("account/", account.account, name="account"),
    path("account/password/", passwords.change, name="password_change"),
    path("account/sessions/", account.session_list, name="session_list"),
    path("account/sessions/<str:session_id>/end/", account.session_end, name="session_end"),
    path("account/delete/", deletion.account_delete, name="account_delete"),
    path("account/keys/", keys.key_list, name="key_list"),
    path("account/keys/<int:key_id>/revoke/", keys.key_delete, name="key_delete"),
]
# What the settings do not turn on has no address.
if settings.TOTP:
    urlpatterns += [
        path("login/code/", log_in.log_in_code, name="log_in_code"),
        path("account/second-factor/", second_factor.second_factor, name="second_factor"),
    ]
if settings.OIDC_ISSUER:
    from webapp.accounts.views import oidc  # not otherwise: it brings an HTTP client

    # The first two by the names that allauth knows.
    urlpatterns += [
        path("login/with/<slug:provider_id>/", oidc.log_in, name="openid_connect_login"),
        path("login/with/<slug:provider_id>/callback/", oidc.callback, name="openid_connect_callback"),
        path("account/linked/", oidc.link, name="oidc_link"),
    ]
if settings.EMAIL_URL:
    urlpatterns += [
        path("password/forgotten/", passwords.forgotten, name="password_forgotten"),
        path("account/email/", account.email, name="account_email"),
    ]
if settings.SIGN_UP != "closed":
    urlpatterns += [path("sign-up/<str:token>/", sign_up.sign_up, name="sign_up_invited")]
if settings.SIGN_UP == "open":
    urlpatterns += [path("sign-up/", sign_up.sign_up, name="sign_up")]
