"use strict";
// The data: see `Page` in schedule_page.rs. A span is
// [unit, instruction, layer or -1, work, first cycle, last cycle, text, steps of a run, runs, pause, gap].
const [UNIT, INSTRUCTION, LAYER, WORK, FIRST, LAST, TEXT, STEPS, RUNS, PAUSE, GAP] = Array(11).keys();
const WORKS = ["matrix", "attention", "vector", "movement"];
const SPENT = { matrix: "#2f6fde", attention: "#8a4fd0", vector: "#e08a1e", waiting: "#9aa3ad" };
const ROW = 26, AXIS = 26;
const $ = (id) => document.getElementById(id);
window.addEventListener("error", (event) => { document.body.dataset.error = event.message; });

const data = JSON.parse($("data").textContent);
const count = (number) => number.toLocaleString("en-US");
const text = (parent, tag, content, className) => {
  const element = document.createElement(tag);
  if (content !== undefined) element.textContent = content;
  if (className) element.className = className;
  parent.append(element);
  return element;
};
// Neighbouring layers differ: each is a golden angle further round the circle.
const colour = (layer) => layer < 0 ? "#8b949e" : `hsl(${(210 + layer * 137.508) % 360} 62% ${layer % 2 ? 46 : 56}%)`;
const layerName = (layer) => layer < 0 ? "no layer" : data.layers[layer].name;

let schedule, view, shown = null, only = null, crossed = null;
const canvas = $("canvas"), pen = canvas.getContext("2d");

document.title = `${data.model}: schedule`;
$("title").textContent = data.model;
data.schedules.forEach((one, index) => { text($("schedules"), "option", one.name).value = index; });
$("choice").hidden = data.schedules.length < 2;
$("schedules").addEventListener("change", (event) => open(Number(event.target.value)));

function open(index) {
  schedule = data.schedules[index];
  $("schedules").value = index;
  view = { from: 0, to: schedule.cycles };
  const time = data.clock_mhz ? `, ${(schedule.cycles / data.clock_mhz).toFixed(2)} µs at ${data.clock_mhz} MHz` : "";
  $("about").textContent = `${data.board} · ${schedule.name} · ${count(schedule.cycles)} cycles${time} · `
    + `${count(schedule.macs)} useful multiplications, ${(100 * schedule.utilisation).toFixed(1)} % of ${data.multipliers} multipliers`;
  const spent = $("spent"), names = $("spent-names");
  spent.replaceChildren();
  names.replaceChildren();
  for (const [name, fill] of Object.entries(SPENT)) {
    const cycles = schedule.cycles_spent[name];
    const part = text(spent, "div");
    part.style.cssText = `flex: ${cycles} 0 0; background: ${fill}`;
    part.title = `${name}: ${count(cycles)} cycles`;
    const key = text(names, "span", undefined, "key");
    text(key, "i").style.background = fill;
    text(key, "span", `${name} ${count(cycles)} (${(100 * cycles / schedule.cycles).toFixed(1)} %)`);
  }
  $("names").replaceChildren();
  const busy = data.units.map(() => 0);
  for (const span of schedule.spans) busy[span[UNIT]] += span[STEPS] * span[RUNS];
  data.units.forEach((unit, row) => {
    const name = text($("names"), "div", unit);
    text(name, "span", `${(100 * busy[row] / schedule.cycles).toFixed(0)} %`).title = "cycles with a step";
  });
  listGaps();
  draw();
}

// The layers as a legend; a click shows one alone.
data.layers.concat([null]).forEach((layer, index) => {
  const number = layer ? index : -1;
  const key = text($("layers"), "button", undefined, "key");
  text(key, "i").style.background = colour(number);
  text(key, "span", layer ? (layer.operator ? `${layer.name} (${layer.operator})` : layer.name) : "no layer");
  key.addEventListener("click", () => {
    only = only === number ? null : number;
    [...$("layers").children].forEach((other) => other.classList.toggle("off", only !== null && other !== key));
    draw();
  });
});

