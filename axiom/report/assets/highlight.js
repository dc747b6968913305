// Colours Python in an element. Tokens become text nodes, never markup, so a program can be anything.
const PYTHON = new RegExp(
  [
    "(?<comment>#[^\\n]*)",
    "(?<string>[rbfuRBFU]{0,2}(?:\"\"\"[^]*?(?:\"\"\"|$)|'''[^]*?(?:'''|$)|\"(?:\\\\.|[^\"\\\\\\n])*\"?|'(?:\\\\.|[^'\\\\\\n])*'?))",
    "(?<keyword>\\b(?:False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|" +
      "from|global|if|import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield|match|case)\\b)",
    "(?<number>\\b\\d[\\w.]*)",
    "(?<name>\\b[A-Za-z_]\\w*)",
  ].join("|"),
  "g",
);
const MOST_HIGHLIGHTED = 50000;

function highlight(element) {
  const text = element.textContent;
  if (text.length > MOST_HIGHLIGHTED) return;
  const parts = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(PYTHON)) {
    const kind = ["comment", "string", "keyword", "number"].find((name) => match.groups[name] !== undefined);
    if (!kind) continue;
    parts.append(text.slice(end, match.index));
    const token = document.createElement("span");
    token.className = kind;
    token.textContent = match[0];
    parts.append(token);
    end = match.index + match[0].length;
  }
  parts.append(text.slice(end));
  element.replaceChildren(parts);
}
