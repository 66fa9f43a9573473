"""A name is one text however it was typed, shows what it holds, and hides nothing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.http.names import cleaned, cleaned_name
from webapp.http.problems import Problem

ZWNJ, ZWJ, SELECTOR = "\u200c", "\u200d", "\ufe0f"
#: Half ordinary characters, half those that rules are about.
SPECIAL = (
    "\u200b\u200c\u200d\u180e\ufe0e\ufe0f\U000e0100\u202e\u2066\u00ad\u034f\u3164\u2800\u0301\u094d\u0915e1#\u20e3 \x00"
    "\n\ud800\ufdd0❤👩🏽🏴\U000e0067\U000e007f"
)
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(SPECIAL)))


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        pytest.param("Rene\u0301", "Ren\u00e9", id="one normal form"),
        pytest.param("  Ada \t\r\n\u00a0\u3000 Lovelace\u2028", "Ada Lovelace", id="white space folded"),
        pytest.param("A\x00d\x1ba\x7f\x9b", "Ada", id="control characters"),
        pytest.param("A\ud800da\udcff", "Ada", id="lone surrogates"),
        pytest.param("\u202eadA\u2066\u200e\ufeff", "adA", id="text direction"),
        pytest.param("A\u00add\u200ba\u2060", "Ada", id="soft hyphens and spaces of no width"),
        pytest.param("A\ufdd0d\uffffa\U0010ffff", "Ada", id="noncharacters"),
        pytest.param("Ada\u3164\u115f\uffa0\u034f", "Ada", id="letters and marks without a look"),
        pytest.param(f"A{ZWJ}d{ZWNJ}a{ZWJ}{SELECTOR}", "Ada", id="joiners and selectors that change nothing"),
        pytest.param("Ada\U000e0061\U000e0062\U000e007f", "Ada", id="tags that smuggle text"),
        pytest.param("e\u200b\u0301", "\u00e9", id="what composes once nothing stands between"),
        pytest.param("a \u200b b", "a b", id="white space that meets once nothing stands between"),
        pytest.param("\u2801\u2800\u2803", "\u2801 \u2803", id="the space of Braille"),
        pytest.param(f"{ZWJ}❤{ZWJ}", "❤", id="joiners at the ends"),
    ],
)
def test_what_nobody_sees_is_taken_out(raw: str, clean: str) -> None:
    assert cleaned(raw) == clean


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("René Müller-Lüdenscheidt, Jr. (†)", id="Latin"),
        pytest.param("O\u2019Brien & Søn #1", id="punctuation"),
        pytest.param("Nguyễn Thị Minh Khai", id="Vietnamese"),
        pytest.param("علی\u200cرضا", id="Persian, with a non-joiner"),  # noqa: RUF001
        pytest.param("ශ්\u200dරී ලංකා", id="Sinhala, with a joiner"),
        pytest.param("क्\u200dष और क्\u200cष", id="Devanagari, with both"),
        pytest.param("രാജന്\u200d", id="Malayalam, with a joiner at its end"),
        pytest.param("ᠰᠠᠷᠠ\u180eᠠ ᠨ\u180b", id="Mongolian, with a separator and a selector"),
        pytest.param("葛\U000e0100城市", id="Japanese, with the form of a character"),
        pytest.param("김민준 山田太郎 Ἀθηνᾶ Ольга", id="further scripts"),
        pytest.param("❤\ufe0f Ada ❤\ufe0f", id="an emoji with its selector"),
        pytest.param("👩🏽\u200d🚀 👨\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 🙂\u200d↔\ufe0f", id="joined emoji"),
        pytest.param(
            "1\ufe0f\u20e3 #\ufe0f\u20e3 🇩🇪 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f ‼\ufe0f",
            id="keys and flags",
        ),
        pytest.param("\U0001fae8\U0001fadf", id="emoji newer than the tables"),
    ],
)
def test_what_scripts_and_emoji_need_stays(name: str) -> None:
    assert cleaned(name) == unicodedata.normalize("NFC", name)


@given(TEXTS)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert cleaned(cleaned(text)) == cleaned(text)


@given(TEXTS)
def test_a_clean_text_can_be_stored_and_shown(text: str) -> None:
    clean = cleaned(text)
    clean.encode()  # no surrogate
    assert clean == unicodedata.normalize("NFC", clean)
    assert clean == " ".join(clean.split())
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in clean)
    formats = {char for char in clean if unicodedata.category(char) == "Cf"}
    assert formats <= {ZWNJ, ZWJ, "\u180e"} or "🏴" in clean
    assert len(clean) <= len(unicodedata.normalize("NFC", text))


@given(TEXTS)
def test_both_normal_forms_are_one_name(text: str) -> None:
    assert cleaned(unicodedata.normalize("NFD", text)) == cleaned(unicodedata.normalize("NFC", text))


@given(TEXTS)
def test_a_name_has_something_visible_or_is_refused(text: str) -> None:
    clean = cleaned(text)
    if any(unicodedata.category(char)[0] in "LNPS" or unicodedata.category(char) in ("Cn", "Co") for char in clean):
        assert cleaned_name(text, longest=max(20, len(text))) == clean
    else:
        with pytest.raises(Problem) as caught:
            cleaned_name(text, longest=max(20, len(text)))
        assert (caught.value.code, caught.value.status) == ("bad_name", 400)


@pytest.mark.parametrize(
    "raw", ["", " \t\u3000", "\x00", "\u202e", ZWJ, SELECTOR, "\u0301", "\u2800", "\U0001d159", "\ud800", "\U000e0067"]
)
def test_a_name_of_nothing_visible_is_refused(raw: str) -> None:
    with pytest.raises(Problem) as caught:
        cleaned_name(raw, longest=100, code="gallery_name", what="The name of a gallery")
    assert caught.value.code == "gallery_name"
    assert "The name of a gallery has 1 to 100 characters" in caught.value.message


def test_a_long_name_is_refused_and_one_that_is_long_only_before_cleaning_is_not() -> None:
    assert cleaned_name("a\u200b" * 100, longest=100) == "a" * 100
    for raw in ("a" * 101, "a" + "\u200b" * 10_000_000):
        with pytest.raises(Problem):
            cleaned_name(raw, longest=100)
