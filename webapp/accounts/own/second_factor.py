"""The second factor: a code from an app on the user's phone (TOTP, RFC 6238), or one of ten recovery codes.

allauth keeps the secrets, derives codes and draws the QR code. When a code counts is decided here: by the shared clock,
and once for all web processes, while allauth reads each host's clock and remembers used codes in each process.
"""

import base64
from typing import Final
from urllib.parse import quote

from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from allauth.mfa.utils import decrypt
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils.crypto import constant_time_compare

from tasks import clock
from webapp.accounts.audit import audit
from webapp.http.problems import Problem

#: Periods before and after the present one whose codes count (RFC 6238 section 5.2 recommends one for the delay).
TOLERATED_PERIODS: Final = 1
#: Key in the secret's row: the period of the last code that was used. None of it or before counts again.
LAST_PERIOD: Final = "last_period"


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps secrets encrypted, so that a copy of the database alone does not show them."""

    def get_totp_label(self, user: AbstractBaseUser) -> str:
        return user.get_username()

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return _cipher().decrypt(encrypted_text).decode()
        except InvalidToken:
            sentence = "SECRET_KEY was changed, so your second factor cannot be read. An administrator can turn it off."
            raise Problem("second_factor_unreadable", sentence, status=409) from None


def _cipher() -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"webapp.accounts.own.second_factor")
    return Fernet(base64.urlsafe_b64encode(derived.derive(settings.SECRET_KEY.encode())))


def is_second_factor_on(user_id: int) -> bool:
    """Tell whether the user needs a code to log in."""
    return bool(settings.TOTP) and Authenticator.objects.filter(user=user_id, type=Authenticator.Type.TOTP).exists()


def new_secret() -> str:
    """Return a random secret of 160 bits, in base32."""
    secret: str = generate_totp_secret()
    return secret


def qr_code(*, user: AbstractBaseUser, secret: str) -> str:
    """Return the picture from which an app reads the secret, as the address of an image (a data URL)."""
    adapter = get_adapter()
    return "data:image/svg+xml," + quote(adapter.build_totp_svg(adapter.build_totp_url(user, secret)))


def second_factor_on(*, user: AbstractBaseUser, secret: str, code: str) -> list[str]:
    """Turn the second factor on, and return the recovery codes, which nobody can read again.

    Raises Problem (`wrong_code`) unless the code shows that the user's app has the secret.
    """
    period = _period_of(secret, code, after=-1)
    if period is None:
        raise Problem("wrong_code", "That is not the code that the app should show now.", status=400)
    with transaction.atomic():
        Authenticator.objects.filter(user=user.pk).delete()
        factor = TOTP.activate(user, secret).instance
        factor.data[LAST_PERIOD] = period
        factor.save(update_fields=["data"])
        audit(actor=user.get_username(), action="second_factor.on", subject=f"user {user.pk}")
        codes: list[str] = RecoveryCodes.activate(user).generate_codes()
    return codes


def second_factor_off(*, user: AbstractBaseUser, actor: str) -> bool:
    """Turn the second factor off; return whether it was on. `actor` is who does it."""
    with transaction.atomic():
        if was_on := bool(Authenticator.objects.filter(user=user.pk).delete()[0]):
            audit(actor=actor, action="second_factor.off", subject=f"user {user.pk}")
    return was_on


def code_use(*, user_id: int, code: str) -> bool:
    """Return whether the code, from the app or for recovery, is right. It never is again."""
    with transaction.atomic():
        factors = {each.type: each for each in Authenticator.objects.select_for_update().filter(user=user_id)}
        totp, recovery = factors.get(Authenticator.Type.TOTP), factors.get(Authenticator.Type.RECOVERY_CODES)
        if totp is None:
            return False
        period = _period_of(decrypt(totp.data["secret"]), code, after=totp.data.get(LAST_PERIOD, -1))
        if period is not None:
            totp.data[LAST_PERIOD] = period
            totp.save(update_fields=["data"])
            return True
        return recovery is not None and bool(RecoveryCodes(recovery).validate_code(code))


def _period_of(secret: str, code: str, *, after: int) -> int | None:
    """Return the period, among those that count now and come after the given one, whose code this is."""
    shown = "".join(code.split())
    now = int(clock.now()) // app_settings.TOTP_PERIOD
    for period in range(now - TOLERATED_PERIODS, now + TOLERATED_PERIODS + 1):
        expected = format_hotp_value(hotp_value(secret, period))
        if period > after and constant_time_compare(shown, expected):
            return period
    return None
