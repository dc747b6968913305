// Draws every chart of the page in its colours and width. Text and lines take the page's colour, so that light, dark
// and print need no second drawing. One iteration can be chosen, and all charts and tables mark it; of an interval of
// iterations the charts show that alone, but for the accuracies, which mark it.
const CLOCKS = JSON.parse(document.getElementById("clocks").textContent);
const MOMENTS = JSON.parse(document.getElementById("moments").textContent);
const clock = document.getElementById("clock");
const log = document.getElementById("log");
const slider = document.getElementById("at");
const NONE = -1;
const ends = [document.getElementById("from"), document.getElementById("to")];
const EVERYTHING = [NONE, 1e9];
const drawn = new Map(); // chart to its view and the iterations in it
let chosen = null; // a moment, or null for all iterations
let interval = EVERYTHING; // the first and the last iteration shown

// The chart's specification with another clock on its horizontal axis.
function along(spec) {
  if (Array.isArray(spec)) return spec.map(along);
  if (!spec || typeof spec !== "object") return spec;
  if (spec.layer && clock.value !== "iteration") spec = { ...spec, layer: spec.layer.filter((part) => !units(part).some(placed)) };
  if (spec.field === "iteration" && spec.type === "quantitative" && "title" in spec) {
    const changed = { ...spec, field: clock.value, title: CLOCKS[clock.value] };
    if (clock.value !== "iteration") changed.axis = { format: "~s", tickCount: 6 };
    if (log.checked) changed.scale = { ...spec.scale, type: "symlog" };
    return changed;
  }
  return Object.fromEntries(Object.entries(spec).map(([key, value]) => (key === "datasets" ? [key, value] : [key, along(value)])));
}

function units(spec) {
  return spec.layer ? spec.layer.flatMap(units) : [spec];
}

// Whether a mark stands at iterations that have no other clock: an event or a level of the curriculum.
function placed(unit) {
  return ["at", "from"].includes(unit.encoding?.x?.field);
}

// A unit over iterations with nothing but the interval in it.
function cut(unit) {
  const { field, scale } = unit.encoding?.x ?? {};
  const within = (name) => ({ calculate: `clamp(datum.${name}, first - 0.5, last + 0.5)`, as: name });
  if (scale?.domain) {
    const [least, most] = scale.domain;
    unit.encoding.x.scale = { nice: false, zero: false, domainMin: { expr: `max(${least}, first)` }, domainMax: { expr: `min(${most}, last + 1)` } };
    unit.mark.clip = true;
  } else if (field === "from") unit.transform = [...(unit.transform ?? []), within("from"), within("to")];
  else if (field === "iteration" || field === "step" || field in CLOCKS) unit.transform = [{ filter: "first <= datum.iteration && datum.iteration <= last" }, ...(unit.transform ?? [])];
}

// The horizontal axis over iterations that a rule can be drawn on; null where a chart has none.
function iterations(spec) {
  const axes = units(spec).map((unit) => unit.encoding?.x).filter((x) => x?.type === "quantitative");
  return axes.find((x) => Object.values(CLOCKS).includes(x.title)) ?? null;
}

