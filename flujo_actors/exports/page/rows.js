// The rows of the trace: which there are, and drawing those that are in sight. There are never more rows in the page
// than fit into the window and a few around it, however many spans there are.

const ROW_HEIGHT = 26;
const ROWS_AROUND = 8;
const LEAST_PIXELS_OF_TRIES = 4;
const OPEN_AT_FIRST = 500;

function element(tag, className = "", text = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== null) made.textContent = text;
  return made;
}

const byId = (id) => document.getElementById(id);

/** What is shown at the moment. */
class View {
  constructor(model) {
    this.model = model;
    this.closed = new Uint8Array(model.spans.length);
    this.words = [];
    this.onlyFailed = false;
    this.matches = null;
    this.rows = [];
    this.selected = 0;
    this.from = 0;
    this.to = model.total;
    this.pending = false;
    this.painters = [];
    if (model.spans.length > OPEN_AT_FIRST) this.closeBelow(1, (span) => !span.around);
    this.refresh();
  }

  /** Draw at the next frame, once however often it is asked for. */
  changed() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      for (const paint of this.painters) paint();
    });
  }

  /** Work out which rows there are. */
  refresh() {
    this.matches = this.findMatches();
    this.rows = this.matches ? this.rowsAround(this.matches) : this.openRows();
    this.changed();
  }

  findMatches() {
    if (!this.words.length && !this.onlyFailed) return null;
    const fits = (span) =>
      (!this.onlyFailed || UNSUCCESSFUL.has(span.status)) && this.words.every((word) => textOf(span).includes(word));
    return new Set(this.model.spans.filter(fits).map((span) => span.index));
  }

  rowsAround(matches) {
    const shown = new Set(matches);
    for (const match of matches) {
      let above = this.model.spans[match].parent;
      while (above >= 0 && !shown.has(above)) {
        shown.add(above);
        above = this.model.spans[above].parent;
      }
    }
    return [...shown].sort((one, other) => one - other);
  }

  openRows() {
    const rows = [];
    for (let index = 0; index < this.model.spans.length; index += 1) {
      rows.push(index);
      if (this.closed[index]) index = this.model.spans[index].last;
    }
    return rows;
  }

  closeBelow(depth, closes = () => true) {
    for (const span of this.model.spans) this.closed[span.index] = span.children && span.depth >= depth && closes(span) ? 1 : 0;
  }

  /** Open or close a span. While rows are filtered all are open. */
  toggle(index, closed) {
    if (this.matches || !this.model.spans[index].children) return;
    this.closed[index] = closed ? 1 : 0;
    if (closed && this.selected > index && this.selected <= this.model.spans[index].last) this.selected = index;
    this.refresh();
  }

  select(index) {
    this.selected = index;
    if (!this.matches) {
      for (let above = this.model.spans[index].parent; above >= 0; above = this.model.spans[above].parent) this.closed[above] = 0;
      this.refresh();
    }
    this.changed();
  }

  /** The place of the selected span among the rows, or of the nearest one above it. */
  place() {
    let low = 0, high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle] <= this.selected) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  zoom(from, to) {
    const least = Math.max(this.model.total / 1e6, 1e-6);
    const width = Math.min(Math.max(to - from, least), this.model.total);
    this.from = Math.min(Math.max(0, from), this.model.total - width);
    this.to = this.from + width;
    this.changed();
  }

  zoomBy(factor, around = (this.from + this.to) / 2) {
    this.zoom(around - (around - this.from) * factor, around + (this.to - around) * factor);
  }

  percent(moment) {
    return ((moment - this.from) / (this.to - this.from)) * 100;
  }
}

/** Draws the rows that are in sight. */
class RowPainter {
  constructor(view) {
    this.view = view;
    this.scroller = byId("scroller");
    this.container = byId("rows");
    this.scroller.addEventListener("scroll", () => this.paint());
  }

