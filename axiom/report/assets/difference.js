// Lines of two texts as [mark, text] for each side: " " in both, "-" only in the first, "+" only in the second.
const MOST_COMPARED = 2000;

function difference(first, second) {
  const [a, b] = [first.split("\n").slice(0, MOST_COMPARED), second.split("\n").slice(0, MOST_COMPARED)];
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
  const sides = [[], []];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      sides[0].push([" ", a[i++]]);
      sides[1].push([" ", b[j++]]);
    } else if (j >= b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) sides[0].push(["-", a[i++]]);
    else sides[1].push(["+", b[j++]]);
  }
  return sides;
}
