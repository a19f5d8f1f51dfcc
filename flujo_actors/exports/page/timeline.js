// The overview and the time axis: where in the run's time the rows are.

class Timeline {
  constructor(view) {
    this.view = view;
    this.map = byId("map");
    this.window = byId("window");
    this.ticks = byId("ticks");
    this.dragOver(byId("overview"), (share) => share * view.model.total);
    this.dragOver(this.ticks, (share) => view.from + share * (view.to - view.from));
    byId("overview").addEventListener("dblclick", () => view.zoom(0, view.model.total));
    byId("scroller").addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    addEventListener("resize", () => { this.drawMap(); view.changed(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawMap());
    this.drawMap();
  }

  paint() {
    const { view } = this, { total } = view.model;
    const all = view.from <= 0 && view.to >= total;
    this.window.hidden = all;
    this.window.style.left = `${(view.from / total) * 100}%`;
    this.window.style.width = `${((view.to - view.from) / total) * 100}%`;
    const marks = ticksBetween(view.from, view.to, this.ticks.clientWidth / 110).map((moment) => {
      const tick = element("span", "", formatSeconds(moment));
      tick.style.left = `${view.percent(moment)}%`;
      return tick;
    });
    this.ticks.replaceChildren(...marks);
  }

  /** All spans, one under the other, each as thin as it has to be. */
  drawMap() {
    const { map, view } = this, { spans, total } = view.model, ratio = devicePixelRatio || 1;
    map.width = Math.max(1, map.clientWidth * ratio);
    map.height = Math.max(1, map.clientHeight * ratio);
    const pen = map.getContext("2d"), colours = this.colours(), margin = 4 * ratio;
    const pitch = (map.height - 2 * margin) / spans.length, thickness = Math.min(Math.max(pitch - ratio, ratio), 8 * ratio);
    for (const span of spans) {
      const left = (span.start / total) * map.width, width = ((endOf(view.model, span) - span.start) / total) * map.width;
      pen.fillStyle = colours[span.status] ?? colours.completed;
      pen.fillRect(left, margin + span.index * pitch, Math.max(width, ratio), thickness);
    }
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(Object.keys(MARKS).map((status) => [status, style.getPropertyValue(`--${status}-bar`)]));
  }

  /** Dragging over a strip zooms to what was dragged over. */
  dragOver(strip, momentAt) {
    let began = null;
    const moment = (event) => {
      const box = strip.getBoundingClientRect();
      return momentAt(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    };
    strip.addEventListener("pointerdown", (event) => {
      began = { moment: moment(event), at: event.clientX };
      strip.setPointerCapture(event.pointerId);
    });
    strip.addEventListener("pointerup", (event) => {
      if (began && Math.abs(event.clientX - began.at) > 3) {
        const ended = moment(event);
        this.view.zoom(Math.min(began.moment, ended), Math.max(began.moment, ended));
      }
      began = null;
    });
    strip.addEventListener("pointercancel", () => { began = null; });
  }

  wheel(event) {
    const { view } = this, box = this.ticks.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) {
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      view.zoomBy(Math.exp(Math.sign(event.deltaY) * 0.2), view.from + share * (view.to - view.from));
    } else if (event.shiftKey || event.deltaX) {
      const by = ((event.deltaX || event.deltaY) / box.width) * (view.to - view.from);
      view.zoom(view.from + by, view.to + by);
    } else return;
    event.preventDefault();
  }
}