  paint() {
    const { view, scroller, container } = this;
    byId("nothing").hidden = view.rows.length > 0;
    container.style.height = `${view.rows.length * ROW_HEIGHT}px`;
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW_HEIGHT) - ROWS_AROUND);
    const last = Math.min(view.rows.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW_HEIGHT) + ROWS_AROUND);
    const drawn = document.createDocumentFragment();
    for (let place = first; place < last; place += 1) drawn.append(this.row(view.model.spans[view.rows[place]], place));
    container.replaceChildren(drawn);
    const selected = byId(`span-${view.selected}`);
    if (selected) scroller.setAttribute("aria-activedescendant", selected.id);
    else scroller.removeAttribute("aria-activedescendant");
  }

  showSelected() {
    const top = Math.max(0, this.view.place()) * ROW_HEIGHT, { scroller } = this;
    this.container.style.height = `${this.view.rows.length * ROW_HEIGHT}px`;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + ROW_HEIGHT > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + ROW_HEIGHT - scroller.clientHeight;
  }

  row(span, place) {
    const { view } = this;
    const row = element("div", `row ${span.status}`);
    row.id = `span-${span.index}`;
    row.dataset.index = span.index;
    row.style.top = `${place * ROW_HEIGHT}px`;
    row.setAttribute("role", "treeitem");
    row.setAttribute("aria-level", span.depth + 1);
    row.setAttribute("aria-selected", span.index === view.selected);
    if (span.children) row.setAttribute("aria-expanded", this.isOpen(span));
    if (view.matches) row.classList.add(view.matches.has(span.index) ? "match" : "around");
    row.append(this.label(span), this.lane(span));
    return row;
  }

  isOpen(span) {
    return Boolean(this.view.matches) || !this.view.closed[span.index];
  }

  label(span) {
    const label = element("div", "label");
    const indent = element("span", "indent");
    indent.style.width = `${Math.min(span.depth, 18) * 14}px`;
    const twist = span.children ? element("button", "twist", this.isOpen(span) ? "▼" : "▶") : element("span", "twist");
    if (span.children) {
      twist.type = "button";
      twist.tabIndex = -1;
      twist.setAttribute("aria-hidden", "true");
    }
    label.append(indent, twist, element("span", "mark", MARKS[span.status] ?? "?"), element("span", "name", span.name));
    for (const note of notesOf(span)) label.append(element("span", "note", note));
    if (span.children && !this.isOpen(span)) label.append(element("span", "note", `+${formatCount(span.last - span.index)}`));
    const failure = failureOf(span.attributes);
    if (failure) label.append(element("span", "why", failure.feedback));
    label.title = [span.attributes.path || span.name, failure ? failure.feedback : ""].filter(Boolean).join("\n");
    return label;
  }

  lane(span) {
    const { view } = this, lane = element("div", "lane"), end = endOf(view.model, span);
    const left = view.percent(span.start), right = view.percent(end);
    if (right < 0 || left > 100) return lane;
    const bar = element("div", span.end === null ? "bar open" : "bar");
    // What is out of sight is cut off: browsers do not draw boxes of any width.
    const drawnLeft = Math.max(left, 0), drawnRight = Math.min(right, 100);
    bar.style.left = `${drawnLeft}%`;
    bar.style.width = `${drawnRight - drawnLeft}%`;
    this.addTries(bar, span, drawnLeft, drawnRight);
    const took = element("span", "took", formatSeconds(end - span.start) + (span.end === null ? " so far" : ""));
    // Beside the bar where there is room, after it or before it, else on it.
    lane.append(bar);
    if (right <= 85) took.style.left = `${right}%`;
    else if (left >= 15) took.style.right = `${100 - left}%`;
    else took.classList.add("within");
    (right > 85 && left < 15 ? bar : lane).append(took);
    return lane;
  }

  addTries(bar, span, left, right) {
    const tries = triesOf(span), { view } = this, pixels = ((right - left) / 100) * byId("ticks").clientWidth;
    if (pixels < LEAST_PIXELS_OF_TRIES * tries.length) return;
    if (tries.length) bar.classList.add("tried");
    const inBar = (moment) => ((Math.min(Math.max(view.percent(moment), left), right) - left) / (right - left || 1)) * 100;
    for (const each of tries) {
      const part = element("div", `try ${Object.hasOwn(MARKS, each.status) ? each.status : ""}`);
      const start = inBar(each.start_time - view.model.run.started_at), end = inBar(each.end_time - view.model.run.started_at);
      part.style.left = `${start}%`;
      part.style.width = `${end - start}%`;
      bar.append(part);
    }
  }
}

/** What sets a span apart from its siblings, and what it took. */
function notesOf(span) {
  const { attributes } = span, tries = triesOf(span).length;
  return [
    ...["iteration", "branch", "item"].filter((key) => key in attributes && attributes[key] !== span.name).map((key) => `${key} ${attributes[key]}`),
    tries ? `${tries} attempt${tries === 1 ? "" : "s"}` : "",
    formatSpending(attributes),
  ].filter(Boolean);
}
