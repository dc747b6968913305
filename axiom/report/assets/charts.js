// Draws every chart of the page in its colours and width. Text and lines take the page's colour, so that light, dark
// and print need no second drawing.
const CLOCKS = JSON.parse(document.getElementById("clocks").textContent);
const clock = document.getElementById("clock");
const log = document.getElementById("log");

// The chart's specification with another clock on its horizontal axis.
function along(spec) {
  if (Array.isArray(spec)) return spec.map(along);
  if (!spec || typeof spec !== "object") return spec;
  if (spec.field === "iteration" && spec.type === "quantitative" && "title" in spec) {
    const changed = { ...spec, field: clock.value, title: CLOCKS[clock.value] };
    if (clock.value !== "iteration") changed.axis = { format: "~s", tickCount: 6 };
    if (log.checked) changed.scale = { ...spec.scale, type: "symlog" };
    return changed;
  }
  return Object.fromEntries(Object.entries(spec).map(([key, value]) => (key === "datasets" ? [key, value] : [key, along(value)])));
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
    legend: { orient: "top", labelColor: ink, titleColor: ink, symbolOpacity: 1, columns: narrow ? 2 : 5, labelLimit: narrow ? 130 : 220, gradientLength: narrow ? 150 : 240 },
    text: { color: ink },
    rule: { color: ink },
  };
}

async function draw(place) {
  const spec = JSON.parse(document.getElementById(`spec-${place.id}`).textContent);
  const shown = place.dataset.clock ? along(spec) : spec;
  const options = { renderer: "svg", config: looks(), actions: { export: true, source: false, compiled: false, editor: false } };
  await vegaEmbed(place, { ...shown, width: "container", autosize: { type: "fit-x", contains: "padding" } }, options);
  for (const menu of place.querySelectorAll("details > summary")) menu.setAttribute("aria-label", "Save this chart");
  for (const label of place.querySelectorAll(".vega-bind select")) label.setAttribute("aria-label", "Split shown");
  place.querySelector("svg")?.setAttribute("aria-label", place.dataset.title);
  place.dataset.drawn = "yes";
}

async function drawAll(places) {
  for (const place of places) await draw(place);
  document.body.dataset.drawn = "yes";
}

const places = [...document.querySelectorAll(".chart")];
const again = () => drawAll(places.filter((place) => place.dataset.clock));
clock.addEventListener("change", again);
log.addEventListener("change", again);
drawAll(places);
document.querySelectorAll("pre.python").forEach(highlight);
