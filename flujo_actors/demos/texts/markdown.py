"""Markdown, parsed by markdown-it-py: CommonMark with tables and strikethrough, as most sites show it.

Two habits are understood beyond that: a YAML front matter at the top is no text, and `{#name}` at the end of a
heading gives the heading that anchor.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import attrs
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline, html_inline, image, link
from markdown_it.token import Token

from flujo_actors.demos.texts.markup import Block, Heading, Link, ParsedText

_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\n.*?^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG: Final = re.compile(r"<[A-Za-z][^<>]*>")
_ATTRIBUTE: Final = re.compile(r"""\s(id|name|href|src)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_OWN_ANCHOR: Final = re.compile(r"\{#([^\s{}]+)[^{}]*\}$")
_TEXT: Final = {"text", "code_inline"}
_BREAKS: Final = {"softbreak", "hardbreak"}

Rule = Callable[[StateInline, bool], bool]


def parse_markdown(text: str) -> ParsedText:
    """Take a Markdown document apart.

    Args:
        text: the document, lines ended by newlines.
    """
    collected = _Collected()
    tokens = _PARSER.parse(_FRONT_MATTER.sub(_only_its_newlines, text))
    container = ""
    for token in tokens:
        if token.type == "inline":
            collected.take_inline(token, container)
        elif token.type == "html_block":
            collected.take_html(token.content, _first_line(token))
        else:
            container = token.tag
    return collected.parsed()


def anchors_of(titles: Iterable[str], *, before_number: str = "-") -> Iterator[str]:
    """The anchors that GitHub gives headings, in order: `Set up!` is `set-up`, a second one `set-up-1`.

    The rule is that of GitHub's html-pipeline: lower case, letters, marks, digits, `_`, `-` and spaces kept,
    spaces made into hyphens, repeated anchors numbered.

    Args:
        titles: the headings' text.
        before_number: what stands before the number of a repeated anchor. Python-Markdown has `_` there.
    """
    seen: Counter[str] = Counter()
    for title in titles:
        anchor = "".join(_kept_in_anchor(title.lower()))
        yield f"{anchor}{before_number}{seen[anchor]}" if seen[anchor] else anchor
        seen[anchor] += 1


def _kept_in_anchor(title: str) -> Iterator[str]:
    for character in title:
        category = unicodedata.category(character)
        if character in " \n":
            yield "-"
        elif character == "-" or category[0] in "LM" or category in {"Nd", "Pc"}:
            yield character


@attrs.define
class _Collected:
    """What was found so far while going through the tokens of one document."""

    blocks: list[Block] = attrs.Factory(list[Block])
    headings: list[Heading] = attrs.Factory(list[Heading])
    links: list[Link] = attrs.Factory(list[Link])
    own_anchors: set[str] = attrs.Factory(set[str])

    def parsed(self) -> ParsedText:
        titles = [heading.text for heading in self.headings]
        anchors = self.own_anchors.union(anchors_of(titles), anchors_of(titles, before_number="_"))
        return ParsedText(tuple(self.blocks), tuple(self.headings), tuple(self.links), frozenset(anchors))

    def take_inline(self, token: Token, container: str) -> None:
        """Take the content of a paragraph, heading or table cell; `container` is its HTML tag."""
        children = token.children or []
        text = _shown_text(children)
        if container[:1] == "h":
            text = self._take_heading(text, int(container[1:]), _first_line(token))
        if text:
            self.blocks.append(Block(text, is_running=container == "p"))
        for child in children:
            self._take_child(child, _first_line(token) + int(child.meta.get("newlines_before", 0)))

    def take_html(self, content: str, line: int) -> None:
        """Take the anchors and links of raw HTML that begins at `line`."""
        content = _COMMENT.sub(_only_its_newlines, content)
        for tag in _TAG.finditer(content):
            for attribute in _ATTRIBUTE.finditer(tag[0]):
                self._take_attribute(attribute, line + _newlines_before(tag.start() + attribute.start(1), content))

    def _take_heading(self, text: str, level: int, line: int) -> str:
        own = _OWN_ANCHOR.search(text)
        if own is not None:
            self.own_anchors.add(own[1])
            text = text[: own.start()].rstrip()
        self.headings.append(Heading(level, text, line))
        return text

    def _take_child(self, child: Token, line: int) -> None:
        # A footnote of one word, `[^1]: Later.`, reads as a link to `Later.` in CommonMark.
        if child.type == "link_open" and not str(child.meta.get("label", "")).startswith("^"):
            self.links.append(Link(unquote(str(child.attrs["href"])), line))
        elif child.type == "image":
            self.links.append(Link(unquote(str(child.attrs["src"])), line))
        elif child.type == "html_inline":
            self.take_html(child.content, line)

    def _take_attribute(self, attribute: re.Match[str], line: int) -> None:
        value = html.unescape(attribute[2] or attribute[3] or attribute[4] or "")
        if attribute[1].lower() in {"id", "name"}:
            self.own_anchors.add(value)
        else:
            self.links.append(Link(unquote(value), line))


def _shown_text(children: Iterable[Token]) -> str:
    parts = (child.content if child.type in _TEXT else "\n" for child in children if child.type in _TEXT | _BREAKS)
    return "".join(parts).strip()


def _first_line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 1


def _only_its_newlines(match: re.Match[str]) -> str:
    """Blank a match out so that the lines after it keep their numbers."""
    return "\n" * match[0].count("\n")


def _newlines_before(offset: int, text: str) -> int:
    return bisect_left(_newlines_in(text), offset)


@lru_cache(maxsize=1)
def _newlines_in(text: str) -> list[int]:
    """Where the newlines are. Found once for all links of a paragraph: there may be many thousands in one."""
    return [newline.start() for newline in re.finditer("\n", text)]


def _placed(rule: Rule) -> Rule:
    """The rule, noting in its tokens how many newlines stand before them in their paragraph.

    markdown-it-py says in which line a paragraph begins, not where in it a link stands.
    """

    def place(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the signature of markdown-it's rules
        start, known = state.pos, len(state.tokens)
        matched = rule(state, silent)
        if matched and not silent:
            for token in state.tokens[known:]:
                token.meta.setdefault("newlines_before", _newlines_before(start, state.src))
        return matched

    return place


def _new_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"store_labels": True}).enable(["table", "strikethrough"])
    for name, rule in (("link", link), ("image", image), ("html_inline", html_inline)):
        parser.inline.ruler.at(name, _placed(rule))
    return parser


_PARSER: Final = _new_parser()
