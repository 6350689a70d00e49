// Draws the timeline on its two canvases: the view, and above it the strip of the whole run.
//
//     faults      ▒▒▒▒▒ partition n1, n2 ▒▒▒▒▒                 a view [from, to] of the run, in microseconds
//     client 0 →  ▬▬ ▬▬▬▬ ▬ ▬▬▬▬▬▬▬ ▬▬▬                        rows: the lanes that the filter leaves
//     client 1 →    ▬▬▬▬▬ ▬▬▬▬▬[#12]▬▬▬
//
// A lane is sorted by time, so what is in view is found by bisection. A bar narrower than three pixels is not drawn by itself: all
// on one pixel become one mark, in the colour of the gravest, and neighbours of one colour are one mark (timeline_levels.js). So a frame draws
// at most lanes x pixels marks, however long the history is, and hides no failure behind a success. Colours are those of the page's style.
"use strict";

const GUTTER = 128, AXIS = 22, STRIP = 15, OVERVIEW = 44;

class Painter {
  // `view` is {from, to, rows, selected}, changed by others between the frames.
  constructor(t, view, canvas, overview) {
    Object.assign(this, { t, view, canvas, overview, strip: document.createElement("canvas"), kinds: [...new Set(t.faults.map((fault) => fault.kind))] });
    this.bands = t.faults.map((fault) => ({ fault, text: `${fault.kind} ${fault.nodes}${fault.bit ? "" : " (did not bite)"}`, wide: -1 }));
  }

  colours() {
    const style = getComputedStyle(document.documentElement), ink = {};
    for (const name of ["card", "ink", "soft", "rule", "accent", "bad", "doubt", "read", "write", "fault", "other", "lost", "bar-read", "bar-write"]) ink[name] = style.getPropertyValue(`--${name}`).trim();
    ink.rank = [ink.read, ink.write, ink.doubt, ink.other, ink.bad, ink.lost, ink.ink];
    ink.kind = (kind) => [ink.fault, ink.bad, ink.doubt, ink.accent][this.kinds.indexOf(kind) % 4];
    this.ink = ink;
    if (this.width) this.whole(this.strip.getContext("2d"));
  }

  resize() {
    this.width = this.canvas.parentElement.clientWidth;
    this.top = AXIS + this.kinds.length * STRIP + 4;
    this.rowHeight = Math.min(26, Math.max(4, Math.floor(620 / Math.max(this.view.rows.length, 1))));
    this.barHeight = Math.max(2, this.rowHeight - (this.rowHeight > 8 ? 5 : 1));
    this.height = this.top + Math.max(this.view.rows.length, 3) * this.rowHeight + 6;
    const dots = window.devicePixelRatio || 1;
    for (const [each, high] of [[this.canvas, this.height], [this.overview, OVERVIEW], [this.strip, OVERVIEW]]) {
      each.width = Math.round(this.width * dots);
      each.height = Math.round(high * dots);
      each.style.height = `${high}px`;
      each.getContext("2d").setTransform(dots, 0, 0, dots, 0, 0);
    }
    this.whole(this.strip.getContext("2d"));
  }

  xOf(us) { return GUTTER + ((us - this.view.from) / (this.view.to - this.view.from)) * (this.width - GUTTER); }
  usOf(x) { return this.view.from + ((x - GUTTER) / (this.width - GUTTER)) * (this.view.to - this.view.from); }
  wholeX(us) { return GUTTER + (us / this.t.last) * (this.width - GUTTER); }
  wholeUs(x) { return ((x - GUTTER) / (this.width - GUTTER)) * this.t.last; }

