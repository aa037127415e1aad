"""Text from strangers, made harmless for spreadsheets.

A spreadsheet takes a cell that begins with one of a few signs for a formula, and a formula can run programs or send
data away (CWE-1236). Which signs is OWASP's list, with the full-width forms that Excel reads alike.
"""

from __future__ import annotations

import re

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
LONGEST = 32_767
"""Characters a cell may hold (Excel's specifications)."""

_SUSPECT = frozenset({*FORMULA_SIGNS, " ", "\u00a0"})
ON_A_PAGE = 220
BREAK_EVERY = 12
_LONG_WORD = re.compile(r"\S{18,}")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")


def clean(text: str, longest: int = LONGEST) -> str:
    """Without what neither XML nor a page can hold, and no longer than a cell."""
    cleaned = _UNPRINTABLE.sub("\ufffd", text)
    return cleaned if len(cleaned) <= longest else f"{cleaned[: longest - 1]}…"


def is_plain(text: str) -> bool:
    """True when a cell may hold it as it is: cheap, and wrong only on the side of caution."""
    return text.isprintable() and len(text) <= LONGEST and text[:1] not in _SUSPECT


def looks_like_formula(text: str) -> bool:
    return text.lstrip(" \u00a0").startswith(FORMULA_SIGNS) or text.startswith(FORMULA_SIGNS)


def on_a_page(text: str, longest: int = ON_A_PAGE) -> str:
    """Harmless, not endless, and with places where a word longer than a column may be broken."""
    said = " ".join(clean(text, longest).split())
    return _LONG_WORD.sub(lambda word: "\u200b".join(_pieces(word.group())), said)


def _pieces(word: str) -> list[str]:
    return [word[at : at + BREAK_EVERY] for at in range(0, len(word), BREAK_EVERY)]
