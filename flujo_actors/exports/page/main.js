// Putting the page together: the head, the pointer and the keys.

const model = buildModel(JSON.parse(byId("data").textContent));
const view = new View(model);
const rows = new RowPainter(view);
const timeline = new Timeline(view);
const details = new Details(view);
view.painters.push(() => rows.paint(), () => timeline.paint(), () => details.paint());

function fillHead() {
  const { run } = model;
  document.title = `${run.pipeline} · ${run.status} · flujo trace`;
  byId("pipeline").textContent = run.pipeline;
  byId("status").textContent = run.status;
  byId("status").classList.add(run.status);
  byId("run-id").textContent = run.run_id;
  const failed = model.spans.filter((span) => span.status === "failed").length;
  const figures = [
    ["Started", formatMoment(run.started_at)],
    ["Duration", formatSeconds(model.total)],
    ["Spans", formatCount(model.spans.length)],
    ["Failed", failed ? formatCount(failed) : ""],
    ["Cost", run.total_cost_usd ? formatCost(run.total_cost_usd) : ""],
    ["Tokens", run.total_tokens ? formatCount(run.total_tokens) : ""],
  ];
  for (const [name, value] of figures) {
    if (!value) continue;
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", value));
    byId("facts").append(pair);
  }
}

function select(index) {
  view.select(index);
  rows.showSelected();
}

function moveBy(count) {
  const place = Math.min(Math.max(0, view.place() + count), view.rows.length - 1);
  if (place >= 0) select(view.rows[place]);
}

/** To the next span that fits the search or, without one, that failed. */
function moveToMatch(direction) {
  const wanted = view.matches ? (index) => view.matches.has(index) : (index) => UNSUCCESSFUL.has(model.spans[index].status);
  const count = model.spans.length;
  for (let step = 1; step <= count; step += 1) {
    const index = (view.selected + direction * step + count) % count;
    if (wanted(index)) return select(index);
  }
}

function goOut() {
  const span = model.spans[view.selected];
  if (span.children && !view.matches && !view.closed[span.index]) view.toggle(span.index, true);
  else if (span.parent >= 0) select(span.parent);
}

function goIn() {
  const span = model.spans[view.selected];
  if (!span.children) return;
  if (!view.matches && view.closed[span.index]) view.toggle(span.index, false);
  else moveBy(1);
}

function search(text) {
  view.words = text.toLowerCase().split(/\s+/).filter(Boolean);
  showMatches();
}

function showOnlyFailed(only) {
  view.onlyFailed = only;
  byId("only-failed").setAttribute("aria-pressed", only);
  showMatches();
}

function showMatches() {
  view.refresh();
  byId("found").textContent = view.matches ? `${formatCount(view.matches.size)} found` : "";
  if (view.matches && view.matches.size && !view.matches.has(view.selected)) moveToMatch(1);
  else rows.showSelected();
}

function openAll() {
  view.closed.fill(0);
  view.refresh();
  rows.showSelected();
}

function closeAll() {
  view.closeBelow(1);
  while (model.spans[view.selected].depth > 1) view.selected = model.spans[view.selected].parent;
  view.refresh();
  rows.showSelected();
}

function zoomToSelected() {
  const span = model.spans[view.selected], took = endOf(model, span) - span.start;
  view.zoom(span.start - took * 0.05, span.start + took * 1.05);
}

const KEYS = {
  ArrowDown: () => moveBy(1),
  ArrowUp: () => moveBy(-1),
  PageDown: () => moveBy(Math.max(1, Math.floor(byId("scroller").clientHeight / ROW_HEIGHT) - 1)),
  PageUp: () => moveBy(-Math.max(1, Math.floor(byId("scroller").clientHeight / ROW_HEIGHT) - 1)),
  Home: () => moveBy(-model.spans.length),
  End: () => moveBy(model.spans.length),
  ArrowLeft: goOut,
  ArrowRight: goIn,
  Enter: () => byId("details").focus(),
  n: () => moveToMatch(1),
  p: () => moveToMatch(-1),
  f: () => showOnlyFailed(!view.onlyFailed),
  e: openAll,
  c: closeAll,
  z: zoomToSelected,
  "+": () => view.zoomBy(0.5),
  "=": () => view.zoomBy(0.5),
  "-": () => view.zoomBy(2),
  0: () => view.zoom(0, model.total),
  "/": () => { byId("search").focus(); byId("search").select(); },
  "?": () => byId("keys").showModal(),
};
const MOVES = new Set(["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "PageDown", "PageUp", "Home", "End", "Enter"]);

function onKey(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open || target.id === "splitter") return;
  if (target.id === "search") return onSearchKey(event);
  // Buttons and the details have these keys for themselves.
  if (MOVES.has(key) && target !== document.body && target.id !== "scroller") {
    return;
  }
  if (key === "Escape") return leaveSearch();
  if (!Object.hasOwn(KEYS, key)) return;
  event.preventDefault();
  KEYS[key]();
}

function onSearchKey(event) {
  const moves = { Enter: () => moveToMatch(event.shiftKey ? -1 : 1), ArrowDown: () => byId("scroller").focus(), Escape: leaveSearch };
  if (!Object.hasOwn(moves, event.key)) return;
  event.preventDefault();
  moves[event.key]();
}

function leaveSearch() {
  byId("search").value = "";
  search("");
  if (view.onlyFailed) showOnlyFailed(false);
  byId("scroller").focus();
}

function onRowClick(event) {
  const row = event.target.closest(".row");
  if (!row) return;
  const index = Number(row.dataset.index);
  if (event.target.closest("button.twist")) view.toggle(index, !view.closed[index]);
  else select(index);
}

function setLabelWidth(percent) {
  document.documentElement.style.setProperty("--label", `${Math.min(80, Math.max(12, percent))}%`);
}

function labelWidth() {
  return (document.querySelector(".heading").offsetWidth / byId("ruler").clientWidth) * 100;
}

function letSplitterMove() {
  const splitter = byId("splitter");
  splitter.addEventListener("pointerdown", (event) => splitter.setPointerCapture(event.pointerId));
  splitter.addEventListener("pointermove", (event) => {
    if (!splitter.hasPointerCapture(event.pointerId)) return;
    const box = byId("ruler").getBoundingClientRect();
    setLabelWidth(((event.clientX - box.left) / box.width) * 100);
    view.changed();
  });
  splitter.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (!by) return;
    event.preventDefault();
    setLabelWidth(labelWidth() + by);
    view.changed();
  });
}

let waiting = 0;
byId("search").addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(() => search(event.target.value), model.spans.length > 5000 ? 120 : 0);
});
byId("only-failed").addEventListener("click", () => showOnlyFailed(!view.onlyFailed));
byId("expand").addEventListener("click", openAll);
byId("collapse").addEventListener("click", closeAll);
byId("zoom-in").addEventListener("click", () => view.zoomBy(0.5));
byId("zoom-out").addEventListener("click", () => view.zoomBy(2));
byId("zoom-all").addEventListener("click", () => view.zoom(0, model.total));
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("scroller").addEventListener("click", onRowClick);
byId("scroller").addEventListener("dblclick", (event) => { if (event.target.closest(".lane")) zoomToSelected(); });
addEventListener("keydown", onKey);
letSplitterMove();
fillHead();
view.changed();
byId("scroller").focus();
