// The sample browser. Every sample of a run is a number into a few typed arrays, so filters and scrolling need no
// server; texts come one at a time. The address holds the whole state. A model's text only ever becomes a text node.
const HEIGHT = 30; // of a row, in pixels, as the style sheet has it
const TALLEST = 12_000_000; // a browser draws no taller element than about this
const POLL = 5000; // milliseconds between looks at a run that goes on
const PURPOSE = { train: "training", eval: "evaluation" };
const SPLIT = { train: "training", val: "validation" };
const FIELDS = ["run", "iteration", "purpose", "family", "difficulty", "outcome", "only", "text"];
const at = Object.fromEntries([...FIELDS, "list", "space", "detail", "count", "clear", "title"].map((id) => [id, document.getElementById(id)]));
const loaded = new Map(); // runs by name

function element(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// State in the address

function state() {
  return new URLSearchParams(location.hash.slice(1));
}

function change(values, replace = false) {
  const next = state();
  for (const [key, value] of Object.entries(values)) value ? next.set(key, value) : next.delete(key);
  if (`#${next}` === location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", `#${next}`);
  show();
}

// A run as arrays

function bytes(text) {
  const binary = atob(text);
  const found = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) found[i] = binary.charCodeAt(i);
  return found;
}

async function load(name, again = false) {
  if (loaded.has(name) && !again) return loaded.get(name);
  const [head, index] = await Promise.all([source.head(name), source.index(name)]);
  const size = index.chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
  const run = { name, ...head, running: index.running, chunks: index.chunks, size };
  for (const [key, kind] of Object.entries({ problem: Int32Array, index: Int32Array, outcome: Uint8Array, audit: Uint8Array, chunk: Uint16Array, flag: Uint8Array })) run[key] = new kind(size);
  let start = 0;
  run.chunks.forEach((chunk, number) => {
    chunk.start = start;
    run.problem.set(new Int32Array(bytes(chunk.problem).buffer), start);
    run.index.set(new Int32Array(bytes(chunk.index).buffer), start);
    run.outcome.set(bytes(chunk.outcome), start);
    run.audit.set(bytes(chunk.audit), start);
    run.chunk.fill(number, start, start + chunk.rows);
    for (const key of ["problem", "index", "outcome", "audit"]) delete chunk[key];
    start += chunk.rows;
  });
  mark(run);
  loaded.set(name, run);
  return run;
}

const PASSED = 0;
const FIRST = 1;
const FORGOTTEN = 2;

// First solved: a pass in the first iteration that solved its problem. Forgotten: no sample solves what an earlier did.
function mark(run) {
  const before = { train: new Set(), eval: new Set() };
  for (const chunk of run.chunks) {
    const now = new Set();
    const end = chunk.start + chunk.rows;
    for (let i = chunk.start; i < end; i++) if (run.outcome[i] === PASSED) now.add(run.problem[i]);
    const known = before[chunk.purpose];
    for (let i = chunk.start; i < end; i++) {
      const problem = run.problem[i];
      if (run.outcome[i] === PASSED && !known.has(problem)) run.flag[i] = FIRST;
      else if (known.has(problem) && !now.has(problem)) run.flag[i] = FORGOTTEN;
    }
    for (const problem of now) known.add(problem);
  }
}

async function filtered(run, wanted) {
  const hits = wanted.text ? new Uint8Array(run.size) : null;
  if (hits) {
    const found = await source.search(run.name, run.chunks, wanted.text);
    found.forEach((rows, number) => run.chunks[number] && rows.forEach((row) => (hits[run.chunks[number].start + row] = 1)));
  }
  const outcome = wanted.outcome ? run.outcomes.indexOf(wanted.outcome) : -1;
  const flag = { first: FIRST, forgotten: FORGOTTEN }[wanted.only];
  const good = run.problems.map(([, , family, difficulty]) => (!wanted.family || family === wanted.family) && (!wanted.difficulty || `${difficulty}` === wanted.difficulty));
  const shown = new Uint32Array(run.size);
  let count = 0;
  for (const chunk of run.chunks) {
    if ((wanted.iteration && `${chunk.iteration}` !== wanted.iteration) || (wanted.purpose && chunk.purpose !== wanted.purpose)) continue;
    for (let i = chunk.start; i < chunk.start + chunk.rows; i++) {
      if (outcome >= 0 && run.outcome[i] !== outcome) continue;
      if (flag && run.flag[i] !== flag) continue;
      if (wanted.only === "audit" && run.audit[i] !== 2) continue;
      if (!good[run.problem[i]] || (hits && !hits[i])) continue;
      shown[count++] = i;
    }
  }
  return shown.subarray(0, count);
}

const turnOf = (run, i) => (run.index[i] < 0 ? "greedy" : `${run.index[i]}`);
const said = (outcome) => outcome.replaceAll("_", " ");
const key = (run, i) => `${run.chunks[run.chunk[i]].iteration}.${run.chunks[run.chunk[i]].purpose}.${i - run.chunks[run.chunk[i]].start}`;

function numbered(run, text) {
  const [iteration, purpose, row] = (text ?? "").split(".");
  const chunk = run.chunks.find((one) => `${one.iteration}` === iteration && one.purpose === purpose);
  return chunk && row >= 0 && row < chunk.rows ? chunk.start + Number(row) : -1;
}

// The list

let current = { run: null, shown: new Uint32Array(0), chosen: -1 };

// The height of the list, which is less than that of its rows where they are too many, and the rows' pixels to one of it.
function heights() {
  const window_ = at.list.clientHeight;
  const whole = current.shown.length * HEIGHT;
  const tall = Math.max(Math.min(whole, TALLEST), 1);
  return { tall, window_, ratio: tall < whole ? (whole - window_) / (tall - window_) : 1 };
}

// Scroll to the chosen sample, as little as it takes where a part of its row is in the window.
function reveal() {
  const { ratio, window_ } = heights();
  const y = current.shown.indexOf(current.chosen) * HEIGHT;
  const top = at.list.scrollTop * ratio;
  if (y < 0) return;
  const wanted = y + HEIGHT <= top || y >= top + window_ ? y - window_ / 2 : Math.min(Math.max(top, y + HEIGHT - window_), y);
  if (wanted === top) return;
  at.list.scrollTop = wanted / ratio;
  drawList();
}

function drawList() {
  const { run, shown, chosen } = current;
  const { tall, ratio, window_ } = heights();
  at.space.style.height = `${tall}px`;
  const top = at.list.scrollTop;
  const scrolled = top * ratio;
  const first = Math.max(0, Math.floor(scrolled / HEIGHT) - 5);
  const rows = [];
  for (let n = first; n < Math.min(shown.length, first + Math.ceil(window_ / HEIGHT) + 10); n++) {
    const i = shown[n];
    const chunk = run.chunks[run.chunk[i]];
    const passed = run.outcome[i] === PASSED;
    const row = element("div", "", "row");
    row.id = `row${n}`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", i === chosen);
    row.setAttribute("aria-setsize", shown.length);
    row.setAttribute("aria-posinset", n + 1);
    row.style.top = `${n * HEIGHT - scrolled + top}px`;
    row.append(element("span", `${chunk.iteration} ${chunk.purpose === "train" ? "train" : "eval"} ${turnOf(run, i)}`));
    row.append(element("span", run.problems[run.problem[i]]?.[1] ?? ""));
    row.append(element("span", `${passed ? "✓" : "✗"} ${said(run.outcomes[run.outcome[i]])}${run.audit[i] === 2 ? ", audit ✗" : ""}`, passed ? "passed" : "failed"));
    row.onclick = () => change({ sample: key(run, i), with: "" });
    rows.push(row);
  }
  at.list.replaceChildren(at.space, ...rows);
  const active = rows.find((row) => row.getAttribute("aria-selected") === "true");
  active ? at.list.setAttribute("aria-activedescendant", active.id) : at.list.removeAttribute("aria-activedescendant");
}

function step(by) {
  const { run, shown, chosen } = current;
  if (!shown.length) return;
  const now = shown.indexOf(chosen);
  const from = now < 0 && Number.isFinite(by) ? -by : now; // the first key chooses the first sample
  const next = Math.max(0, Math.min(shown.length - 1, from + by));
  change({ sample: key(run, shown[next]), with: "" }, true);
}

// One sample

let turn = 0; // answers to an earlier choice are dropped

async function drawDetail(run, i, other) {
  const mine = ++turn;
  if (i < 0) return at.detail.replaceChildren(element("p", state().get("sample") ? "The sample of this address is not here. Choose another." : "Choose a sample.", "quiet"));
  const [, title, family, difficulty, split] = run.problems[run.problem[i]];
  const chunk = run.chunks[run.chunk[i]];
  const [sample, problem] = await Promise.all([source.sample(run.name, chunk, i - chunk.start), source.problem(run.name, run.problem[i])]);
  const against = await opposite(other);
  if (mine !== turn) return;
  const passed = run.outcome[i] === PASSED;
  const audit = ["", ", held by the second set of cases", ", rejected by the second set of cases"][run.audit[i]];
  const parts = [
    element("h2", title),
    element("p", `${said(family)}, difficulty ${difficulty}, ${SPLIT[split] ?? said(split)} problem. Iteration ${chunk.iteration}, drawn for ${PURPOSE[chunk.purpose]}, ${run.index[i] < 0 ? "the greedy answer" : `sample ${run.index[i]}`}.`, "quiet"),
    element("p", `${passed ? "✓" : "✗"} ${said(run.outcomes[run.outcome[i]])}, ${sample.cases[0]} of ${sample.cases[1]} cases passed${audit}`, passed ? "passed" : "failed"),
  ];
  if (sample.detail) parts.push(element("p", sample.detail));
  if (sample.case?.call === null) parts.push(element("h3", "Right answer"), code(sample.case.expected));
  else if (sample.case) parts.push(element("h3", "First failing case"), code(`${sample.case.call}\nmust return ${sample.case.expected}`));
  parts.push(element("h3", "Program"), code(sample.code));
  parts.push(folded("Completion, as the model wrote it", element("pre", sample.completion)));
  parts.push(folded("Prompt, without the model's chat template", element("pre", problem.prompt)));
  parts.push(folded("Reference solution", code(problem.reference)));
  parts.push(element("p", `${sample.tokens} token${sample.tokens === 1 ? "" : "s"}, ${sample.finish === "length" ? "cut off at the limit" : "ended by itself"}, temperature ${sample.temperature}${sample.logprob === null ? "" : `, log-probability ${sample.logprob.toFixed(2)}`}, ${sample.cpu.toFixed(0)} ms of CPU`, "quiet"));
  parts.push(element("h3", "This problem through all iterations"), through(run, i), await choices(run, i, other));
  if (against) parts.push(beside(run, i, sample, against));
  else if (other) parts.push(element("p", "The sample that this address puts beside it is not here.", "quiet"));
  if (mine !== turn) return;
  const unfolded = [...at.detail.querySelectorAll("details[open] > summary")].map((one) => one.textContent); // stays so
  for (const part of parts) if (part.tagName === "DETAILS") part.open = unfolded.includes(part.firstChild.textContent);
  at.detail.replaceChildren(...parts);
}

function code(text) {
  const made = element("pre", text);
  made.tabIndex = 0;
  highlight(made);
  return made;
}

function folded(title, content) {
  const made = element("details");
  content.tabIndex = 0;
  made.append(element("summary", title), content);
  return made;
}

function samplesOf(run, id) {
  const problem = run.problems.findIndex((row) => row[0] === id);
  const found = [];
  for (let i = 0; i < run.size; i++) if (run.problem[i] === problem) found.push(i);
  return found;
}

function through(run, chosen) {
  const made = element("div", "", "through");
  const groups = new Map();
  for (const i of samplesOf(run, run.problems[run.problem[chosen]][0])) groups.set(run.chunk[i], [...(groups.get(run.chunk[i]) ?? []), i]);
  for (const [number, rows] of groups) {
    const chunk = run.chunks[number];
    const right = rows.filter((i) => run.outcome[i] === PASSED);
    const button = element("button", `${chunk.iteration}${chunk.purpose === "eval" ? "e" : ""}: ${right.length}/${rows.length}`, right.length ? "some" : "");
    button.title = `iteration ${chunk.iteration}, ${PURPOSE[chunk.purpose]}: ${right.length} of ${rows.length} passed`;
    button.setAttribute("aria-current", number === run.chunk[chosen]);
    button.onclick = () => change({ sample: key(run, right[0] ?? rows[0]) });
    made.append(button);
  }
  return made;
}

// Two samples beside each other

// The run and the sample that the address puts beside the first; an address may hold anything.
function pair(text) {
  const cut = text.indexOf(":");
  try {
    return [decodeURIComponent(text.slice(0, cut)), text.slice(cut + 1)];
  } catch {
    return ["", ""];
  }
}

async function opposite(text) {
  if (!text) return null;
  const [name, place] = pair(text);
  if (!(await source.runs()).includes(name)) return null;
  const run = await load(name);
  const i = numbered(run, place);
  if (i < 0) return null;
  const chunk = run.chunks[run.chunk[i]];
  return { run, i, sample: await source.sample(name, chunk, i - chunk.start) };
}

async function choices(run, i, other) {
  const names = await source.runs();
  const wanted = other ? pair(other)[0] : run.name;
  const theirs = names.includes(wanted) ? await load(wanted) : run;
  const made = element("div", "", "chooser");
  const which = select("Run", names.map((name) => [name, name]), theirs.name);
  which.onchange = async () => {
    const next = await load(which.value);
    const [first] = samplesOf(next, run.problems[run.problem[i]][0]);
    change({ with: first === undefined ? "" : `${encodeURIComponent(next.name)}:${key(next, first)}` });
  };
  const same = samplesOf(theirs, run.problems[run.problem[i]][0]).filter((j) => theirs !== run || j !== i);
  const options = same.map((j) => {
    const chunk = theirs.chunks[theirs.chunk[j]];
    return [`${encodeURIComponent(theirs.name)}:${key(theirs, j)}`, `iteration ${chunk.iteration}, ${PURPOSE[chunk.purpose]} ${turnOf(theirs, j)}: ${said(theirs.outcomes[theirs.outcome[j]])}`];
  });
  const sample = select("Sample", [["", "none"], ...options], other ?? "");
  sample.onchange = () => change({ with: sample.value });
  made.append(element("h3", "Beside another sample"), which, " ", sample);
  return made;
}

function select(label, options, value) {
  const made = element("select");
  made.setAttribute("aria-label", label);
  for (const [name, words] of options) made.append(new Option(words, name, false, name === value));
  return made;
}

function beside(run, i, sample, other) {
  const made = element("div", "", "sides");
  const sides = difference(sample.code, other.sample.code);
  [[run, i], [other.run, other.i]].forEach(([whose, j], side) => {
    const chunk = whose.chunks[whose.chunk[j]];
    const column = element("div");
    column.append(element("p", `${whose.name}, iteration ${chunk.iteration}, ${PURPOSE[chunk.purpose]} ${turnOf(whose, j)}: ${said(whose.outcomes[whose.outcome[j]])}`, "quiet"));
    const text = element("pre");
    text.tabIndex = 0;
    for (const [sign, line] of sides[side]) text.append(element("span", `${sign} ${line}`, `line ${{ "-": "gone", "+": "new", " ": "" }[sign]}`));
    column.append(text);
    made.append(column);
  });
  return made;
}

// All of it from the address

let filteredBy = "";
let looking = 0;

async function show() {
  try {
    await draw();
  } catch (error) {
    fail(error);
  }
  document.body.dataset.drawn = "yes";
}

function fail(error) {
  if (!(error instanceof Missing)) console.error(error);
  at.count.textContent = `Not shown: ${error.message}`;
  filteredBy = ""; // the next look draws everything again
}

async function draw() {
  const mine = ++looking;
  const wanted = Object.fromEntries(FIELDS.map((name) => [name, state().get(name) ?? ""]));
  const names = await source.runs();
  const name = names.includes(wanted.run) ? wanted.run : names[0];
  const run = await load(name);
  if (mine !== looking) return;
  if (grown(names)) at.run.replaceChildren(...names.map((name) => new Option(name, name)));
  if (current.run !== run) options(run);
  for (const field of FIELDS) if (document.activeElement !== at[field] || field !== "text") at[field].value = field === "run" ? name : wanted[field];
  const by = JSON.stringify([wanted, run.size, run.chunks.map((chunk) => chunk.mark)]);
  if (by !== filteredBy) {
    const shown = await filtered(run, wanted);
    if (mine !== looking) return;
    if (current.run?.name !== name || filteredBy === "" || !run.running) at.list.scrollTop = 0;
    current = { run, shown, chosen: -1 };
    filteredBy = by;
  }
  const other = wanted.run && wanted.run !== name;
  const words = [other ? `No run ${wanted.run} is open here; this is ${name}` : "", `${current.shown.length.toLocaleString("en")} of ${run.size.toLocaleString("en")} samples`];
  for (const field of FIELDS.slice(1, -1)) if (wanted[field] && at[field].value !== wanted[field]) words.push(`${field}: there is no ${wanted[field]}`);
  if (run.running) words.push("the run goes on, and so does this page");
  words.push(...run.faults);
  for (const chunk of run.chunks) if (chunk.fault) words.push(`iteration ${chunk.iteration}, ${PURPOSE[chunk.purpose]}: ${chunk.fault}`);
  at.count.textContent = words.filter(Boolean).join("; ");
  const before = current.chosen;
  current.chosen = other ? -1 : numbered(run, state().get("sample"));
  at.title.textContent = `Samples of ${name}`;
  document.title = `${name} · samples · axiom`;
  drawList();
  if (current.chosen !== before) reveal();
  await drawDetail(run, current.chosen, state().get("with"));
}

const grown = (names) => names.length !== at.run.options.length;

function options(run) {
  const fill = (field, values, words = (value) => value) => {
    const first = new Option("all", "");
    at[field].replaceChildren(first, ...values.map((value) => new Option(words(value), value)));
  };
  fill("iteration", [...new Set(run.chunks.map((chunk) => chunk.iteration))]);
  fill("family", [...new Set(run.problems.map((row) => row[2]))].sort(), said);
  fill("difficulty", [...new Set(run.problems.map((row) => row[3]))].sort((a, b) => a - b));
  fill("outcome", run.outcomes, said);
}

async function watch() {
  const run = current.run;
  if (run && source.live && document.visibilityState === "visible") {
    try {
      const { marks, running } = await source.marks(run.name);
      const same = JSON.stringify(marks) === JSON.stringify(run.chunks.map((chunk) => chunk.mark));
      if (!same || running !== run.running) await load(run.name, true);
      if (!same || running !== run.running || filteredBy === "" || grown(await source.runs())) await show();
    } catch (error) {
      fail(error);
    }
  }
  setTimeout(watch, POLL);
}

for (const field of FIELDS) {
  at[field].addEventListener(field === "text" ? "search" : "change", () => change({ [field]: at[field].value, ...(field === "run" ? { sample: "", with: "" } : {}) }));
}
at.text.addEventListener("change", () => change({ text: at.text.value }));
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
at.clear.addEventListener("click", () => change(Object.fromEntries(FIELDS.filter((field) => field !== "run").map((field) => [field, ""]))));
at.list.addEventListener("scroll", () => requestAnimationFrame(drawList), { passive: true });
at.list.addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  step(by);
});
window.addEventListener("popstate", show);
window.addEventListener("hashchange", show);
window.addEventListener("resize", () => current.run && drawList());
show().then(() => setTimeout(watch, POLL));
