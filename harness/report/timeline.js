// The timeline of a run: what keyboard, mouse and filters do to the view, and what is said of it in words.
//
//     keys, buttons, wheel ──► view {from, to, selected}  ──► Painter draws   (timeline_draw.js)
//     client, key, type …  ──► filtered() ──► view.rows   ──► status line, facts, table
//     lanes by …           ─┘
//
// A canvas says nothing to a screen reader: what is selected is told in a status line, and a table lists what is in view.
// The data is the element "timeline-data" (timeline_data.js). Nothing is loaded, nothing leaves the page.
"use strict";

const ROWS_MAX = 200, LISTED = 100, FILTERS = ["client", "key", "f", "outcome", "text"];

function startTimeline(t) {
  const el = (name) => document.getElementById(`tl-${name}`);
  const canvas = el("canvas"), overview = el("overview"), tip = el("tip");
  const view = { from: 0, to: t.last, rows: [], selected: -1 };
  const painter = new Painter(t, view, canvas, overview);
  let queued = false;

  function redraw() {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => {
      queued = false;
      painter.draw();
      tell();
    });
  }
  function resize() {
    painter.resize();
    redraw();
  }

  // ---- the view -------------------------------------------------------------------------------------------------------

  function show(low, high) {
    const span = Math.min(Math.max(high - low, t.least), t.last);
    view.from = Math.min(Math.max((low + high) / 2 - span / 2, 0), t.last - span);
    view.to = view.from + span;
    redraw();
  }
  function zoom(factor, at) {
    const { from, to, selected } = view;
    const seen = selected >= 0 && t.start[selected] >= from && t.start[selected] <= to;
    const fixed = at ?? (seen ? t.start[selected] : (from + to) / 2);
    const span = Math.min(Math.max((to - from) * factor, t.least), t.last);
    const low = fixed - ((fixed - from) / (to - from)) * span;
    show(low, low + span);
  }
  const pan = (share) => show(view.from + (view.to - view.from) * share, view.to + (view.to - view.from) * share);
  function showAround(places) {
    const low = Math.min(...places.map((i) => t.start[i])), high = Math.max(...places.map((i) => t.end[i]));
    const margin = Math.max((high - low) * 0.15, 50);
    show(low - margin, high + margin);
  }
  function filter() {
    const found = filtered(t, Object.fromEntries(["by", ...FILTERS].map((name) => [name, el(name).value])));
    const matching = found.reduce((sum, row) => sum + row.ops.length, 0), hidden = found.length - ROWS_MAX;
    view.rows = found.slice(0, ROWS_MAX);
    t.row.fill(-1);
    view.rows.forEach((row, number) => { for (const i of row.ops) t.row[i] = number; });
    canvas.setAttribute("aria-label", `Operations by ${el("by").value} over time`);
    el("count").textContent = `${matching.toLocaleString("en")} of ${t.count.toLocaleString("en")} operations match${hidden > 0 ? `; ${hidden} more rows are not drawn: choose a client or a key` : ""}`;
    resize();
  }

  // ---- in words -------------------------------------------------------------------------------------------------------

  function tell() {
    const found = inView(t, view.rows, view.from, view.to, el("table").open ? LISTED : 0), span = view.to - view.from;
    el("view").textContent = `${clock(view.from, span)} to ${clock(view.to, span)}: ${found.all.toLocaleString("en")} operations in view`;
    if (!el("table").open) return;
    el("listed").textContent = found.all > LISTED ? `The first ${LISTED} of ${found.all.toLocaleString("en")}; zoom in to see the others.` : "";
    el("rows").replaceChildren();
    for (const i of found.first) {
      const row = el("rows").insertRow(), button = document.createElement("button");
      button.type = "button";
      button.textContent = `#${t.index[i]}`;
      button.onclick = () => select(i);
      row.insertCell().append(button);
      for (const text of [`${t.ops.process[i]} (${t.data.lanes[t.lane[i]]})`, words(t, i), outcomeWords(t, i), clock(t.start[i], span), endWords(t, i, span)]) row.insertCell().textContent = text;
      for (const cell of [row.cells[4], row.cells[5]]) cell.className = "num";
    }
  }
  function tellLogs(i) { // what the nodes wrote around an operation; its own node stands out
    el("logs").hidden = i < 0 || !t.data.logs_total;
    if (el("logs").hidden) return;
    const near = logsNear(t, i, LISTED), own = i < 0 ? "" : t.nodes[t.lane[i]];
    const left = t.data.logs.length < t.data.logs_total ? ` The page keeps ${t.data.logs.length.toLocaleString("en")} of ${t.data.logs_total.toLocaleString("en")} lines, those nearest to the proof and to the ends of faults.` : "";
    const more = near.all > LISTED ? `${near.all} lines, the nearest ${LISTED} are shown.` : near.all === 1 ? "1 line." : `${near.all} lines.`;
    el("log-rows").closest(".scroll").hidden = !near.all;
    el("logs-said").textContent = !near.all ? `No node wrote anything then.${left}` : `${more} Times are those of the nodes' own clocks.${left}`;
    el("log-rows").replaceChildren();
    for (const [at, node, text] of near.lines) {
      const row = el("log-rows").insertRow();
      for (const each of [clock(at, 1e4), node, visible(text)]) row.insertCell().textContent = each;
      row.cells[0].className = "num";
      row.classList.toggle("own", node === own);
    }
  }
  function select(i) {
    view.selected = i;
    const known = i < 0 ? [] : facts(t, i);
    el("said").textContent = i < 0 ? "Nothing is selected." : known.map(([name, value]) => `${name} ${value}`).join(". ");
    el("facts").replaceChildren(...known.map(([name, value]) => {
      const part = document.createElement("div");
      part.appendChild(document.createElement("dt")).textContent = name;
      part.appendChild(document.createElement("dd")).textContent = value;
      return part;
    }));
    tellLogs(i);
    el("link").hidden = i < 0;
    if (i >= 0) {
      el("link").href = `#op-${t.index[i]}`;
      if (t.start[i] < view.from || t.start[i] > view.to) show(t.start[i] - (view.to - view.from) / 2, t.start[i] + (view.to - view.from) / 2);
    }
    redraw();
  }

  // ---- what can be done, by key and by button -------------------------------------------------------------------------

  const first = () => select(inView(t, view.rows, view.from, view.to, 1).first[0] ?? -1);
  function beside(step) { // the operation before or after in the same row
    const row = view.selected < 0 ? -1 : t.row[view.selected];
    const list = row < 0 ? [] : view.rows[row].ops, at = list.indexOf(view.selected);
    if (at < 0) first();
    else select(list[Math.min(Math.max(at + step, 0), list.length - 1)]);
  }
  function across(step) { // the operation in the row above or below that begins nearest
    const row = view.selected < 0 ? -1 : t.row[view.selected];
    if (row < 0) return first();
    const list = view.rows[Math.min(Math.max(row + step, 0), view.rows.length - 1)].ops;
    const far = (i) => Math.abs(t.start[i] - t.start[view.selected]);
    return select(list.reduce((best, i) => (far(i) < far(best) ? i : best)));
  }
  function trouble(step) { // the next operation that failed, timed out, was stale or was lost
    const bad = view.rows.flatMap((row) => row.ops.filter((i) => t.ops.outcome[i] !== "o" || t.stale.has(i) || t.lost.has(i))).sort((a, b) => a - b);
    const next = step > 0 ? bad.find((i) => i > view.selected) : bad.findLast((i) => view.selected < 0 || i < view.selected);
    if (next === undefined) el("said").textContent = "There is no further operation that failed, timed out, was stale or was lost.";
    else select(next);
  }
  function regroup() { // lanes by the next of client, node, key
    const by = el("by"), choices = [...by.options].filter((option) => !option.disabled);
    by.value = choices[(choices.findIndex((option) => option.value === by.value) + 1) % choices.length].value;
    filter();
    el("said").textContent = `Lanes by ${by.value}.`;
  }
  function goTo(places) {
    if (!places.length) return;
    showAround(places);
    select(places[0]);
  }
  const ACTS = {
    in: () => zoom(0.5), out: () => zoom(2), earlier: () => pan(-0.25), later: () => pan(0.25), whole: () => show(0, t.last),
    proof: () => goTo(t.proof), previous: () => trouble(-1), next: () => trouble(1), near: () => goTo(view.selected < 0 ? [] : [view.selected]),
    left: () => beside(-1), right: () => beside(1), up: () => across(-1), down: () => across(1), first, none: () => select(-1), lanes: regroup,
  };
  const KEYS = { "+": "in", "=": "in", "-": "out", ",": "earlier", ".": "later", 0: "whole", p: "proof", e: "next", E: "previous", l: "lanes", Escape: "none", ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", Home: "first", Enter: "near" };
  canvas.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    ACTS[act]();
  });
  for (const button of document.querySelectorAll("#tl-live [data-act]")) button.onclick = () => ACTS[button.dataset.act]();

  // ---- mouse and touch ------------------------------------------------------------------------------------------------

  const within = (event, target) => [event.clientX - target.getBoundingClientRect().left, event.clientY - target.getBoundingClientRect().top];
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, us: painter.usOf(within(event, canvas)[0]), moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = within(event, canvas), i = drag ? -1 : painter.under(x, y);
    tip.hidden = i < 0;
    if (drag) drag.moved ||= Math.abs(event.clientX - drag.x) > 4;
    if (drag?.moved) pan((drag.us - painter.usOf(x)) / (view.to - view.from)); // what was taken stays under the pointer
    if (i < 0) return;
    tip.textContent = `#${t.index[i]} ${words(t, i)}, ${outcomeWords(t, i)}, ${clock(t.end[i] - t.start[i], t.end[i] - t.start[i])}`;
    tip.style.left = `${Math.max(Math.min(x + 12, painter.width - tip.offsetWidth - 4), 0)}px`;
    tip.style.top = `${y + 16}px`;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) select(painter.under(...within(event, canvas)));
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("dblclick", (event) => zoom(0.25, painter.usOf(within(event, canvas)[0])));
  canvas.addEventListener("wheel", (event) => { // the page scrolls on, unless the timeline has the focus or Ctrl is held
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(Math.sign(event.deltaX || event.deltaY) * 0.1);
    else zoom(event.deltaY < 0 ? 0.8 : 1.25, painter.usOf(within(event, canvas)[0]));
  }, { passive: false });
  function centre(event) {
    const middle = painter.wholeUs(within(event, overview)[0]);
    show(middle - (view.to - view.from) / 2, middle + (view.to - view.from) / 2);
  }
  overview.addEventListener("pointerdown", (event) => {
    overview.setPointerCapture(event.pointerId);
    centre(event);
  });
  overview.addEventListener("pointermove", (event) => event.buttons && centre(event));

  // ---- begin ----------------------------------------------------------------------------------------------------------

  function linked() {
    const i = location.hash.startsWith("#op-") ? t.place.get(+location.hash.slice(4)) : undefined;
    if (i === undefined) return;
    goTo([i]);
    document.getElementById("timeline").scrollIntoView();
  }
  const offer = (name, texts, values) => el(name).append(...texts.map((text, n) => new Option(visible(text), values[n])));
  const keys = [...t.ops.keys].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  offer("client", t.data.lanes, t.data.lanes.map((_, n) => n));
  offer("key", keys, keys);
  offer("f", t.ops.functions, t.ops.functions);
  for (const name of ["by", ...FILTERS]) el(name).addEventListener("input", filter);
  el("by").namedItem("tl-by-node").disabled = !t.nodes.some(Boolean);
  el("clear").onclick = () => {
    for (const name of FILTERS) el(name).value = "";
    filter();
  };
  el("table").addEventListener("toggle", tell);
  window.addEventListener("hashchange", linked);
  window.addEventListener("resize", resize);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    painter.colours();
    redraw();
  });
  document.getElementById("timeline").classList.add("live");
  el("live").hidden = false;
  document.querySelector('#tl-live [data-act="proof"]').hidden = !t.proof.length;
  painter.colours();
  filter();
  if (t.proof.length) showAround(t.proof);
  linked();
}

const timelineData = document.getElementById("timeline-data");
if (timelineData) startTimeline(readTimeline(JSON.parse(timelineData.textContent)));