// Idle gaps.
text($("gap-unit"), "option", "all").value = -1;
data.units.forEach((unit, index) => { text($("gap-unit"), "option", unit).value = index; });
// The first unit multiplies: where it is idle, so are the multipliers.
$("gap-unit").value = 0;
$("gap-unit").addEventListener("change", listGaps);
function listGaps() {
  const unit = Number($("gap-unit").value), body = $("gaps").tBodies[0];
  const neighbour = (instruction, of) => {
    const span = schedule.spans.find((span) => span[UNIT] === of && span[INSTRUCTION] === instruction);
    return span ? `instruction ${instruction}, ${layerName(span[LAYER])}` : "";
  };
  body.replaceChildren();
  const gaps = schedule.gaps.filter((gap) => unit < 0 || gap[0] === unit);
  for (const [of, first, last, before, behind] of gaps) {
    const row = text(body, "tr");
    [data.units[of], count(first), count(last), count(last - first + 1),
      before < 0 ? "the start" : neighbour(before, of), behind < 0 ? "the end" : neighbour(behind, of),
    ].forEach((content) => text(row, "td", content));
    row.addEventListener("click", () => { look(first - 20, last + 21); $("chart").scrollIntoView({ block: "center" }); });
  }
  $("gaps-about").textContent = "Cycles in which a unit does nothing between two instructions, the longest first"
    + (schedule.gaps_left_out ? ` (${count(schedule.gaps_left_out)} short ones are left out)` : "") + ". A click shows the place.";
}

function look(from, to) {
  const least = 16, width = Math.min(Math.max(to - from, least), schedule.cycles);
  const start = Math.min(Math.max(0, from + (to - from - width) / 2), schedule.cycles - width);
  view = { from: start, to: start + width };
  draw();
}
const zoom = (factor, at) => look(at - (at - view.from) * factor, at + (view.to - at) * factor);
const place = (cycle) => (cycle - view.from) * canvas.clientWidth / (view.to - view.from);
const cycleAt = (x) => view.from + x * (view.to - view.from) / canvas.clientWidth;

function draw() {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = AXIS + ROW * data.units.length;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  const style = getComputedStyle(document.body), get = (name) => style.getPropertyValue(name);
  pen.fillStyle = get("--row");
  for (let row = 0; row < data.units.length; row += 2) pen.fillRect(0, AXIS + row * ROW, width, ROW);
  const wide = width / (view.to - view.from);
  axis(width, height, get);
  for (const span of schedule.spans) {
    if (span[LAST] < view.from || span[FIRST] > view.to) continue;
    pen.globalAlpha = only === null || only === span[LAYER] ? 1 : 0.12;
    const top = AXIS + span[UNIT] * ROW + 4, high = ROW - 8;
    const box = (first, cycles) => {
      const left = Math.max(place(first), -2), right = Math.min(place(first + cycles), width + 2);
      if (right > left) pen.fillRect(left, top, Math.max(right - left - (wide > 4 ? 1 : 0), 0.6), high);
    };
    pen.fillStyle = colour(span[LAYER]);
    const stride = 1 + span[PAUSE], run = (span[STEPS] - 1) * stride + 1, period = run + span[GAP];
    const whole = span[LAST] - span[FIRST] + 1;
    // The whole instruction pale, its steps in full; steps that are thinner than a pixel as their share of the ink.
    const alpha = pen.globalAlpha;
    pen.globalAlpha = alpha * 0.3;
    box(span[FIRST], whole);
    pen.globalAlpha = alpha;
    if (wide * period < 3) {
      pen.globalAlpha = alpha * (span[STEPS] * span[RUNS] / whole);
      box(span[FIRST], whole);
    } else {
      for (let index = 0; index < span[RUNS]; index += 1) {
        const start = span[FIRST] + index * period;
        if (start + run < view.from || start > view.to) continue;
        if (wide * stride < 3) {
          pen.globalAlpha = alpha / stride;
          box(start, run);
        } else if (stride === 1 && wide < 6) {
          box(start, run);
        } else {
          for (let step = 0; step < span[STEPS]; step += 1) {
            const cycle = start + step * stride;
            if (cycle + 1 >= view.from && cycle <= view.to) box(cycle, 1);
          }
        }
      }
    }
    if (span === shown) {
      pen.globalAlpha = 1;
      pen.strokeStyle = get("--text");
      pen.lineWidth = 1.5;
      pen.strokeRect(place(span[FIRST]) - 1, top - 2, place(span[LAST] + 1) - place(span[FIRST]) + 2, high + 4);
    }
  }
  pen.globalAlpha = 1;
  if (crossed !== null) {
    pen.fillStyle = get("--text");
    pen.globalAlpha = 0.35;
    pen.fillRect(place(crossed + 0.5), AXIS, 1, height);
    pen.globalAlpha = 1;
  }
  $("range").textContent = `cycles ${count(Math.floor(view.from))} to ${count(Math.ceil(view.to) - 1)}`;
}

