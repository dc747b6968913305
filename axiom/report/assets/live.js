// Where the samples come from: the server that this page is from.
class Missing extends Error {}
async function get(path) {
  const answer = await fetch(`data/${path}`).catch(() => null);
  if (!answer) throw new Missing("the server does not answer; start `axiom view` again");
  if (!answer.ok) throw new Missing((await answer.json().catch(() => ({}))).why ?? `the server answers ${answer.status} for ${path}`);
  return answer.json();
}
const of = encodeURIComponent;
const source = {
  live: true,
  runs: () => get("runs"),
  head: (run) => get(of(run)),
  marks: (run) => get(`${of(run)}/marks`),
  index: (run) => get(`${of(run)}/index`),
  sample: (run, chunk, row) => get(`${of(run)}/sample/${chunk.iteration}/${chunk.purpose}/${row}`),
  problem: (run, number) => get(`${of(run)}/problem/${number}`),
  search: (run, chunks, text) => get(`${of(run)}/search?q=${of(text)}`),
};
