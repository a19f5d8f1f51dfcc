"""The exported page in a real browser: drawn, searched, clicked, and deaf to whatever stands in a span."""

from __future__ import annotations

import json
import re

import attrs
import pytest

from flujo_actors.cli.text import dollars, duration
from flujo_actors.lens import TraceTree
from flujo_actors.spans import SpanStatus, build_trace
from tests.exports.browser import Page
from tests.exports.conftest import RUN, Show
from tests.stored_runs import START, SpanMaker, failure

HOSTILE = [
    "</script><img src=x onerror=\"window.hacked='img'\">",
    "<script>window.hacked='script'</script>",
    "<!--<script>",
    "]]>--><svg onload=window.hacked='svg'>",
    "javascript:window.hacked='url'",
    "\u2028\u2029 {{script}} {{data}} \\u003c ${window.hacked='template'}",
    "\x00\x1b[31m\ud800",
]


def names(page: Page) -> list[str]:
    """The names in the rows that are drawn, from the top."""
    return page.texts(".row .name")


def assert_quiet(page: Page) -> None:
    assert page.complaints() == []


def wide(count: int) -> TraceTree:
    """A run of `count` steps, in groups of a hundred."""
    maker = SpanMaker()
    root = maker.add("", 0.0, float(count))
    group = root
    for number in range(count):
        if number % 100 == 0:
            group = maker.add(f"group{number // 100}", float(number), number + 100.0, parent=root)
        maker.add(f"group{number // 100}/step{number}", float(number), number + 0.9, parent=group, output=f"<{number}>")
    return maker.tree()