function axis(width, height, get) {
  const rough = (view.to - view.from) / Math.max(width / 90, 1), power = 10 ** Math.floor(Math.log10(rough));
  const tick = Math.max(1, [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough));
  pen.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  pen.textBaseline = "middle";
  for (let cycle = Math.ceil(view.from / tick) * tick; cycle <= view.to; cycle += tick) {
    const x = place(cycle);
    pen.fillStyle = get("--line");
    pen.fillRect(x, 0, 1, height);
    pen.fillStyle = get("--soft");
    pen.fillText(count(cycle), x + 4, AXIS / 2);
  }
}

function spanAt(row, cycle) {
  // The last one that fits: thin instructions lie above wide ones' ends.
  return schedule.spans.findLast((span) => span[UNIT] === row && span[FIRST] <= cycle && cycle <= span[LAST]);
}

function point(row, cycle, x, y) {
  const span = row >= 0 && row < data.units.length ? spanAt(row, cycle) : undefined;
  const tip = $("tip");
  shown = span || null;
  crossed = row >= 0 && row < data.units.length ? cycle : null;
  tip.hidden = crossed === null;
  if (!tip.hidden) {
    tip.replaceChildren();
    text(tip, "b", span ? `${data.units[row]}, instruction ${span[INSTRUCTION]}` : `${data.units[row]}: idle`);
    if (span) {
      const steps = span[STEPS] * span[RUNS], cycles = span[LAST] - span[FIRST] + 1;
      text(tip, "div", `${layerName(span[LAYER])} · ${WORKS[span[WORK]]}`);
      text(tip, "div", `cycles ${count(span[FIRST])} to ${count(span[LAST])}: ${count(cycles)}, ${count(steps)} with a step · cycle ${count(cycle)}`);
      text(tip, "code", data.texts[span[TEXT]]);
    } else {
      text(tip, "div", `cycle ${count(cycle)}`);
    }
    const chart = $("chart").getBoundingClientRect(), left = canvas.offsetLeft + x + 14;
    tip.style.left = `${Math.max(4, Math.min(left, chart.width - tip.offsetWidth - 6))}px`;
    tip.style.top = `${y + 18 + tip.offsetHeight > chart.height ? Math.max(4, y - tip.offsetHeight - 12) : y + 18}px`;
  }
  draw();
}

let dragged = null;
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    const move = event.deltaX * (view.to - view.from) / canvas.clientWidth;
    look(view.from + move, view.to + move);
  } else {
    zoom(Math.exp(event.deltaY * 0.0015), cycleAt(event.offsetX));
  }
}, { passive: false });
canvas.addEventListener("pointerdown", (event) => {
  dragged = { x: event.offsetX, from: view.from, to: view.to };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (dragged && event.buttons) {
    const move = (dragged.x - event.offsetX) * (dragged.to - dragged.from) / canvas.clientWidth;
    look(dragged.from + move, dragged.to + move);
  } else {
    point(Math.floor((event.offsetY - AXIS) / ROW), Math.floor(cycleAt(event.offsetX)), event.offsetX, event.offsetY);
  }
});
canvas.addEventListener("pointerup", () => { dragged = null; });
canvas.addEventListener("pointerleave", () => { point(-1, 0, 0, 0); });
canvas.addEventListener("dblclick", () => { if (shown) look(shown[FIRST] - 4, shown[LAST] + 5); });
canvas.addEventListener("keydown", (event) => {
  const middle = (view.from + view.to) / 2, step = (view.to - view.from) / 5;
  const actions = {
    "+": () => zoom(0.5, middle), "=": () => zoom(0.5, middle), "-": () => zoom(2, middle), "0": () => look(0, schedule.cycles),
    ArrowLeft: () => look(view.from - step, view.to - step), ArrowRight: () => look(view.from + step, view.to + step),
  };
  if (actions[event.key]) { event.preventDefault(); actions[event.key](); }
});
$("all").addEventListener("click", () => look(0, schedule.cycles));
$("in").addEventListener("click", () => zoom(0.5, (view.from + view.to) / 2));
$("out").addEventListener("click", () => zoom(2, (view.from + view.to) / 2));
window.addEventListener("resize", draw);

// A place in the address: #schedule=2&from=100&to=200&unit=3&cycle=150.
const start = new URLSearchParams(location.hash.slice(1));
const number = (name) => start.has(name) && Number.isFinite(Number(start.get(name))) ? Number(start.get(name)) : null;
open(Math.min(number("schedule") ?? data.first, data.schedules.length - 1));
if (number("to") !== null) look(number("from") ?? 0, number("to"));
if (number("cycle") !== null) {
  const row = number("unit") ?? 0;
  point(row, number("cycle"), place(number("cycle")), AXIS + (row + 0.5) * ROW);
}
document.body.dataset.ready = "true";
