// Texts that a page must survive, and a task that says whatever it is told to.

/** Texts that HTML drops, changes, parts or turns around. */
export const oddTexts: Record<string, string> = {
  empty: "",
  nul: "\0",
  "line feed": "\n",
  "carriage return": "\r",
  "line end": "\r\n",
  "line feed first": "\n\nfirst",
  "nul among others": "a\0b\r\nc\rd\0",
  blank: " \t ",
  bidi: "\u202eturned\u2066 around\u200f",
  markup: "</pre></textarea></title></script><svg><!--<b>&amp;\"'",
  "not a character": "\ufffe\uffff\ufeff\u0001\u0085\u2028",
  "over one text node": "x".repeat(70_000),
  "over one text node, astral": "😀".repeat(40_000),
  "a mebibyte": "line of text\n".repeat(74_000),
};

/** What a page shows of `text`. */
export const shown = (text: string) => text.replaceAll("\r\n", "\n").replaceAll("\r", "\n").replaceAll("\0", "␀");

/** A payload for each kind of element and quote that data could stand in. */
export const closing = ["title", "textarea", "style", "script", "svg", "pre", "noscript", "select"]
  .map((element) => `</${element}><img src=x onerror=window.pwned=1><meta http-equiv=refresh content="0;url=/pwned">`)
  .concat([`--><script>window.pwned=1</script><!--`, `"><script>window.pwned=1</script>`, `' onfocus='window.pwned=1' autofocus x='`, `\\u003c/script>{{7*7}}\${window.pwned=1}`, `&lt;/title&gt;&#60;b&#62; & co`]);

/** A worker: an item `{say, text}` ends with that text as its result or error, or after it as its log. */
const worker = `import { createInterface } from "node:readline";
createInterface({ input: process.stdin }).on("line", (line) => {
  const { seq, input: { say, text } } = JSON.parse(line);
  const tell = (answer) => console.log(JSON.stringify({ seq, ...answer }));
  if (say === "error") return tell({ error: text, retry: false });
  if (say === "log") for (const part of text.match(/[^]{1,4000}/g) ?? [""]) tell({ log: part });
  tell({ result: say === "result" ? text : null });
});
`;

/** Settings with the task \`odd\`, whose own words are odd, too. */
const settings = `
[[task]]
name = "odd"
title = "Odd \\u0000 </option></select><b>\\r\\n title"
description = "\\n\\u0000\\r"
input = "record"
worker = ["${process.execPath}", "odd.mjs"]
[task.params.note]
type = "string"
default = "\\n\\u0000\\r"
title = "\\u0000"
description = "\\n</textarea>\\u0000"
[task.params.any]
type = "object"
default = { a = "\\n\\u0000" }
[task.params.blank]
type = "object"
default = {}
[task.params.choice]
enum = ["\\n", "b"]
type = "string"
default = "b"
`;

export const oddFiles = { "milepost.toml": settings, "odd.mjs": worker };
