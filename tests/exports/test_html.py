from __future__ import annotations

import base64
import hashlib
import json
import re

import attrs

from flujo_actors.exports import export_html
from flujo_actors.lens import TraceTree
from tests.exports.conftest import RUN
from tests.stored_runs import SpanMaker


def block(page: str, opening: str) -> str:
    """What stands in an element; the page has one of its kind, or the parser would see another page than we do."""
    tag = opening[1:].split(maxsplit=1)[0].rstrip(">")
    assert page.count(opening) == 1
    return page.partition(opening)[2].partition(f"</{tag}>")[0]


def policy(page: str) -> dict[str, str]:
    """The content security policy in the head."""
    (text,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    return dict(rule.split(" ", 1) for rule in text.split("; "))


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_lets_only_the_pages_own_script_and_style_be_used(failed: TraceTree) -> None:
    page = export_html(failed, RUN)
    rules = policy(page)
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == hash_of(block(page, "<script>"))
    assert rules["style-src"] == hash_of(block(page, "<style>"))
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_the_page_holds_the_whole_trace_as_data(failed: TraceTree) -> None:
    data = json.loads(block(export_html(failed, RUN), '<script type="application/json" id="data">'))
    assert data["run"]["run_id"] == RUN.run_id
    for node, (span_id, parent, name, _, _, status, attributes) in zip(failed.nodes, data["spans"], strict=True):
        assert (span_id, name, status) == (node.span.span_id, node.span.name, node.span.status)
        assert attributes == node.span.attributes
        assert (None if parent < 0 else failed.nodes[parent]) is node.parent


def test_no_text_of_a_span_is_markup_in_the_page(failed: TraceTree) -> None:
    hostile = "</script><!--<script>&lt;\u2028{{script}}{{style}}"
    maker = SpanMaker()
    maker.add("", 0.0, 1.0)
    maker.spans[0] = attrs.evolve(maker.spans[0], name=hostile, attributes={hostile: [hostile, {hostile: hostile}]})
    page = export_html(maker.tree(), attrs.evolve(RUN, run_id=hostile, pipeline=hostile))
    usual = export_html(failed, RUN)
    assert re.findall("<[a-z/!]+", page) == re.findall("<[a-z/!]+", usual)
    data = json.loads(block(page, '<script type="application/json" id="data">'))
    assert data["run"]["pipeline"] == data["spans"][0][2] == hostile


def test_the_page_names_no_address_to_load_anything_from(failed: TraceTree) -> None:
    page = export_html(failed, RUN)
    assert set(re.findall(r"https?://[^\s\"'<>]*", page)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"""\b(?:src|href)="(?!data:)""", page) == []


def test_the_same_trace_gives_the_same_page(failed: TraceTree) -> None:
    assert export_html(failed, RUN) == export_html(failed, RUN)
