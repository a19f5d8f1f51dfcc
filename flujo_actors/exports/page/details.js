// The details of the selected span.

const SHOWN_ELSEWHERE = new Set(["path", "kind", "failure", "attempts", "input", "output", "writes", "cost_usd", ...TOKENS]);

class Details {
  constructor(view) {
    this.view = view;
    this.panel = byId("details");
    this.shown = null;
  }

  paint() {
    const span = this.view.model.spans[this.view.selected];
    if (span === this.shown) return;
    this.shown = span;
    this.panel.className = span.status;
    this.panel.replaceChildren(...this.parts(span));
    this.panel.scrollTop = 0;
  }

  parts(span) {
    const { attributes } = span, failure = failureOf(attributes);
    return [
      element("h2", "", span.name),
      element("p", "where", attributes.path || "the whole run"),
      facts(this.figures(span)),
      ...(failure ? [element("h3", "", "Failure"), ...chainOf(failure)] : []),
      ...this.tries(span),
      ...valuePart("Input", attributes, "input"),
      ...valuePart("Output", attributes, "output"),
      ...valuePart("Wrote", attributes, "writes"),
      ...this.others(attributes),
    ];
  }

  figures(span) {
    const { model } = this.view, { attributes } = span, took = endOf(model, span) - span.start;
    return [
      ["Status", `${MARKS[span.status] ?? ""} ${span.status}`],
      ["Kind", attributes.kind],
      ["Duration", formatSeconds(took) + (span.end === null ? " so far" : "")],
      ["Own time", span.children ? formatSeconds(ownSeconds(model, span)) : ""],
      ["Began", `${formatSeconds(span.start)} into the run`],
      ["Started", formatMoment(model.run.started_at + span.start)],
      ["Cost", costOf(attributes) ? formatCost(costOf(attributes)) : ""],
      ...TOKENS.map((key) => [key.replace("_", " "), attributes[key] ? formatCount(Number(attributes[key])) : ""]),
      ["Steps inside", span.children ? formatCount(span.last - span.index) : ""],
      ["Span", span.id],
    ];
  }

  tries(span) {
    const tries = triesOf(span);
    if (!tries.length) return [];
    const table = element("table");
    for (const each of tries) {
      const row = element("tr", Object.hasOwn(MARKS, each.status) ? each.status : ""), failure = failureOf(each);
      row.append(
        element("td", "mark", `${MARKS[each.status] ?? "?"} ${each.number}`),
        element("td", "", formatSeconds(Math.max(0, each.end_time - each.start_time))),
        element("td", "", [formatSpending(each), failure ? failure.feedback : ""].filter(Boolean).join(" · ")),
      );
      table.append(row);
    }
    return [element("h3", "", "Attempts"), table];
  }

  others(attributes) {
    const rest = Object.entries(attributes).filter(([name]) => !SHOWN_ELSEWHERE.has(name));
    return rest.length ? [element("h3", "", "Attributes"), facts(rest.map(([name, value]) => [name, asText(value)]))] : [];
  }
}

function facts(pairs) {
  const list = element("dl");
  for (const [name, value] of pairs) if (value) list.append(element("dt", "", name), element("dd", "", value));
  return list;
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function valuePart(title, attributes, name) {
  return name in attributes ? [element("h3", "", title), element("pre", "", asText(attributes[name]))] : [];
}

/** A failure, and those that led to it, one after the other. */
function chainOf(first) {
  const parts = [], waiting = [first];
  while (waiting.length && parts.length < 200) {
    const failure = waiting.pop(), part = element("div", "blow");
    const where = [failure.domain, failure.step, failure.attempt > 1 ? `attempt ${failure.attempt}` : "", failure.phase];
    part.append(element("p", "", failure.feedback), element("small", "", where.filter(Boolean).join(" · ")));
    if (listOf(failure.running).length) part.append(element("div", "", `stopped while running ${failure.running.join(", ")}`));
    if (failure.traceback) part.append(disclosed("Traceback", failure.traceback, !causesOf(failure).length));
    parts.push(part);
    waiting.push(...causesOf(failure).reverse());
  }
  return parts;
}

function disclosed(title, text, open) {
  const part = element("details");
  part.open = open;
  part.append(element("summary", "", title), element("pre", "", text));
  return part;
}
