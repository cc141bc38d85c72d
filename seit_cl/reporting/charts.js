// Charts of report.html: lines over memory and experiences, with values on hover and focus.
// The script continues report.js.
// ---------------------------------------------------------------- charts
function setting(run) { return [run.dataset, run.scenario, run.strategy]; }
function panelsOf(runs) {
  const rows = [...grouped(runs.filter((run) => run.memory_bytes), setting).keys()].sort().map((key) => JSON.parse(key));
  if (rows.length) return rows;
  return [...grouped(runs, (run) => [run.dataset, run.scenario, ""]).keys()].sort().map((key) => JSON.parse(key));
}
const within = (run, row) => run.dataset === row[0] && run.scenario === row[1] && (!run.memory_bytes || run.strategy === row[2]);
function title(row, rows) {
  return row.filter((_, i) => distinct(rows.map((other) => other[i])).length > 1).join(", ");
}
function memoryLines(runs, metric) {
  const lines = [];
  for (const [key, group] of grouped(runs, (run) => run.line)) {
    const line = data.lines[+key];
    if (!group[0].memory_bytes) {
      if (metric === "average_incremental_accuracy" && group.every((run) => run.once)) continue;
      const m = moments(group.map((run) => (run.values[metric] === null ? null : 100 * run.values[metric])));
      if (m.n) lines.push({ line, level: m, points: [] });
      continue;
    }
    const sizes = distinct(group.map((run) => run.memory_bytes)).sort(compare);
    const points = sizes.map((size) => {
      const sameSize = group.filter((run) => run.memory_bytes === size);
      const exemplars = moments(sameSize.map((run) => run.values.exemplars));
      const ends = sameSize.map((run) => (run.values[metric] === null ? null : 100 * run.values[metric]));
      return { x: size, ...moments(ends), more: `, ${number(exemplars.mean, 0)} exemplars` };
    }).filter((point) => point.n);
    if (points.length) lines.push({ line, points });
  }
  return inOrder(lines);
}
function timeLines(runs) {
  const lines = [];
  for (const [key, group] of grouped(runs, (run) => run.line)) {
    const line = data.lines[+key];
    const experiences = Math.max(...group.map((run) => run.curve.length));
    const points = [];
    for (let t = 0; t < experiences; t++) {
      const m = moments(group.map((run) => run.curve[t]));
      if (m.n) points.push({ x: t + 1, ...m, more: "" });
    }
    const level = !group[0].memory_bytes && points.length === 1;
    if (points.length) lines.push(level ? { line, level: points[0], points: [] } : { line, points });
  }
  return inOrder(lines);
}
const inOrder = (lines) => lines.sort((a, b) => data.lines.indexOf(a.line) - data.lines.indexOf(b.line));

function drawCharts(runs) {
  const metric = byId("metric").value;
  const rows = panelsOf(runs);
  const memory = byId("memory-chart"), time = byId("time-chart");
  const panels = [], later = [];
  for (const row of rows) {
    const inRow = runs.filter((run) => within(run, row));
    const sizes = distinct(inRow.map((run) => run.memory_bytes).filter((size) => size)).sort(compare);
    if (sizes.length) panels.push({ title: title(row, rows), sizes, lines: memoryLines(inRow, metric) });
    for (const size of sizes.length ? sizes : [0]) {
      const name = [title(row, rows), megabytes(size)].filter((part) => part).join(", ");
      later.push({ title: name, lines: timeLines(inRow.filter((run) => !run.memory_bytes || run.memory_bytes === size)) });
    }
  }
  const word = byId("metric").selectedOptions[0].text;
  fill(memory, panels, { y: `${word} (%)`, x: "memory budget (MB, log scale)", log: true }, (x) => megabytes(x));
  fill(time, later, { y: "accuracy (%)", x: "experiences learnt", log: false }, (x) => `after ${plural(x, "experience")}`);
  if (!panels.length) html(memory, "p", {}, "No run with a memory is chosen.");
  const shown = new Set([...panels, ...later].flatMap((panel) => panel.lines.map((entry) => entry.line)));
  drawLegend(data.lines.filter((line) => shown.has(line)));
  lastTime = later;
  if (byId("time-values").open) drawValues();
}
let lastTime = [];
function stroke(line) {
  return { stroke: ink(line), "stroke-width": line.marker ? 2 : 1.5, "stroke-dasharray": line.dash };
}

function drawLegend(lines) {
  const legend = byId("legend");
  legend.replaceChildren();
  for (const line of lines) {
    const item = html(legend, "li");
    const picture = svg(item, "svg", { viewBox: "0 0 42 14", "aria-hidden": "true" });
    svg(picture, "line", { x1: 1, x2: 41, y1: 7, y2: 7, ...stroke(line) });
    const d = SHAPES[line.marker] || SHAPES.o;
    if (line.marker) svg(picture, "path", { d, transform: "translate(21 7)", fill: ink(line) });
    breakable(html(item, "span"), line.label);
  }
}