def test_the_tree_and_the_timeline_are_drawn(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    assert names(page) == [node.span.name for node in failed.nodes]
    assert len(page.texts(".row .bar")) == len(failed.nodes)
    assert page.texts("h1") == ["article"]
    assert page.texts("#status") == ["failed"]
    assert page.evaluate("document.title") == "article · failed · flujo trace"
    assert page.texts("#ticks span")[:2] == ["0 µs", "1.00 s"]
    assert_quiet(page)


def test_a_bar_lies_where_its_step_lies_in_the_time_of_the_run(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    shares = page.evaluate(
        "[...document.querySelectorAll('.row')].map((row) => { const lane = row.querySelector('.lane')"
        ".getBoundingClientRect(), bar = row.querySelector('.bar').getBoundingClientRect();"
        "return [(bar.left - lane.left) / lane.width, (bar.right - lane.left) / lane.width]; })"
    )
    for node, (left, right) in zip(failed.nodes, shares, strict=True):
        assert left == pytest.approx((node.span.start_time - failed.start) / failed.seconds, abs=0.01)
        assert right == pytest.approx((failed.end_of(node) - failed.start) / failed.seconds, abs=0.01)


def test_the_tries_of_a_step_are_drawn_in_its_bar_in_the_colours_of_their_outcomes(
    show: Show, failed: TraceTree
) -> None:
    page = show(failed)
    tries = page.evaluate("[...document.querySelectorAll('#span-1 .try')].map((each) => each.className)")
    assert tries == ["try failed", "try completed"]


def test_a_click_shows_the_details_of_a_span(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    place = next(number for number, node in enumerate(failed.nodes) if node.path == "review/facts")
    page.click(f"#span-{place} .name")
    (details,) = page.texts("#details")
    assert page.texts("#details h2") == ["facts"]
    assert "review/facts" in details
    assert "Agent execution failed with ValueError: the moon is not made of cheese" in details
    assert "Traceback (most recent call last)" in details
    assert "1.20 s" in details
    assert page.evaluate(f"document.querySelector('#span-{place}').getAttribute('aria-selected')") == "true"
    assert_quiet(page)


def test_a_search_shows_what_fits_and_what_is_around_it(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    page.press("/")
    page.type("measure draft[2]")
    assert names(page) == ["pipeline_run", "draft", "pipeline", "measure"]
    assert page.texts("#found") == ["1 found"]
    assert page.texts("#details h2") == ["measure"]
    page.press("Escape")
    assert len(names(page)) == len(failed.nodes)
    assert page.texts("#found") == [""]


def test_a_search_without_success_says_so(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    page.press("/")
    page.type("no such thing")
    assert names(page) == []
    assert page.texts("#nothing") == ["No span fits."]


def test_only_what_failed_can_be_shown(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    page.click("#only-failed")
    assert names(page) == ["pipeline_run", "review", "facts"]


def test_the_keys_move_close_and_open(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    page.press("ArrowDown", "ArrowDown")
    assert page.texts("#details h2") == ["draft"]
    page.press("ArrowLeft")
    assert names(page) == ["pipeline_run", "fetch", "draft", "review", "opinion", "ask_colleague", "facts"]
    page.press("ArrowRight", "ArrowRight")
    assert page.texts("#details .where") == ["draft[1]/pipeline"]
    page.press("ArrowLeft", "ArrowLeft")
    assert page.texts("#details h2") == ["draft"]
    page.press("End")
    assert page.texts("#details h2") == ["facts"]
    page.press("Home", "n")
    assert page.texts("#details h2") == ["review"]
    page.press("?")
    assert page.evaluate("document.querySelector('#keys').open")
    assert_quiet(page)


def test_a_click_on_the_triangle_closes_a_step(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    page.click("#span-2 .twist")
    assert "write" not in names(page)
    assert "+6" in page.texts("#span-2 .note")


def test_the_timeline_zooms_by_keys_and_by_dragging_over_the_overview(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    box = page.evaluate("(({x, y, width, height}) => [x, y, width, height])(overview.getBoundingClientRect())")
    middle = box[1] + box[3] / 2
    page.drag([box[0] + box[2] * 0.5, middle], [box[0] + box[2] * 0.75, middle])
    ticks = page.texts("#ticks span")
    assert ticks[0] == "1.60 s"
    assert page.evaluate("document.querySelector('#window').hidden") is False
    page.press("0")
    assert page.texts("#ticks span")[0] == "0 µs"
    page.press("+", "+")
    assert len(set(page.texts("#ticks span")) & {"1.20 s", "1.40 s", "1.60 s"}) == 3
    page.press("-", "-")
    assert page.texts("#ticks span")[0] == "0 µs"
    assert_quiet(page)


def test_hostile_texts_are_shown_and_do_nothing(show: Show) -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 9.0)
    for number, text in enumerate(HOSTILE):
        span_id = maker.add(
            "hostile",
            float(number),
            number + 1.0,
            parent=root,
            status=SpanStatus.FAILED,
            input={text: text},
            output=text,
            failure=failure(text, step=text, traceback=text, running=[text]),
            attempts=[{"number": 1, "start_time": START, "end_time": START + 1, "status": text}],
            branch=text,
            writes=[text],
        )
        maker.spans[-1] = attrs.evolve(maker.spans[-1], name=text)
        assert span_id
    page = show(maker.tree(), attrs.evolve(RUN, pipeline=HOSTILE[0], run_id=HOSTILE[1]))
    shown = [name.strip() for name in names(page)[1:]]
    assert shown[:2] == HOSTILE[:2]
    for number in range(len(HOSTILE)):
        page.click(f"#span-{number + 1} .name")
    assert HOSTILE[0] in page.texts("h1")
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.querySelectorAll('img, svg, iframe, script').length") == 2
    assert_quiet(page)


def test_attributes_of_other_shapes_than_this_version_writes_do_not_break_the_page(show: Show) -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 2.0)
    odd = {"failure": "text", "attempts": {"a": 1}, "cost_usd": "much", "prompt_tokens": None, "writes": 7, "kind": [1]}
    maker.add("odd", 0.0, None, parent=root, status=SpanStatus.INTERRUPTED, **odd)
    maker.add("odder", 1.0, 2.0, parent=root, attempts=[None, 3, {}], failure={}, input=None)
    page = show(maker.tree())
    page.click("#span-1 .name")
    page.click("#span-2 .name")
    assert names(page) == ["pipeline_run", "odd", "odder"]
    assert_quiet(page)


def test_what_goes_on_is_drawn_until_now_and_said_to(show: Show) -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, None, status=SpanStatus.RUNNING)
    maker.add("done", 0.0, 1.0, parent=root)
    trace = TraceTree.from_trace(build_trace(maker.spans) or {}, now=START + 4.0)
    page = show(trace, attrs.evolve(RUN, status=SpanStatus.RUNNING))
    assert page.texts(".took") == ["4.00 s so far", "1.00 s"]
    assert page.evaluate("document.querySelector('#span-0 .bar').className") == "bar open"
    assert_quiet(page)


def test_times_and_money_are_written_as_on_the_command_line(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    for seconds in (
        0.0,
        1e-7,
        0.00035,
        0.0009994,
        0.0009996,
        0.0123,
        0.9994,
        0.99996,
        1.0,
        4.56,
        59.99,
        59.996,
        200.4,
        3599.6,
        7260.0,
    ):
        assert page.evaluate(f"formatSeconds({seconds})") == duration(seconds)
    for cost in (1e-7, 1e-6, 0.024, 0.1 + 0.2, 12.5, 1_000_000.0):
        assert page.evaluate(f"formatCost({cost})") == dollars(cost)


def test_the_page_asks_for_nothing_but_itself(show: Show, failed: TraceTree) -> None:
    page = show(failed)
    assert [re.sub(r".*/", "", url) for url in page.requests() if not url.startswith("data:")] == ["trace.html"]


@pytest.mark.parametrize(
    "injection",
    [
        "document.body.innerHTML = '<img src=x onerror=window.hacked=1>'",
        "document.createElement('img').setAttribute('onerror', 'window.hacked = 1')",
        "document.createElement('script').textContent = 'window.hacked = 1'",
        "eval('window.hacked = 1')",
        "document.body.append(Object.assign(document.createElement('iframe'), {srcdoc: '<script>1</script>'}))",
    ],
)
def test_the_browser_refuses_to_make_code_of_text(show: Show, failed: TraceTree, injection: str) -> None:
    page = show(failed)
    attempt = (
        f"setTimeout(() => {{ try {{ {injection}; resolve('done') }} catch (error) {{ resolve(error.message) }} }})"
    )
    assert re.search("Trusted|Content Security Policy", page.evaluate(f"new Promise((resolve) => {attempt})"))
    assert page.evaluate("window.hacked") is None


def test_twenty_thousand_spans_are_there_and_only_those_in_sight_are_in_the_page(show: Show) -> None:
    page = show(wide(20_000))
    assert "20,201" in page.texts("#facts")[0]
    page.press("e", "End")
    assert page.texts("#details h2") == ["step19999"]
    assert len(names(page)) < 100
    page.press("/")
    page.type("step12345")
    page.wait_until("document.querySelector('#found').textContent === '1 found'")
    page.settle()
    assert names(page) == ["pipeline_run", "group123", "step12345"]
    assert_quiet(page)


def test_a_large_trace_is_closed_at_first_but_for_what_failed(show: Show) -> None:
    trace = wide(1_000)
    maker = SpanMaker([node.span for node in trace.nodes])
    group = next(span for span in maker.spans if span.name == "group4")
    maker.add("group4/broken", 400.0, 401.0, parent=group.span_id, status=SpanStatus.FAILED)
    page = show(maker.tree())
    drawn = names(page)
    assert drawn[:6] == ["pipeline_run", "group0", "group1", "group2", "group3", "group4"]
    page.click("#only-failed")
    assert names(page) == ["pipeline_run", "group4", "broken"]


def test_a_chain_of_five_thousand_steps_is_drawn(show: Show) -> None:
    maker = SpanMaker()
    parent = maker.add("", 0.0, 1.0)
    for number in range(5_000):
        parent = maker.add(f"s{number}", 0.0, 1.0, parent=parent)
    page = show(maker.tree())
    page.press("e", "End")
    assert page.texts("#details h2") == ["s4999"]
    assert_quiet(page)


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_readable_in_light_and_dark(show: Show, failed: TraceTree, dark: bool) -> None:
    page = show(failed)
    if dark:
        page.use_dark_colours()
    place = next(number for number, node in enumerate(failed.nodes) if node.path == "review/facts")
    page.click(f"#span-{place} .name")
    ratios = json.loads(page.evaluate(CONTRASTS))
    assert len(ratios) > 50
    assert {text: ratio for text, ratio in ratios if ratio < 4.5} == {}


CONTRASTS = """
(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = channels(colour).map((each) => each / 255)
      .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (channels(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const text = own.map((node) => node.textContent.trim()).join("");
    if (!text || !element.checkVisibility() || element.tagName === "SCRIPT") continue;
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort();
    found.push([`${element.className} ${text}`, (other + 0.05) / (one + 0.05)]);
  }
  return JSON.stringify(found);
})()
"""
