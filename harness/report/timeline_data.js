// The data of the timeline, made ready: each operation has a place in columns that are sorted by the time of its call.
//
//     place        0     1     2     3                   rank: how grave it is; the gravest of many that fall on one
//     start       120   470   488   …    in microseconds         pixel gives it its colour
//     end         930  2570   …          or when its client gave up, or the end of the run
//     row           0     1     0           of those that are drawn now; -1: it is not
//
// harness/report/timeline.py writes what is read here. Nothing here knows of the page, but for the texts it will show.
"use strict";

const READ = 0, WRITE = 1, INFO = 2, FAIL = 3, STALE = 4, LOST = 5, PROOF = 6;
const OUTCOME = { o: "ok", f: "fail", i: "info" };
const MEANING = { o: "it took effect", f: "it surely had no effect", i: "nobody knows whether it took effect, or when" };

function readTimeline(data) {
  const ops = data.ops, count = ops.index.length, us = data.unit_ns / 1000, last = data.end * us;
  const start = new Float64Array(count), end = new Float64Array(count), index = new Float64Array(count);
  const lane = new Uint32Array(count), rank = new Uint8Array(count);
  const place = new Map(); // index in the history -> place in the columns
  for (let i = 0, at = 0, number = 0; i < count; i++) {
    at += ops.start[i];
    start[i] = at * us;
    index[i] = number += ops.index[i];
    end[i] = ops.took[i] < 0 ? last : (at + ops.took[i]) * us;
    lane[i] = ops.lane[i];
    rank[i] = { o: ops.functions[ops.f[i]] === "read" ? READ : WRITE, f: FAIL, i: INFO }[ops.outcome[i]];
    place.set(number, i);
  }
  const stale = new Set(data.stale.map((number) => place.get(number)));
  const proof = data.core.map((number) => place.get(number)), proven = new Set(proof);
  const lost = new Set(data.lost.map((number) => place.get(number)));
  for (const i of stale) rank[i] = STALE;
  for (const i of lost) rank[i] = LOST;
  for (const i of proof) rank[i] = PROOF;
  const faults = data.faults.map((fault) => ({ ...fault, start: fault.start * us, end: fault.end * us }));
  const nodes = data.lanes.map((name) => name.split(" → ")[1] ?? ""); // of each lane of a client
  return { data, ops, count, nodes, row: new Int32Array(count).fill(-1), unit: us, faults, last, least: Math.min(20 * us, last), start, end, index, lane, rank, place, stale, lost, proof, proven, errors: new Map(ops.error), keys: ops.keys.map(visible) };
}

// What a user's choice lets through, in rows that are not empty, each a list of places in order of time. A client has one row; a node or a key
// has as many as there are operations at a time, for in a row none may hide another.
//
//     n1   ▬▬▬▬▬   ▬▬▬ ▬▬▬▬▬▬       each operation in the first row that is free when it is called
//            ▬▬▬▬▬▬▬  ▬▬
//     n2   ▬▬▬  ▬▬▬▬▬▬
function filtered(t, wanted) {
  const key = wanted.key === "" ? null : t.ops.keys.indexOf(wanted.key);
  const f = wanted.f === "" ? null : t.ops.functions.indexOf(wanted.f);
  const text = wanted.text.trim().toLowerCase();
  const lets = {
    "": () => true, stale: (i) => t.stale.has(i), lost: (i) => t.lost.has(i), proof: (i) => t.proven.has(i),
    o: (i) => t.ops.outcome[i] === "o", f: (i) => t.ops.outcome[i] === "f", i: (i) => t.ops.outcome[i] === "i",
  }[wanted.outcome];
  const by = wanted.by ?? "client", { of, order, name } = LANES[by](t), lanes = new Map(order.map((each) => [each, []]));
  for (let i = 0; i < t.count; i++) {
    if (wanted.client !== "" && t.lane[i] !== +wanted.client) continue;
    if ((key !== null && t.ops.key[i] !== key) || (f !== null && t.ops.f[i] !== f) || !lets(i)) continue;
    if (text && !`#${t.index[i]} ${words(t, i)} ${errorOf(t, i)}`.toLowerCase().includes(text)) continue;
    lanes.get(of(i)).push(i);
  }
  const used = [...lanes].filter(([, ops]) => ops.length);
  return by === "client" ? used.map(([each, ops]) => ({ name: name(each), ops, levels: new Map() })) : used.flatMap(([each, ops]) => stacked(t, name(each), ops)); // levels: timeline_levels.js
}

// The lane of an operation, the lanes from top to bottom, and their names. Keys of the proof stand first.
const natural = (texts) => texts.map((text, n) => [text, n]).sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true })).map(([, n]) => n);
const LANES = {
  client: (t) => ({ of: (i) => t.lane[i], order: t.data.lanes.map((_, n) => n), name: (n) => t.data.lanes[n] }),
  node: (t) => ({ of: (i) => t.nodes[t.lane[i]], order: [...new Set(t.nodes)].sort((a, b) => a.localeCompare(b, "en", { numeric: true })), name: (node) => node }),
  key: (t) => ({ of: (i) => t.ops.key[i], order: [...new Set([...t.proof.map((i) => t.ops.key[i]), ...natural(t.ops.keys), -1])], name: (n) => (n < 0 ? "no key" : `key ${t.keys[n]}`) }),
};

function stacked(t, name, ops) {
  const rows = [];
  for (const i of ops) {
    let row = rows.find((each) => each.until <= t.start[i]);
    if (!row) rows.push(row = { name: rows.length ? "" : name, begins: !rows.length, ops: [], levels: new Map() });
    row.ops.push(i);
    row.until = t.end[i];
  }
  return rows;
}