function fill(parent, panels, axes, place) {
  parent.replaceChildren();
  const entries = panels.flatMap((panel) => panel.lines);
  const marks = entries.flatMap((entry) => [...entry.points, ...(entry.level ? [entry.level] : [])]);
  const top = scaleTop(Math.max(1, ...marks.map((mark) => mark.mean + mark.std)));
  const boxes = panels.map((panel) => {
    const box = html(parent, "div", { class: "panel" });
    if (panel.title) html(box, "h4", {}, panel.title);
    return box;
  });
  boxes.forEach((box, i) => drawPanel(box, panels[i], axes, top, place)); // boxes are made first, since their number decides their width
}
function scaleTop(high) {
  const step = high > 50 ? 20 : high > 20 ? 10 : high > 8 ? 5 : high > 4 ? 2 : 1;
  return { step, top: Math.min(100, Math.ceil(high / step) * step) };
}
function drawPanel(box, panel, axes, scale, place) {
  const width = Math.max(240, Math.min(box.clientWidth || 600, WIDEST));
  const height = width > WIDEST / 2 + 160 ? TALL : HEIGHT;
  const picture = svg(box, "svg", {
    viewBox: `0 0 ${width} ${height}`, role: "group",
    "aria-label": [axes.y, panel.title, plural(panel.lines.length, "line")].filter((part) => part).join(", "),
  });
  const xs = distinct(panel.lines.flatMap((entry) => entry.points.map((point) => point.x))).concat(panel.sizes || []);
  const low = Math.min(...xs), high = Math.max(...xs), right = width - RIGHT - (axes.log ? 0 : 4);
  const at = (value) => (axes.log ? Math.log(value) : value);
  const pad = low === high ? 1 : axes.log ? Math.log(high / low) * 0.05 : (high - low) * 0.04;
  const x = (value) => LEFT + ((at(value) - at(low) + pad) / (at(high) - at(low) + 2 * pad)) * (right - LEFT);
  const y = (value) => height - BOTTOM - (Math.max(0, Math.min(value, scale.top)) / scale.top) * (height - BOTTOM - TOP);
  drawAxes(picture, { xs: distinct(xs).sort(compare), x, y, right, height, scale, axes });
  const marks = [];
  for (const entry of panel.lines) {
    if (entry.level) drawLevel(picture, entry, y, right);
    else drawLine(picture, entry, x, y, axes.log);
  }
  for (const entry of panel.lines) {
    const { line, level, points } = entry;
    if (level) marks.push(mark(picture, line, right, y(level.mean), spoken(line, "", level)));
    for (const point of points) marks.push(mark(picture, line, x(point.x), y(point.mean), spoken(line, place(point.x), point)));
  }
  explain(picture, marks, width);
}
function spoken(line, where, m) {
  return `${line.label}${where ? `, ${where}` : ""}: ${percent(m)}, ${plural(m.n, data.replicate)}${m.more || ""}`;
}