// The chart with a mark of the chosen iteration: a rule on an axis of numbers, fainter bars beside it, a frame around
// cells, whose colour is read.
function linked(spec, picks) {
  const changed = structuredClone(spec);
  const { first } = extent(changed);
  changed.params = [...(changed.params ?? []).filter((one) => one.name !== "chosen"), { name: "chosen", value: NONE }];
  changed.params.push({ name: "first", value: interval[0] }, { name: "last", value: interval[1] });
  if (!picks) units(changed).forEach(cut);
  for (const unit of units(changed)) {
    const { x, detail } = unit.encoding ?? {};
    const ordinal = x?.field === "iteration" && x.type === "ordinal";
    if (ordinal && unit.mark?.type === "rect") {
      unit.mark.strokeWidth = 2;
      unit.encoding.stroke = { condition: { test: "datum.iteration === chosen", value: "currentColor" }, value: null };
    } else if (ordinal || detail?.field === "iteration") {
      unit.encoding.opacity = { condition: { test: `chosen === ${NONE} || datum.iteration === chosen`, value: 1 }, value: 0.25 };
    }
  }
  const axis = iterations(changed);
  if (axis && changed.layer) {
    const mark = (look, test, opacity, x, x2) => ({
      data: { values: [{}] },
      transform: [x, x2].filter(Boolean).map((name) => ({ calculate: name, as: name })),
      mark: { tooltip: false, ...look },
      encoding: { x: { field: x, type: "quantitative", title: axis.title }, x2: x2 && { field: x2 }, opacity: { condition: { test, value: opacity }, value: 0 } },
    });
    for (const name of ["place", "start", "end"]) changed.params.push({ name, value: MOMENTS[0]?.[axisClock(axis)] ?? first });
    changed.layer.push(mark({ type: "rule", strokeWidth: 2 }, `chosen !== ${NONE} && first <= chosen && chosen <= last`, 0.9, "place"));
    if (picks) changed.layer.unshift(mark({ type: "rect", color: "currentColor" }, `first !== ${NONE}`, 0.12, "start", "end"));
  }
  const points = picks && units(changed).find((unit) => unit.mark?.type === "point");
  if (points) {
    const unseen = { fillOpacity: 0, strokeOpacity: 0, cursor: "ew-resize" };
    points.params = [
      { name: "pick", select: { type: "point", fields: ["iteration"], nearest: true, on: "pointerover", clear: false } },
      { name: "brush", select: { type: "interval", encodings: ["x"], zoom: false, mark: unseen } },
    ];
  }
  return changed;
}

function axisClock(axis) {
  return Object.keys(CLOCKS).find((name) => CLOCKS[name] === axis.title) ?? "iteration";
}

// The iterations of which a chart has data, in order.
function extent(spec) {
  const found = Object.values(spec.datasets ?? {}).flatMap((rows) => rows.map((row) => row.iteration).filter((value) => value !== undefined));
  const all = [...new Set(found)].sort((a, b) => a - b);
  return { all, first: all[0] ?? 0 };
}

// The last of the values up to the chosen iteration: what a chart with fewer iterations has of it.
function upTo(values) {
  return values.filter((value) => value <= chosen.iteration).at(-1) ?? values[0] ?? chosen.iteration;
}

function show(place) {
  const { view, all, axis } = drawn.get(place);
  view.signal("chosen", chosen ? upTo(all) : NONE);
  view.signal("first", interval[0]).signal("last", interval[1]);
  if (axis) {
    const bounds = interval.map((number, end) => (end ? MOMENTS.findLast((one) => one.iteration <= number) : MOMENTS.find((one) => one.iteration >= number)));
    view.signal("start", bounds[0][axis]).signal("end", bounds[1][axis]);
    const inside = chosen && chosen.iteration >= interval[0] && chosen.iteration <= interval[1];
    view.signal("place", inside ? chosen[axis] : bounds[0][axis]);
  }
  return view.runAsync();
}

// Charts in the window follow at once, the others when they come into it.
const stale = new Set();
const seen = new Set();
const watch = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) seen.add(target);
    else seen.delete(target);
  }
  refresh();
});

function refresh() {
  for (const place of stale) {
    if (!seen.has(place) || !drawn.has(place)) continue;
    stale.delete(place);
    show(place);
  }
}

let waiting = false;
function choose(moment) {
  if (moment === chosen) return;
  chosen = moment;
  if (moment) slider.value = MOMENTS.indexOf(moment);
  slider.setAttribute("aria-valuetext", moment ? `iteration ${moment.iteration}` : "all iterations");
  markTables();
  showPrograms();
  tell();
}

// Show the iterations from `first` to `last` alone; all of them where these are the first and the last.
function narrow(first, last) {
  const whole = [MOMENTS[0].iteration, MOMENTS.at(-1).iteration];
  const wanted = [Math.min(first, last), Math.max(first, last)].map((number) => Math.min(Math.max(number, whole[0]), whole[1]));
  ends.forEach((end, at) => { end.value = wanted[at]; });
  interval = wanted[0] === whole[0] && wanted[1] === whole[1] ? EVERYTHING : wanted;
  tell();
}

function tell() {
  const shown = interval === EVERYTHING ? "All iterations." : `Iterations ${interval[0]} to ${interval[1]}.`;
  document.getElementById("chosen").textContent = chosen ? `${interval === EVERYTHING ? "" : shown} Iteration ${chosen.iteration}: ${chosen.words}`.trim() : shown;
  document.getElementById("all").hidden = !chosen && interval === EVERYTHING;
  for (const place of drawn.keys()) stale.add(place);
  if (waiting) return;
  waiting = true; // a pointer moves more often than a window is drawn
  requestAnimationFrame(() => { waiting = false; refresh(); });
}

