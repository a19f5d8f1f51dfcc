"""Mending JSON that a person wrote, or that ends in the middle.

What people write as if JSON were a programming language becomes JSON: comments and superfluous commas go, texts in
single quotes and words without any get double ones, `True` and `None` become `true` and `null`. What ends in the middle
ends after its last complete value. Anything else that is wrong stays wrong, and the parser will say so.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Final

import attrs

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>//[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<opening>[{\[])
    |(?P<closing>[}\]])
    |(?P<comma>,)
    |(?P<colon>:)
    |(?P<cut>["'].*)
    |(?P<word>[^\s{}\[\],:"']+)""",
    re.VERBOSE | re.DOTALL,
)
_CONSTANTS: Final = {
    "True": "true",
    "False": "false",
    "None": "null",
    "undefined": "null",
    "NaN": "null",
    "nan": "null",
    "Infinity": "null",
    "-Infinity": "null",
}
_CLOSING: Final = {"{": "}", "[": "]"}


@attrs.frozen
class Mended:
    """What was made of a text."""

    text: str
    """JSON, if all that was wrong could be mended."""
    repairs: Counter[str]
    """What was done, and how often."""


def mend(text: str) -> Mended:
    """Mend a text that should be JSON. One that is JSON stays as it is, but for white space."""
    mender = _Mender(len(text))
    for token in _TOKEN.finditer(text):
        mender.take(str(token.lastgroup), token.group(), token.end())
    return mender.finish()


@attrs.define
class _Mender:
    """What has been read so far."""

    length: int
    """Of the whole text."""
    tokens: list[str] = attrs.Factory(list[str])
    """The mended text."""
    complete: int = 0
    """How many of the tokens to keep when the text ends now."""
    is_open: list[str] = attrs.Factory(list[str])
    """The brackets that are still open."""
    repairs: Counter[str] = attrs.Factory(Counter[str])

    def take(self, kind: str, token: str, end: int) -> None:
        """Take the next token, which ends at a place in the text."""
        match kind:
            case "comment":
                self.repairs["comment dropped"] += 1
            case "opening":
                self.is_open.append(token)
                self._add(token, completes=True)
            case "closing":
                self._drop_comma()
                del self.is_open[-1:]
                self._add(token, completes=True)
            case "comma" | "colon":
                self._add(token, completes=False)
            case "string":
                self._add(self._double_quoted(token), completes=self._is_value())
            case "word" if end < self.length or not self.is_open:
                self._add(self._as_value(token), completes=self._is_value())
            case _:
                """White space, which means nothing; a text or a word that may go on behind the end."""

    def finish(self) -> Mended:
        """The mended text."""
        if self.is_open:
            self.repairs["end missing"] += 1
            del self.tokens[self.complete :]
            self.tokens += _closing_brackets(self.tokens)
        return Mended(" ".join(self.tokens), self.repairs)

    def _add(self, token: str, *, completes: bool) -> None:
        self.tokens.append(token)
        if completes:
            self.complete = len(self.tokens)

    def _is_value(self) -> bool:
        """Whether a text or word that comes now is a value, not a key."""
        return self.is_open[-1:] != ["{"] or self.tokens[-1] == ":"

    def _drop_comma(self) -> None:
        if self.tokens[-1:] == [","]:
            del self.tokens[-1]
            self.repairs["comma too many"] += 1

    def _double_quoted(self, token: str) -> str:
        if token.startswith('"'):
            return token
        self.repairs["text in single quotes"] += 1
        return '"' + token[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'

    def _as_value(self, word: str) -> str:
        if _is_json(word):
            return word
        constant = _CONSTANTS.get(word)
        self.repairs["word without quotes" if constant is None else "constant of another language"] += 1
        return constant or json.dumps(word)


def _is_json(word: str) -> bool:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        json.loads(word, parse_constant=refuse)
    except ValueError:
        return False
    return True


def _closing_brackets(tokens: list[str]) -> list[str]:
    is_open: list[str] = []
    for token in tokens:
        if token in _CLOSING:
            is_open.append(_CLOSING[token])
        elif token in _CLOSING.values():
            del is_open[-1:]
    return is_open[::-1]