// The first place in a lane whose start is not before this time.
function notBefore(t, list, time) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (t.start[list[middle]] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Where to begin so as to miss nothing that reaches over `from`: two before, for a client may go on before a call of its is given up.
const firstInView = (t, list, from) => Math.max(0, notBefore(t, list, from) - 2);

// How many operations are in view, and the first of them, no more than `most` of a row.
function inView(t, rows, from, to, most) {
  const first = [];
  let all = 0;
  for (const { ops } of rows) {
    const last = notBefore(t, ops, to);
    let taken = 0, k = firstInView(t, ops, from);
    for (; k < last && (taken < most || t.start[ops[k]] < from); k++) if (t.end[ops[k]] >= from && ++taken <= most) first.push(ops[k]);
    all += taken + last - k;
  }
  return { all, first: first.sort((a, b) => a - b).slice(0, most) };
}

// The lines of logs from a second before an operation to a second after it: how many, and the nearest, in order.
function logsNear(t, i, most) {
  const us = t.data.unit_ns / 1000, second = 1e6;
  const far = (at) => Math.max(t.start[i] - at, at - t.end[i], 0);
  const found = t.data.logs.map(([at, node, text]) => [at * us, node, text]).filter(([at]) => far(at) <= second);
  const nearest = [...found].sort((a, b) => far(a[0]) - far(b[0])).slice(0, most);
  return { all: found.length, lines: nearest.sort((a, b) => a[0] - b[0]) };
}

// ---- in words -----------------------------------------------------------------------------------------------------------

// A stranger's text on one line: breaks and marks that turn the direction are written out; what is written from right to left is an island of its own,
// so that it turns nothing around it (harness/report/text.py does the same for what Python draws).
const UNSEEN = /[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb]/g;
const RIGHT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc](?:[^A-Za-z]*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc])?/g;
const SHORT = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };
const visible = (text) => text.replace(UNSEEN, (c) => SHORT[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`).replace(RIGHT, "\u2068$&\u2069");

const errorOf = (t, i) => (t.errors.has(i) ? visible(t.ops.errors[t.errors.get(i)]) : "");

function words(t, i) {
  const f = t.ops.functions[t.ops.f[i]], value = t.ops.value[i];
  const key = t.ops.key[i] < 0 ? "" : " " + t.keys[t.ops.key[i]];
  return `${visible(f)}${key} ${value === "?" || f === "read" ? "→" : "="} ${value === null ? "nothing" : typeof value === "number" ? value : visible(value)}`;
}

const NUMBERS = [0, 1, 2, 3].map((digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));

// A time; `span` says how finely.
function clock(us, span) {
  const [unit, each, digits] = span < 2 ? ["ns", 1e-3, 0] : span < 2e3 ? ["µs", 1, 0] : span < 2e6 ? ["ms", 1e3, span < 2e4 ? 3 : 1] : ["s", 1e6, span < 2e7 ? 3 : 1];
  return `${NUMBERS[digits].format(us / each)} ${unit}`;
}

const outcomeWords = (t, i) => OUTCOME[t.ops.outcome[i]] + (t.stale.has(i) ? ", stale" : "") + (t.lost.has(i) ? ", lost" : "") + (t.proven.has(i) ? ", in the proof" : "");
const endWords = (t, i, span) => (t.ops.outcome[i] === "i" ? "unknown" : clock(t.end[i], span));

// Who held the key of an operation when it was called, and where it was going; null: not known.
function holders(t, i) {
  const ring = t.data.ring, partition = ring && t.ops.key[i] >= 0 ? ring.partitions[t.ops.key[i]] : -1;
  if (partition < 0) return null;
  const stage = ring.stages.findLast(([from]) => from * t.unit <= t.start[i]) ?? ring.stages[0];
  const [now, goes] = stage[2][partition];
  return `${now} (partition ${partition})${stage[1] ? `; ${stage[1]} under way${goes ? `, to ${goes}` : ""}` : ""}`;
}

// Everything that is known of an operation, as names and values.
function facts(t, i) {
  const outcome = t.ops.outcome[i], took = clock(t.end[i] - t.start[i], t.end[i] - t.start[i]), fine = t.data.unit_ns === 1 ? 1 : 1e4;
  const during = t.faults.filter((fault) => fault.bit && fault.start <= t.end[i] && fault.end >= t.start[i]);
  const held = holders(t, i), waited = t.ops.took[i] < 0 ? "unknown: nothing was recorded" : `unknown: its client stopped waiting after ${took}`;
  return [
    ["operation", `#${t.index[i]}: ${words(t, i)}`],
    ["client", `process ${t.ops.process[i]}, ${t.data.lanes[t.lane[i]]}`],
    ["outcome", `${OUTCOME[outcome]}: ${MEANING[outcome]}`],
    ["called at", clock(t.start[i], fine)],
    outcome === "i" ? ["ended at", waited] : ["returned at", `${clock(t.end[i], fine)}, after ${took}`],
    ...(errorOf(t, i) ? [["error", errorOf(t, i)]] : []),
    ...(t.stale.has(i) ? [["stale", "surely: a newer value had been acknowledged before this read began"]] : []),
    ...(t.lost.has(i) ? [["lost", "it was acknowledged, and each read of its key at the end is surely older"]] : []),
    ...(t.proven.has(i) ? [["proof", "one of the operations that cannot all be true"]] : []),
    ...(held ? [["held by", held]] : []),
    ["faults meanwhile", during.map((fault) => `${fault.kind} ${fault.nodes}`).join("; ") || "none"],
  ];
}
