"use strict";
// The trace as it stands in the page, and what is worked out of it once. Nothing here touches the page.

const MARKS = { completed: "✓", failed: "✗", cancelled: "⊘", interrupted: "!", running: "…", paused: "‖" };
const UNSUCCESSFUL = new Set(["failed", "cancelled", "interrupted"]);
const TOKENS = ["prompt_tokens", "completion_tokens", "other_tokens"];

const ROUND_SECONDS = [30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Spans in the order of the trace, parents before children; each knows its parent, its depth and its last descendant. */
function buildModel(data) {
  const spans = data.spans.map(([id, parent, name, start, end, status, attributes], index) => ({
    index, id, parent, name, start, end, status, attributes,
    depth: 0, last: index, children: 0, around: UNSUCCESSFUL.has(status), text: null,
  }));
  let total = 0;
  for (const span of spans) {
    total = Math.max(total, span.start, span.end ?? 0);
    if (span.parent >= 0) {
      span.depth = spans[span.parent].depth + 1;
      spans[span.parent].children += 1;
    }
  }
  for (let index = spans.length - 1; index > 0; index -= 1) {
    const span = spans[index], parent = spans[span.parent];
    parent.last = Math.max(parent.last, span.last);
    parent.around = parent.around || span.around;
  }
  return { run: data.run, spans, total: Math.max(total, data.run.seen, 1e-6) };
}

const endOf = (model, span) => span.end ?? model.total;
const listOf = (value) => (Array.isArray(value) ? value : []);
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const tokensOf = (attributes) => TOKENS.reduce((sum, key) => sum + (Number(attributes[key]) || 0), 0);
const costOf = (attributes) => Number(attributes.cost_usd) || 0;
const triesOf = (span) => listOf(span.attributes.attempts).filter(isObject);
const failureOf = (source) => (isObject(source.failure) ? source.failure : null);
const causesOf = (failure) => [failure.cause, ...listOf(failure.others)].filter(isObject);

/** What a search looks at: everything that is known of a span. */
function textOf(span) {
  span.text ??= `${span.name}\n${span.id}\n${span.status}\n${JSON.stringify(span.attributes)}`.toLowerCase();
  return span.text;
}

/** How long a step ran while none of its children did. */
function ownSeconds(model, span) {
  const end = endOf(model, span);
  let busy = 0, reached = span.start;
  for (let index = span.index + 1; index <= span.last; index = model.spans[index].last + 1) {
    const child = model.spans[index], childEnd = Math.min(endOf(model, child), end);
    busy += Math.max(0, childEnd - Math.max(reached, child.start));
    reached = Math.max(reached, childEnd);
  }
  return Math.max(0, end - span.start - busy);
}

function formatSeconds(seconds) {
  if (seconds < 0.0009995) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 0.99995) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (seconds < 59.995) return `${seconds.toFixed(2)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60), rest = Math.round(seconds) % 60;
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const formatCost = (cost) => (cost >= 1e-6 ? `$${Number(cost.toFixed(6))}` : "less than $0.000001");
const formatCount = (count) => count.toLocaleString("en-US");
const formatMoment = (wall) => new Date(wall * 1000).toLocaleString("sv-SE");

function formatSpending(attributes) {
  const cost = costOf(attributes), tokens = tokensOf(attributes);
  return [cost ? formatCost(cost) : "", tokens ? `${formatCount(tokens)} tokens` : ""].filter(Boolean).join(", ");
}

/** The marks of a time axis: about `count` of them, at round numbers. */
function ticksBetween(from, to, count) {
  const rough = (to - from) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(rough < 30 ? rough : rough / 86400));
  const decimal = [1, 2, 5, 10].map((factor) => factor * power);
  const steps = rough < 30 ? decimal : [...ROUND_SECONDS, ...decimal.map((days) => days * 86400)];
  const step = steps.find((each) => each >= rough) ?? steps.at(-1);
  const ticks = [];
  for (let number = Math.ceil(from / step); number * step <= to && ticks.length < 100; number += 1) ticks.push(number * step);
  return ticks;
}