  draw() {
    if (this.width <= GUTTER) return; // on paper the timeline is not there
    const pen = this.canvas.getContext("2d"), { rows } = this.view;
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    this.faults(pen);
    this.axis(pen);
    rows.forEach((row, number) => this.row(pen, row, this.top + number * this.rowHeight));
    pen.fillStyle = this.ink.card; // what reaches over the left edge of the view
    pen.fillRect(0, this.top, GUTTER - 1, this.height);
    pen.fillStyle = this.ink.soft;
    let named = -Infinity; // names do not run into each other
    rows.forEach((row, number) => {
      const y = this.top + number * this.rowHeight;
      if (row.begins && number) pen.fillRect(GUTTER, y - 1.5, this.width - GUTTER, 0.5);
      if (!row.name || y - named < 13) return;
      pen.fillText(row.name, 0, y + this.barHeight / 2, GUTTER - 8);
      named = y;
    });
    if (!rows.length) pen.fillText("No operation matches the filter.", GUTTER + 8, this.top + 14);
    this.outlines(pen);
    this.here(this.overview.getContext("2d"));
  }

  axis(pen) {
    const { from, to } = this.view, rough = (to - from) / Math.max(2, (this.width - GUTTER) / 120), power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? 10 * power;
    pen.strokeStyle = this.ink.rule;
    pen.fillStyle = this.ink.soft;
    pen.lineWidth = 1;
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const x = Math.round(this.xOf(at)) + 0.5, text = clock(at, to - from), half = pen.measureText(text).width / 2;
      pen.beginPath();
      pen.moveTo(x, AXIS - 4);
      pen.lineTo(x, this.height);
      pen.stroke();
      pen.fillText(text, Math.min(Math.max(x - half, GUTTER - half), this.width - 2 * half), 9);
    }
  }

  faults(pen) {
    for (const band of this.bands) {
      const { fault } = band, x0 = Math.max(GUTTER, this.xOf(fault.start)), x1 = Math.min(this.width, this.xOf(fault.end));
      if (x1 < GUTTER || x0 > this.width) continue;
      const y = AXIS + this.kinds.indexOf(fault.kind) * STRIP, wide = Math.max(x1 - x0, 2);
      pen.fillStyle = pen.strokeStyle = this.ink.kind(fault.kind);
      pen.globalAlpha = fault.bit ? 0.1 : 0.03;
      pen.fillRect(x0, this.top - 2, wide, this.height - this.top);
      pen.globalAlpha = fault.bit ? 0.35 : 0;
      pen.fillRect(x0, y, wide, STRIP - 2);
      pen.globalAlpha = 1;
      pen.setLineDash(fault.bit ? [] : [3, 3]);
      pen.strokeRect(x0 + 0.5, y + 0.5, Math.max(wide - 1, 1), STRIP - 3);
      pen.setLineDash([]);
      pen.fillStyle = this.ink.ink;
      if (band.wide < 0) band.wide = pen.measureText(band.text).width;
      if (band.wide + 8 < wide) pen.fillText(band.text, x0 + 4, y + STRIP / 2 - 0.5);
    }
    pen.fillStyle = this.ink.soft;
    this.kinds.forEach((kind, row) => pen.fillText(kind, 0, AXIS + (row + 0.5) * STRIP - 1, GUTTER - 8));
  }

  row(pen, row, y) {
    const { t, view } = this, pixelUs = (view.to - view.from) / (this.width - GUTTER);
    const first = firstInView(t, row.ops, view.from), last = notBefore(t, row.ops, view.to);
    const level = 2 * (last - first) > this.width - GUTTER ? levelFor(t, row, pixelUs) : null;
    if (level) this.dense(pen, level, pixelUs, y);
    else this.sparse(pen, row.ops, first, y);
  }

  // Wide bars by themselves; over them one mark for all neighbouring pixels of one colour.
  dense(pen, level, pixelUs, y) {
    const { t, ink, view, width, barHeight: high } = this, { wide } = level;
    for (let k = firstInView(t, wide, view.from); k < wide.length && t.start[wide[k]] <= view.to; k++) {
      const i = wide[k], x0 = Math.max(this.xOf(t.start[i]), GUTTER - 4), x1 = Math.min(this.xOf(t.end[i]), width + 4);
      if (x1 - x0 >= NARROW) this.bar(pen, i, Math.round(x0), Math.round(x1), y);
    }
    let begin = GUTTER, colour = 0;
    for (let x = GUTTER; x <= width; x++) {
      const next = x < width ? worstIn(level, view.from + (x - GUTTER) * pixelUs, pixelUs) : 0;
      if (next === colour) continue;
      if (colour) {
        pen.fillStyle = ink.rank[colour - 1];
        pen.fillRect(begin, y, x - begin, high);
      }
      begin = x;
      colour = next;
    }
  }

  sparse(pen, ops, first, y) {
    const { t, ink, view, barHeight: high } = this, { start, end, rank } = t, { from, to } = view;
    const scale = (this.width - GUTTER) / (to - from), left = GUTTER - 4, most = this.width + 4;
    let pixel = -1, right = -1, worst = -1; // what has fallen on one pixel so far
    const flush = () => {
      if (worst < 0) return;
      pen.fillStyle = ink.rank[worst];
      pen.fillRect(pixel, y, Math.max(right - pixel, 1), high);
      worst = -1;
    };
    for (let k = first; k < ops.length && start[ops[k]] <= to; k++) {
      const i = ops[k];
      if (end[i] < from) continue;
      const x0 = Math.max(GUTTER + (start[i] - from) * scale, left), x1 = Math.min(GUTTER + (end[i] - from) * scale, most);
      if (x1 - x0 >= NARROW) {
        flush();
        this.bar(pen, i, Math.round(x0), Math.round(x1), y);
      } else if (worst >= 0 && Math.floor(x0) === pixel) {
        worst = Math.max(worst, rank[i]);
        right = Math.max(right, x1);
      } else {
        flush();
        pixel = Math.floor(x0);
        right = x1;
        worst = rank[i];
      }
    }
    flush();
  }

  bar(pen, i, x0, x1, y) {
    const { t, ink, barHeight: high } = this, wide = x1 - x0, outcome = t.ops.outcome[i];
    const read = t.ops.functions[t.ops.f[i]] === "read", roomy = wide > 14 && high > 8;
    const edge = outcome === "f" ? ink.other : outcome === "i" ? ink.doubt : read ? ink.read : ink.write;
    pen.fillStyle = outcome === "f" ? ink.card : !roomy ? edge : read ? ink["bar-read"] : ink["bar-write"];
    if (outcome === "i") { // fades: nobody knows when it ends
      pen.fillStyle = pen.createLinearGradient(x0, 0, x1, 0);
      pen.fillStyle.addColorStop(0, ink.doubt);
      pen.fillStyle.addColorStop(1, ink.card);
    }
    pen.fillRect(x0, y, wide, high);
    pen.fillStyle = pen.strokeStyle = edge;
    pen.lineWidth = 1;
    pen.fillRect(x0, y, Math.min(2, wide), high);
    if (outcome !== "i") pen.fillRect(x1 - Math.min(2, wide), y, Math.min(2, wide), high);
    if (outcome === "f") pen.strokeRect(x0 + 0.5, y + 0.5, wide - 1, high - 1);
    if (t.stale.has(i) || t.lost.has(i)) {
      pen.fillStyle = t.lost.has(i) ? ink.lost : ink.bad;
      pen.fillRect(x0, y + high - 3, wide, 3);
    }
    const left = Math.max(x0, GUTTER) + 5, room = Math.min(x1, this.width) - left - 4;
    if (room < 24 || high < 12) return;
    const text = [`#${t.index[i]} ${words(t, i)}`, words(t, i), `${words(t, i).slice(0, Math.floor(room / 7))}…`].find((each) => pen.measureText(each).width <= room);
    pen.fillStyle = outcome === "i" ? ink.soft : ink.ink;
    if (text) pen.fillText(text, left, y + high / 2 + 0.5);
  }

  // The proof in one colour, with a pointer in the axis so that it is found at any zoom, and the selection in another.
  outlines(pen) {
    const { t, ink, view } = this;
    for (const i of [...t.proof, view.selected]) {
      const number = i >= 0 ? t.row[i] : -1;
      if (number < 0 || t.end[i] < view.from || t.start[i] > view.to) continue;
      const x = Math.max(this.xOf(t.start[i]), GUTTER), wide = Math.max(Math.min(this.xOf(t.end[i]), this.width) - x, 2);
      const y = this.top + number * this.rowHeight, chosen = i === view.selected;
      pen.strokeStyle = chosen ? ink.accent : ink.bad;
      pen.lineWidth = chosen ? 3 : 2;
      pen.strokeRect(x - 2, y - 2, wide + 4, this.barHeight + 4);
      if (!t.proven.has(i)) continue;
      pen.fillStyle = ink.bad;
      pen.beginPath();
      pen.moveTo(x - 5, AXIS - 7);
      pen.lineTo(x + 5, AXIS - 7);
      pen.lineTo(x, AXIS);
      pen.fill();
      const whole = `#${t.index[i]} ${words(t, i)}`, share = (0.4 * (this.width - GUTTER)) / pen.measureText(whole).width; // of it there is room for
      const name = share < 1 ? `${whole.slice(0, Math.floor(whole.length * share))}…` : whole, room = pen.measureText(name).width;
      if (wide > room + 9 || this.barHeight < 12) continue;
      const left = x + wide + room + 10 < this.width ? x + wide + 5 : Math.max(x - room - 5, GUTTER);
      pen.strokeStyle = ink.card;
      pen.lineWidth = 4;
      pen.strokeText(name, left, y + this.barHeight / 2 + 0.5);
      pen.fillStyle = ink.ink;
      pen.fillText(name, left, y + this.barHeight / 2 + 0.5);
    }
    pen.lineWidth = 1;
  }

  // The strip with a frame around the view.
  here(pen) {
    const { ink, view, width } = this, x0 = this.wholeX(view.from), x1 = this.wholeX(view.to);
    pen.clearRect(0, 0, width, OVERVIEW);
    pen.drawImage(this.strip, 0, 0, width, OVERVIEW);
    pen.strokeStyle = ink.accent;
    pen.lineWidth = 2;
    pen.strokeRect(x0 + 1, 1, Math.max(x1 - x0 - 2, 3), OVERVIEW - 2);
  }

  // How many calls there were over the whole run and how they ended; a burst is cut off at twice the usual. Drawn once, not for each frame.
  whole(pen) {
    const { t, ink } = this, rows = t.data.density, slices = rows[0].length, each = (this.width - GUTTER) / slices;
    const sums = rows[0].map((_, at) => rows.reduce((sum, row) => sum + row[at], 0)).sort((a, b) => a - b);
    const full = Math.max(1, Math.min(sums[slices - 1], 2 * sums[Math.floor(slices * 0.75)] || sums[slices - 1]));
    pen.clearRect(0, 0, this.width, OVERVIEW);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = ink.soft;
    pen.fillText("whole run", 0, 26);
    for (const fault of t.faults.filter((one) => one.bit)) {
      pen.fillStyle = ink.kind(fault.kind);
      pen.globalAlpha = 0.15;
      pen.fillRect(this.wholeX(fault.start), 2, Math.max(this.wholeX(fault.end) - this.wholeX(fault.start), 1), OVERVIEW - 4);
      pen.globalAlpha = 1;
    }
    for (let at = 0; at < slices; at++) {
      let y = OVERVIEW - 2;
      [ink.read, ink.other, ink.doubt].forEach((colour, outcome) => {
        const high = Math.min((rows[outcome][at] / full) * (OVERVIEW - 8), y - 4);
        pen.fillStyle = colour;
        pen.fillRect(GUTTER + at * each, y - high, Math.max(each - 0.5, 1), high);
        y -= high;
      });
    }
    pen.fillStyle = ink.bad;
    for (const i of t.proof) pen.fillRect(this.wholeX(t.start[i]) - 1, 0, 2, OVERVIEW);
  }

  // The operation at a point of the view, or the gravest within three pixels; -1 if there is none.
  under(x, y) {
    const row = this.view.rows[Math.floor((y - this.top) / this.rowHeight)], low = this.usOf(x - 3), high = this.usOf(x + 3);
    let best = -1;
    if (!row || x < GUTTER) return best;
    for (let k = firstInView(this.t, row.ops, low); k < row.ops.length && this.t.start[row.ops[k]] <= high; k++) {
      const i = row.ops[k];
      if (this.t.end[i] >= low && (best < 0 || this.t.rank[i] >= this.t.rank[best])) best = i;
    }
    return best;
  }
}