function drawAxes(picture, { xs, x, y, right, height, scale, axes }) {
  for (let value = 0; value <= scale.top; value += scale.step) {
    svg(picture, "line", { class: "grid", x1: LEFT, x2: right, y1: y(value), y2: y(value) });
    svg(picture, "text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, String(value));
  }
  let last = -Infinity;
  const gap = axes.log ? 38 : 22;
  for (const value of xs) {
    if (!Number.isInteger(value) || x(value) - last < gap) continue;
    last = x(value);
    const text = axes.log ? String(+(value / MB).toPrecision(3)) : String(value);
    svg(picture, "text", { x: last, y: height - BOTTOM + 17, "text-anchor": "middle" }, text);
  }
  svg(picture, "text", { x: (LEFT + right) / 2, y: height - 7, "text-anchor": "middle" }, axes.x);
  const turned = `translate(12 ${(TOP + height - BOTTOM) / 2}) rotate(-90)`;
  svg(picture, "text", { transform: turned, "text-anchor": "middle" }, axes.y);
}
function drawLevel(picture, entry, y, right) {
  const height = y(entry.level.mean);
  svg(picture, "line", { x1: LEFT, x2: right, y1: height, y2: height, ...stroke(entry.line) });
}
function drawLine(picture, entry, x, y, bars) {
  const color = ink(entry.line), points = entry.points;
  const path = (list) => list.map(([a, b], i) => `${i ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("");
  if (!bars && points.some((point) => point.std)) {
    const upper = points.map((point) => [x(point.x), y(point.mean + point.std)]);
    const lower = points.map((point) => [x(point.x), y(point.mean - point.std)]).reverse();
    svg(picture, "path", { d: `${path([...upper, ...lower])}z`, fill: color, opacity: 0.16 });
  }
  for (const point of bars ? points.filter((each) => each.std) : []) {
    const [a, low, high] = [x(point.x), y(point.mean - point.std), y(point.mean + point.std)];
    const d = `M${a} ${low}V${high}M${a - 3} ${low}h6M${a - 3} ${high}h6`;
    svg(picture, "path", { d, stroke: color, "stroke-width": 1.3, fill: "none" });
  }
  svg(picture, "path", { d: path(points.map((point) => [x(point.x), y(point.mean)])), fill: "none", ...stroke(entry.line) });
}
function mark(picture, line, x, y, words) {
  const transform = `translate(${x.toFixed(1)} ${y.toFixed(1)})`;
  const node = svg(picture, "g", { class: "mark", role: "img", tabindex: -1, "aria-label": words, transform });
  svg(node, "circle", { class: "ring", r: 9 });
  svg(node, "path", { d: SHAPES[line.marker] || SHAPES.o, fill: ink(line) });
  return { node, line, x, y, words };
}

// ---------------------------------------------------------------- values on hover and focus
const tip = byId("tip");
let current = null;
function show(entry) {
  if (current) current.node.classList.remove("on");
  current = entry;
  tip.hidden = !entry;
  if (!entry) return;
  entry.node.classList.add("on");
  tip.textContent = entry.words;
  const spot = entry.node.getBoundingClientRect();
  const last = document.documentElement.clientWidth - tip.offsetWidth - 4;
  const left = Math.max(4, Math.min(spot.left + spot.width / 2 - tip.offsetWidth / 2, last));
  const above = spot.top - tip.offsetHeight - 8;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above < 0 ? spot.bottom + 8 : above) + scrollY}px`;
}
function explain(picture, marks, width) {
  if (!marks.length) return;
  marks[0].node.setAttribute("tabindex", 0); // one stop for Tab; arrow keys go to the others
  const nearest = (event) => {
    const box = picture.getBoundingClientRect(), scale = width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    const far = (entry) => Math.hypot(entry.x - x, entry.y - y);
    const best = marks.reduce((a, b) => (far(b) < far(a) ? b : a));
    return far(best) < REACH ? best : null;
  };
  for (const kind of ["pointermove", "pointerdown"]) picture.addEventListener(kind, (event) => show(nearest(event)));
  picture.addEventListener("pointerleave", () => show(null));
  // on the box, since Chromium takes an SVG element that listens to focus for a stop of its own
  const box = picture.parentNode;
  box.addEventListener("focusin", (event) => {
    const entry = marks.find((each) => each.node === event.target);
    if (!entry) return;
    for (const each of marks) each.node.setAttribute("tabindex", each === entry ? 0 : -1);
    show(entry);
  });
  box.addEventListener("focusout", () => show(null));
  picture.addEventListener("keydown", (event) => {
    const next = neighbour(marks, marks.findIndex((each) => each.node === event.target), event.key);
    if (!next) return;
    event.preventDefault();
    next.node.focus();
  });
}
function neighbour(marks, i, key) {
  if (i < 0) return null;
  if (key === "Home") return marks[0];
  if (key === "End") return marks[marks.length - 1];
  if (key === "ArrowRight" || key === "ArrowLeft") return marks[i + (key === "ArrowRight" ? 1 : -1)];
  if (key !== "ArrowDown" && key !== "ArrowUp") return null;
  const lines = distinct(marks.map((each) => each.line));
  const line = lines[lines.indexOf(marks[i].line) + (key === "ArrowDown" ? 1 : -1)];
  const onLine = marks.filter((each) => each.line === line);
  return onLine.length ? onLine.reduce((a, b) => (Math.abs(b.x - marks[i].x) < Math.abs(a.x - marks[i].x) ? b : a)) : null;
}
function drawValues() {
  const box = byId("time-values").querySelector("div");
  box.replaceChildren();
  const table = html(box, "table");
  html(table, "caption", {}, `Accuracy on the classes seen so far, percent: mean ± standard deviation over ${data.replicate}s`);
  const steps = Math.max(0, ...lastTime.flatMap((panel) => panel.lines.flatMap((entry) => entry.points.map((point) => point.x))));
  const head = html(html(table, "thead"), "tr");
  for (const text of ["panel", "line"]) html(head, "th", { scope: "col" }, text);
  for (let t = 1; t <= steps; t++) html(head, "th", { scope: "col", class: "number" }, `after ${t}`);
  const body = html(table, "tbody");
  for (const panel of lastTime) {
    for (const entry of panel.lines) {
      const row = html(body, "tr");
      html(row, "td", {}, panel.title || "all");
      html(row, "th", { scope: "row" }, entry.line.label);
      const values = new Map(entry.level ? [[steps, entry.level]] : entry.points.map((point) => [point.x, point]));
      for (let t = 1; t <= steps; t++) {
        html(row, "td", { class: "number" }, values.has(t) ? percent(values.get(t)).slice(0, -2) : "–");
      }
    }
  }
}

