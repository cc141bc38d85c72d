// report.html: filters, table and downloads. The data are in the page; nothing is fetched.
// charts.js follows in the same script.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const space = byId("drawing").namespaceURI;
const form = byId("filters");
const MB = 1e6;
const HEIGHT = 250, TALL = 340, WIDEST = 880, LEFT = 44, RIGHT = 14, TOP = 10, BOTTOM = 42, REACH = 36, NARROW = 768; // pixels
const INK = { "#000000": "var(--ink)", "#222222": "var(--ink)", "#999999": "var(--grey)" }; // shades that a dark page inverts
const SHAPES = { // in a square of side 10
  o: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z", s: "M-4 -4h8v8h-8z", "^": "M0 -5L5 4H-5z", v: "M0 5L5 -4H-5z",
  D: "M0 -5.5L5.5 0L0 5.5L-5.5 0z", P: "M-1.7 -5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
  X: "M-4.6 -2.6L-2.6 -4.6L0 -2L2.6 -4.6L4.6 -2.6L2 0L4.6 2.6L2.6 4.6L0 2L-2.6 4.6L-4.6 2.6L-2 0z",
  "*": "M0 -6L1.5 -2H5.7L2.4 .7L3.5 5L0 2.4L-3.5 5L-2.4 .7L-5.7 -2H-1.5z",
  "<": "M-5 0L4 -5V5z", "": "M-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0z",
};
let order = null; // the table's: {column, down}

// ---------------------------------------------------------------- small helpers
function put(parent, node, attributes, text) {
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}
const html = (parent, tag, attributes, text) => put(parent, document.createElement(tag), attributes, text);
const svg = (parent, tag, attributes, text) => put(parent, document.createElementNS(space, tag), attributes, text);
function breakable(node, text) {
  text.split(/(?<=,)/).forEach((part, i) => node.append(...(i ? [document.createElement("wbr"), part] : [part])));
}
const ink = (line) => INK[line.color] || line.color;
const megabytes = (bytes) => (bytes ? `${+(bytes / MB).toPrecision(3)} MB` : "no memory");
const distinct = (values) => [...new Set(values)];
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return a < b ? -1 : a > b ? 1 : 0;
}
function grouped(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = JSON.stringify(key(item));
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups;
}
function moments(values) {
  const present = values.filter((value) => value !== null && value !== undefined);
  const n = present.length;
  const mean = present.reduce((sum, value) => sum + value, 0) / n;
  const squares = present.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { n, mean, std: n > 1 ? Math.sqrt(squares / (n - 1)) : 0, present };
}
function number(value, digits) {
  const [whole, rest] = value.toFixed(digits).split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest === undefined ? "" : `.${rest}`);
}
const percent = (m) => `${number(m.mean, 1)}${m.n > 1 ? ` ± ${number(m.std, 1)}` : ""} %`;

// ---------------------------------------------------------------- filters
function chosen() {
  const sets = {};
  for (const box of form.querySelectorAll("input[name]")) {
    sets[box.name] = sets[box.name] || new Set();
    if (box.checked) sets[box.name].add(box.value);
  }
  return sets;
}
function passes(run, sets) {
  return Object.entries(sets).every(([facet, values]) => {
    const value = run[facet];
    const lacks = value === "" && facet !== "options"; // a run without memory has no format, a damaged run may lack any value
    return lacks || values.has(String(value));
  });
}
const copies = data.also.map(([i, size, tried]) => ({ ...data.runs[i], memory_bytes: size, tried }));

