"""The forms with which people make an account and set its password."""

from typing import Any

from django import forms
from django.contrib.auth.forms import UsernameField
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password

from webapp.accounts.login.checking import LONGEST_PASSWORD


class NewPasswordForm(forms.Form):
    """A new password, twice. Valid ones are still to be hashed, in the pool."""

    password = forms.CharField(
        label="New password",
        help_text="At least eight characters, and not one of the common ones.",
        max_length=LONGEST_PASSWORD,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label="New password again",
        max_length=LONGEST_PASSWORD,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        password, again = cleaned.get("password"), cleaned.get("again")
        if password and again and password != again:
            self.add_error("again", "The two are not the same.")
        elif password:
            try:
                validate_password(password)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return cleaned


class ConfirmedForm(forms.Form):
    """Asks a user who is logged in for the password again, if they have one: for `identity_confirm`."""

    current = forms.CharField(
        label="Current password",
        max_length=LONGEST_PASSWORD,
        strip=False,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, user: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not user.has_usable_password():
            del self.fields["current"]


class SignUpForm(NewPasswordForm):
    username = UsernameField(
        label="Name",
        help_text="Letters, digits and @ . + - _; you log in with it.",
        max_length=User._meta.get_field("username").max_length,
        validators=[User.username_validator],
    )
    email = forms.EmailField(
        label="E-mail address",
        help_text="For a link to set a new password. May be left empty.",
        max_length=254,
        required=False,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    field_order = ["username", "email", "password", "again"]

    def __init__(self, *args: Any, with_email: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["password"].label, self.fields["again"].label = "Password", "Password again"
        if not with_email:
            del self.fields["email"]
