"""The one cleaner of names: of galleries, people, API keys and files, for writing and for looking up.

Two names that look the same should be the same text, and a name must not reorder or hide what stands around it. So a
clean name is in Unicode's normal form C, and what cannot be seen is taken out of it, except where a script or an emoji
would look different without it. The rules for joiners follow RFC 5892, appendices A.1 and A.2; those for emoji follow
Unicode Technical Standard #51.
"""

import re
import unicodedata
from typing import Final

from webapp.http.problems import Problem

#: Cleaning never makes more of a text, and a person does not send so much that cannot be seen.
MOST_RAW_PER_CHARACTER: Final = 10

_ZWNJ, _ZWJ, _MONGOLIAN_SEPARATOR = "\u200c", "\u200d", "\u180e"
_JOINERS: Final = frozenset({_ZWNJ, _ZWJ, _MONGOLIAN_SEPARATOR})
_EMOJI_SELECTORS: Final = frozenset("\ufe0e\ufe0f")
#: Braille's space is a symbol to Unicode.
_BLANK: Final = "\u2800"
_KEYCAP: Final = "\u20e3"
_KEYS: Final = frozenset("0123456789#*")
#: Emoji that are no symbols to Unicode.
_OTHER_EMOJI: Final = frozenset("\u203c\u2049\u2139\u3030")
_VIRAMA_CLASS: Final = 9

#: What has no look of its own although its category is that of letters, marks, symbols or unassigned characters
#: (Unicode's Default_Ignorable_Code_Point, noncharacters, and a note without a head; format characters have a category
#: of their own).
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u2065\u3164\uffa0\ufdd0-\ufdef\ufff0-\ufff8\U0001d159\U000e0000-\U000e0fff"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(17))
    + "]"
)
#: Where the tags of a flag such as Scotland's stand: a black flag, a region's code, and the end of it.
_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_SKIN: Final = re.compile("[\U0001f3fb-\U0001f3ff]")
#: Bytes that are no UTF-8, as `os.fsdecode` returns them.
_UNDECODED: Final = re.compile("[\udc80-\udcff]")
_VARIATIONS: Final = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0d\U000e0100-\U000e01ef]")


def cleaned_name(text: str, *, longest: int, code: str = "bad_name", what: str = "A name") -> str:
    """Return the clean name, at most `longest` characters. Raises Problem (`code`, 400) when nothing visible remains.

    `what` begins the sentence: "The name of a gallery".
    """
    name = cleaned(text) if len(text) <= MOST_RAW_PER_CHARACTER * longest else ""
    if len(name) > longest or not any(_is_visible(char) for char in name):
        raise Problem(code, f"{what} has 1 to {longest} characters, at least one of them visible.", status=400)
    return name


def readable(name: str) -> str:
    """Return a name of the file system with its bytes that are no UTF-8 read as Windows-1252, as in most old archives.

    Python passes them on as surrogates, which no database, page or terminal takes.
    """
    return _UNDECODED.sub(lambda found: _undecoded_read(ord(found[0]) - 0xDC00), name)


def _undecoded_read(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:  # one of the five that it leaves out
        return "\ufffd"


def cleaned(text: str) -> str:
    """Return a text of one line without what cannot be seen; it may be empty. Cleaning it again changes nothing."""
    while (clean := _cleaned_once(text)) != text:
        text = clean
    return text


def _cleaned_once(text: str) -> str:
    text = unicodedata.normalize("NFC", " ".join(text.replace(_BLANK, " ").split()))
    tags = {place for flag in _FLAG.finditer(text) for place in range(flag.start() + 1, flag.end())}
    kept = "".join(char for place, char in enumerate(text) if place in tags or _may_stay(text, place))
    # What stood around an invisible character may now compose, or be white space twice.
    return unicodedata.normalize("NFC", " ".join(kept.split()))


def _may_stay(text: str, place: int) -> bool:
    char = text[place]
    before, after = text[place - 1 : place] if place else "", text[place + 1 : place + 2]
    if char in _JOINERS:
        return _joins_letters(char, before, after) or (char == _ZWJ and _joins_emoji(text, place))
    if char in _EMOJI_SELECTORS:
        return _is_emoji(before) or (before in _KEYS and after == _KEYCAP)
    if _VARIATIONS.match(char):
        return _category(before) == "Lo"
    return not (_category(char) in ("Cc", "Cf", "Cs") or _UNSEEN.match(char))


def _joins_letters(joiner: str, before: str, after: str) -> bool:
    """Tell whether a joiner changes the look of letters: of those without case, such as Arabic and Indic ones."""
    if _in_joining_script(before) and _in_joining_script(after):
        return True
    return joiner == _ZWJ and before != "" and unicodedata.combining(before) == _VIRAMA_CLASS


def _joins_emoji(text: str, place: int) -> bool:
    """Tell whether it stands between two emoji, the first with its skin tone and selector."""
    before = place - 1
    while before >= 0 and (text[before] in _EMOJI_SELECTORS or _SKIN.match(text[before])):
        before -= 1
    return before >= 0 and _is_emoji(text[before]) and _is_emoji(text[place + 1 : place + 2])


def _in_joining_script(char: str) -> bool:
    return _category(char) in ("Lo", "Mn", "Mc") and not (_VARIATIONS.match(char) or _UNSEEN.match(char))


def _is_emoji(char: str) -> bool:
    """Tell whether it may be one: also a character that this Unicode does not know yet."""
    is_symbol = not char.isascii() and _category(char) in ("So", "Sm", "Cn") and not _UNSEEN.match(char)
    return is_symbol or char in _OTHER_EMOJI


def _is_visible(char: str) -> bool:
    """Tell whether it is seen by itself: no space, no mark, no joiner."""
    return _category(char)[0] in "LNPS" or _category(char) in ("Cn", "Co")


def _category(char: str) -> str:
    """Return Unicode's general category; nothing, at either end of a text, has none."""
    return unicodedata.category(char) if char else ""