function markTables() {
  for (const row of document.querySelectorAll("tr.chosen")) row.classList.remove("chosen");
  if (!chosen) return;
  for (const table of document.querySelectorAll("details table")) {
    if (!["iteration", "round"].includes(table.rows[0]?.cells[0]?.textContent)) continue;
    for (const row of table.rows) row.classList.toggle("chosen", row.cells[0].textContent === String(chosen.iteration));
  }
}

function showPrograms() {
  const blocks = [...document.querySelectorAll(".programs")];
  const there = blocks.map((block) => Number(block.dataset.iteration));
  const wanted = chosen ? upTo(there) : there.at(-1);
  for (const block of blocks) block.hidden = Number(block.dataset.iteration) !== wanted;
}

function looks() {
  const narrow = document.body.clientWidth < 600;
  const ink = "currentColor";
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: "transparent" },
    title: { color: ink, subtitleColor: ink, limit: narrow ? 320 : 700 },
    axis: { labelColor: ink, titleColor: ink, domainColor: ink, tickColor: ink, gridColor: ink, gridOpacity: 0.15, domainOpacity: 0.5 },
    legend: { orient: "top", labelColor: ink, titleColor: ink, symbolOpacity: 1, symbolStrokeWidth: 0, columns: narrow ? 2 : 5, labelLimit: narrow ? 130 : 220, gradientLength: narrow ? 150 : 240 },
    text: { color: ink },
    rule: { color: ink },
  };
}

async function draw(place) {
  const spec = JSON.parse(document.getElementById(`spec-${place.id}`).textContent);
  const shown = linked(place.dataset.clock ? along(spec) : spec, place.dataset.picks && slider);
  const options = { renderer: "svg", config: looks(), actions: { export: true, source: false, compiled: false, editor: false } };
  drawn.get(place)?.finalize();
  const axis = iterations(shown);
  const { view, finalize } = await vegaEmbed(place, { ...shown, width: "container", autosize: { type: "fit-x", contains: "padding" } }, options);
  drawn.set(place, { view, finalize, all: extent(shown).all, axis: axis && axisClock(axis) });
  if (place.dataset.picks && slider) {
    view.addSignalListener("pick", (_, { iteration }) => iteration && choose(MOMENTS.find((one) => one.iteration === iteration[0]) ?? null));
    view.addSignalListener("brush", (_, found) => {
      const range = found[axisClock(axis)];
      const within = range ? MOMENTS.filter((one) => range[0] <= one[axisClock(axis)] && one[axisClock(axis)] <= range[1]) : MOMENTS;
      if (within.length > 1) narrow(within[0].iteration, within.at(-1).iteration);
    });
  }
  if (chosen || interval !== EVERYTHING) await show(place);
  for (const menu of place.querySelectorAll("details > summary")) menu.setAttribute("aria-label", "Save this chart");
  for (const label of place.querySelectorAll(".vega-bind select")) label.setAttribute("aria-label", "Split shown");
  for (const brush of place.querySelectorAll("[class*=brush_brush]")) brush.setAttribute("aria-hidden", "true"); // its numbers are above
  place.querySelector("svg")?.setAttribute("aria-label", place.dataset.title);
  place.dataset.drawn = "yes";
}

async function drawAll(places) {
  for (const place of places) {
    await draw(place).catch((error) => {
      console.error(error);
      place.textContent = "This chart cannot be drawn."; // the others can
    });
  }
  document.body.dataset.drawn = "yes";
}

const places = [...document.querySelectorAll(".chart")];
const again = () => drawAll(places.filter((place) => place.dataset.clock));
clock.addEventListener("change", again);
log.addEventListener("change", again);
if (slider) {
  slider.addEventListener("input", () => choose(MOMENTS[slider.value]));
  document.getElementById("all").addEventListener("click", () => { choose(null); narrow(...EVERYTHING); slider.focus(); });
  for (const end of ends) end.addEventListener("change", () => narrow(...ends.map((one) => Number(one.value))));
}
drawAll(places).then(() => places.forEach((place) => watch.observe(place)));
document.querySelectorAll("pre.python").forEach(highlight);