// ---------------------------------------------------------------- table
function tableRows(runs) {
  const facets = data.facets.filter((facet) => facet !== "seed" && facet !== "class_order");
  const rows = [];
  for (const group of grouped(runs, (run) => facets.map((facet) => run[facet])).values()) {
    const first = group[0];
    const row = { order: facets.map((facet) => first[facet]), cells: [] };
    for (const column of data.columns) row.cells.push(cell(column, group, first));
    rows.push(row);
  }
  rows.sort((a, b) => {
    for (let i = 0; i < a.order.length; i++) {
      const sign = compare(a.order[i], b.order[i]);
      if (sign) return sign;
    }
    return 0;
  });
  if (order) {
    const sign = order.down ? -1 : 1;
    const value = (row) => row.cells[order.column].value;
    const missing = (v) => v === null || v === "";
    rows.sort((a, b) => missing(value(a)) - missing(value(b)) || sign * compare(value(a), value(b)));
  }
  return rows;
}
function cell(column, group, first) {
  if (column.key === "seeds") {
    const seeds = distinct(group.map((run) => run.seed)).length;
    return { value: seeds, text: String(seeds) };
  }
  if (column.key === "class orders") {
    const orders = distinct(group.map((run) => run.class_order)).length;
    return { value: orders, text: String(orders) };
  }
  if (column.key === "memory_bytes") {
    return { value: first.memory_bytes, text: String(+(first.memory_bytes / MB).toPrecision(4)) };
  }
  if (!column.number) return { value: first[column.key], text: first[column.key] || "–" };
  const blank = !first.memory_bytes && (column.key === "exemplars" || column.key === "bytes_per_exemplar");
  const m = moments(blank ? [] : group.map((run) => run.values[column.key]));
  if (!m.n) return { value: null, text: "–" };
  const f = column.factor;
  const spread = m.n > 1 && (column.digits > 0 || distinct(m.present).length > 1);
  const text = number(m.mean * f, column.digits) + (spread ? ` ± ${number(m.std * f, column.digits)}` : "");
  return { value: m.mean, text };
}
function drawTable(runs) {
  const body = byId("summary").tBodies[0];
  const headings = [...byId("summary").tHead.rows[0].cells];
  const right = headings.map((heading) => heading.classList.contains("number"));
  const rows = tableRows(runs);
  body.replaceChildren();
  for (const row of rows) {
    const line = html(body, "tr");
    row.cells.forEach((entry, i) => {
      const td = html(line, "td", { "data-name": headings[i].textContent, ...(right[i] ? { class: "number" } : {}) });
      if (right[i]) td.textContent = entry.text;
      else breakable(td, entry.text);
    });
  }
  return rows.length;
}
function sortable() {
  [...byId("summary").tHead.rows[0].cells].forEach((heading, column) => {
    const text = heading.textContent;
    heading.textContent = "";
    heading.setAttribute("aria-sort", "none");
    html(heading, "button", { type: "button" }, text).addEventListener("click", () => {
      order = { column, down: order !== null && order.column === column && !order.down };
      for (const other of heading.parentNode.cells) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      draw();
    });
  });
}

// ---------------------------------------------------------------- the page
function draw() {
  show(null);
  const sets = chosen(), tried = byId("tried").checked;
  const done = data.runs.filter((run) => run.done);
  const runs = done.filter((run) => passes(run, sets));
  const drawn = [...runs, ...copies.filter((run) => passes(run, sets))].filter((run) => tried || !run.tried);
  const rows = drawTable(runs);
  drawCharts(drawn);
  const words = [`${runs.length} of ${plural(done.length, "finished run")} chosen`, `${plural(rows, "row")} in the table.`];
  byId("status").textContent = words.join(", ");
  for (const details of document.querySelectorAll(".run")) details.hidden = !passes(data.runs[details.dataset.run], sets);
}
function downloads() {
  for (const link of document.querySelectorAll("a[data-image]")) {
    link.href = link.closest("figure").querySelector("img").src;
    link.hidden = false;
  }
  if (!window.DecompressionStream) return;
  for (const link of document.querySelectorAll("a[download$='.svgz']")) {
    const bytes = Uint8Array.from(atob(link.href.split(",")[1]), (letter) => letter.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    new Response(plain, { headers: { "Content-Type": "image/svg+xml" } }).blob().then((file) => {
      link.href = URL.createObjectURL(file);
      link.download = link.download.replace(/z$/, "");
    });
  }
}
function start() {
  if (form) startCharts();
  downloads();
  document.addEventListener("keydown", (event) => event.key === "Escape" && show(null));
  document.addEventListener("click", (event) => {
    const target = event.target.closest('a[href^="#"]');
    const part = target && byId(target.hash.slice(1));
    if (part && part.tagName === "DETAILS") part.open = true;
  });
}
function startCharts() {
  form.hidden = false;
  form.querySelector("details").open = innerWidth >= NARROW;
  byId("charts").hidden = false;
  byId("tried-label").hidden = ![...data.runs, ...copies].some((run) => run.tried);
  sortable();
  form.addEventListener("change", draw);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("click", (event) => {
    const { all, reset } = event.target.dataset;
    if (all === undefined && reset === undefined) return;
    if (reset !== undefined) form.reset();
    else for (const box of event.target.closest("fieldset").querySelectorAll("input[name]")) box.checked = Boolean(all);
    draw();
  });
  byId("time-values").addEventListener("toggle", () => byId("time-values").open && drawValues());
  let waiting = 0;
  let wide = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === wide) return;
    wide = innerWidth;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(draw);
  });
  draw();
}
