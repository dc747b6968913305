// Where the samples come from: scripts beside this page, which a page that is a file may load.
class Missing extends Error {}
const arrived = new Map();
function axiomData(key, value) {
  arrived.get(key).keep(value);
}
function read(key) {
  if (!arrived.has(key)) {
    const entry = {};
    entry.value = new Promise((keep, fail) => {
      entry.keep = keep;
      const script = document.createElement("script");
      script.onerror = () => fail(new Missing(`${key} is missing`));
      script.src = `data/${key}.js`;
      document.head.append(script);
    });
    arrived.set(key, entry);
  }
  return arrived.get(key).value;
}
const place = async (run) => (await read("runs")).indexOf(run);
const texts = async (run, chunk) => read(`${await place(run)}/${chunk.iteration}-${chunk.purpose}`);
const source = {
  live: false,
  runs: () => read("runs"),
  head: async (run) => read(`${await place(run)}/head`),
  index: async (run) => ({ chunks: await read(`${await place(run)}/index`), running: false }),
  sample: async (run, chunk, row) => (await texts(run, chunk))[row],
  problem: async (run, number) => (await read(`${await place(run)}/problems`))[number],
  search: async (run, chunks, text) => {
    const holds = (value) => value.toLowerCase().includes(text.toLowerCase());
    const rows = chunks.map(async (chunk) =>
      (await texts(run, chunk)).flatMap((one, row) => (holds(one.code) || holds(one.completion) ? [row] : [])),
    );
    return Promise.all(rows);
  },
};
