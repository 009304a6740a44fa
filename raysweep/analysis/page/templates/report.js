"use strict";
// The report's sample viewer and copy buttons, and which tables are wider than the page. Text from models becomes text nodes, never markup.
(() => {
  const ROW = 48; // height of one line of the list, px (3rem)
  const $ = (id) => document.getElementById(id);
  const el = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  // Show control and direction characters and lone surrogates as escapes, since the browser would hide or apply them.
  const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/gu;
  const plain = (text) => text.replace(hidden, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

  async function copy(text, button) {
    let copied = true;
    try { await navigator.clipboard.writeText(text); } catch {
      const area = el("textarea", { style: "position:fixed;opacity:0" });
      area.value = text;
      document.body.append(area);
      area.select();
      copied = document.execCommand("copy");
      area.remove();
    }
    const before = button.dataset.label || (button.dataset.label = button.textContent);
    button.textContent = copied ? "Copied" : "Not allowed";
    setTimeout(() => { button.textContent = before; }, 1500);
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy($(button.dataset.copy).textContent, button));
  }
  const sized = new ResizeObserver((entries) => requestAnimationFrame(() => { // a size changed within is an error
    for (const { target } of entries) target.classList.toggle("scrolls", target.scrollWidth > target.clientWidth);
  }));
  for (const frame of document.querySelectorAll(".frame")) sized.observe(frame);
  if (!$("data")) return;

  // ------------------------------------------------------------------ the samples, as objects
  const data = JSON.parse($("data").textContent);
  const samples = [];
  const cleanOf = new Map(); // twin() of a sample -> the sample of the same model, problem and number on the clean test set
  const twin = (s) => JSON.stringify([s.pair.model, s.pair.training_set, s.pair.recipe, s.pair.seed, s.set, s.task, s.draw]);
  for (const pair of data.pairs) {
    const test = data.tests[pair.test];
    for (let i = 0; i < pair.rows.length; i += 6) {
      const [task, draw, outcome, text, detail, stderr] = pair.rows.slice(i, i + 6);
      const program = pair.programs.length ? pair.programs[i / 6] : null;
      const sample = { pair, test, set: test.set, task, draw, outcome: data.outcomes[outcome], text, detail, stderr, program };
      samples.push(sample);
      if (test.name === "clean") cleanOf.set(twin(sample), sample);
    }
  }
  for (const sample of samples) sample.clean = sample.test.name === "clean" ? null : cleanOf.get(twin(sample)) || null;
  const taskId = (s) => data.sets[s.set].tasks[s.task];
  const cleanPrompt = (s) => data.sets[s.set].clean[s.task];
  const broke = (s) => s.clean !== null && s.clean.outcome === "passed" && s.outcome !== "passed" && s.outcome !== "harness_error";

  function parts(sample) { // the pieces of the prompt's comparison with the clean one: [kind, text]
    const clean = cleanPrompt(sample);
    let position = 0;
    return (sample.test.edits[sample.task] || [clean.length]).map((edit) => {
      if (typeof edit === "string") return ["added", edit];
      position += Math.abs(edit);
      return [edit > 0 ? "equal" : "removed", clean.slice(position - Math.abs(edit), position)];
    });
  }
  const prompts = new Map();
  function promptOf(sample) {
    const key = sample.pair.test + " " + sample.task;
    if (!prompts.has(key)) {
      prompts.set(key, parts(sample).map(([kind, text]) => (kind === "removed" ? "" : text)).join("").toLowerCase());
    }
    return prompts.get(key);
  }

  // ------------------------------------------------------------------ filter and address
  const labelled = (name) => { // "C1 draw 2" -> "neighbouring keys (C1) perturbation sample 2"
    const [code, ...draw] = name.split(/ (?=draw \d+$)/);
    const number = draw.map((text) => text.replace("draw", "perturbation sample"));
    return [data.words[code] && data.words[code] !== code ? `${data.words[code]} (${code})` : code, ...number].join(" ");
  };
  const FIELDS = [
    ["model", "Model", (s) => s.pair.model], ["set", "Training set", (s) => s.pair.training_set, labelled],
    ["recipe", "Recipe", (s) => s.pair.recipe], ["seed", "Seed", (s) => (s.pair.training_set === "base" ? "–" : String(s.pair.seed))],
    ["problems", "Problem set", (s) => data.sets[s.set].problems], ["test", "Test prompts", (s) => s.test.name, labelled],
    ["verdict", "Verdict", (s) => s.outcome, (name) => name.replaceAll("_", " ")],
  ];
  const identity = (s) => [...FIELDS.slice(0, 6).map(([, , value]) => value(s)), taskId(s), s.draw].join("~");
  const unset = () => ({ ...Object.fromEntries(FIELDS.map(([name]) => [name, ""])), q: "", broke: "", at: "" });
  let state = unset();
  let shown = [];
  let current = -1;

  function opening() { // the filter of a page without an address: the samples behind the first finding
    const first = samples[0];
    if (!first) return unset();
    const start = { ...unset(), model: first.pair.model, set: first.pair.training_set, test: $("samples").dataset.headline };
    const some = samples.some((s) => broke(s) && FIELDS.every(([name, , value]) => !start[name] || value(s) === start[name]));
    return some ? { ...start, broke: "1" } : unset();
  }
  function readAddress() {
    const [section, query] = location.hash.slice(1).split("?");
    if (section !== "samples" || query === undefined) return null;
    return { ...unset(), ...Object.fromEntries(new URLSearchParams(query)) };
  }
  const address = () => "#samples?" + new URLSearchParams(Object.entries(state).filter(([, value]) => value !== ""));
  function remember() {
    try { history.replaceState(null, "", address()); } catch { /* some browsers forbid this for local files */ }
  }

  function filter() {
    const q = state.q.trim().toLowerCase();
    const inText = q ? data.texts.map((text) => text.toLowerCase().includes(q)) : null;
    shown = samples.filter((s) =>
      FIELDS.every(([name, , value]) => !state[name] || value(s) === state[name]) && (!state.broke || broke(s)) &&
      (!q || inText[s.text] || (s.program !== null && inText[s.program]) || inText[s.detail] || inText[s.stderr] || taskId(s).toLowerCase().includes(q) || promptOf(s).includes(q)));
    const linked = state.at ? shown.findIndex((s) => identity(s) === state.at) : -1;
    current = linked >= 0 ? linked : (shown.length ? 0 : -1);
    const all = data.pairs.reduce((sum, pair) => sum + pair.total, 0);
    const number = (n) => n.toLocaleString("en");
    const limited = all > samples.length ? `; the page holds ${number(samples.length)} of ${number(all)}` : "";
    $("count").textContent = `${number(shown.length)} of ${number(samples.length)} samples${limited}`;
    $("rows").style.height = shown.length * ROW + "px";
    reveal();
    detail();
  }

  // ------------------------------------------------------------------ the filter's controls
  const count = (...values) => new Set(samples.map((s) => JSON.stringify(values.map((value) => value(s))))).size;
  // Recipe and seed have a control only if model and training set don't determine them.
  const isOpen = (name, value) => !["recipe", "seed"].includes(name) || count(FIELDS[0][2], FIELDS[1][2], value) > count(FIELDS[0][2], FIELDS[1][2]);
  function controls() {
    const change = (name, value) => { state = { ...state, [name]: value, at: "" }; remember(); filter(); };
    const nodes = FIELDS.map(([name, label, value, shown]) => {
      const values = [...new Set(samples.map(value))];
      const options = values.map((v) => el("option", { value: v, selected: state[name] === v }, shown ? shown(v) : v));
      const all = el("option", { value: "" }, "all");
      const select = el("select", { id: "f-" + name, onchange: (event) => change(name, event.target.value) }, all, ...options);
      return values.length > 1 && isOpen(name, value) ? el("label", {}, label, select) : null;
    });
    const search = el("input", { type: "search", id: "f-q", placeholder: "task, prompt, completion, error", oninput: (e) => change("q", e.target.value) });
    search.value = state.q;
    const box = el("input", { type: "checkbox", id: "f-broke", onchange: (e) => change("broke", e.target.checked ? "1" : "") });
    box.checked = Boolean(state.broke);
    $("filters").replaceChildren(...nodes.filter(Boolean), el("label", { class: "grow" }, "Text", search),
      el("label", { class: "check" }, box, "passed clean, failed perturbed"), el("button", { type: "reset" }, "Show all"));
  }

  // ------------------------------------------------------------------ the list: the page holds only the lines in view
  const good = (s) => s.outcome === "passed";
  const mark = (s) => el("span", { class: good(s) ? "good" : "bad", title: s.outcome, role: "img", "aria-label": s.outcome }, good(s) ? "✓" : "✗");
  const about = (s) => FIELDS.slice(0, 6).filter(([name]) => $("f-" + name)).map(([, , value, shown]) => (shown ? shown(value(s)) : value(s))).join(" · ");
  function paint() {
    const list = $("list");
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
    const options = [];
    for (let i = first; i < last; i += 1) {
      const s = shown[i];
      const marks = el("span", { class: "marks" }, ...(s.clean ? [mark(s.clean), " → "] : []), mark(s));
      options.push(el("div", {
        class: "option", role: "option", id: "option-" + i, style: `top:${i * ROW}px`, "aria-selected": String(i === current),
        "aria-setsize": shown.length, "aria-posinset": i + 1, onclick: () => select(i),
      }, el("b", {}, taskId(s) + (s.draw ? ` · sample ${s.draw}` : "")), el("span", { class: "where" }, about(s)), marks));
    }
    $("rows").replaceChildren(...options);
    if (current >= 0) list.setAttribute("aria-activedescendant", "option-" + current); else list.removeAttribute("aria-activedescendant");
  }
  function reveal() {
    const list = $("list");
    const top = current * ROW;
    const outside = top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight;
    if (current >= 0 && outside) list.scrollTop = Math.max(0, top - list.clientHeight / 2 + ROW / 2);
    paint();
  }
  function select(index) {
    if (!shown.length) return;
    current = Math.max(0, Math.min(shown.length - 1, index));
    state = { ...state, at: identity(shown[current]) };
    remember();
    reveal();
    detail();
  }

  // ------------------------------------------------------------------ one sample
  const verdict = (s) => el("span", { class: good(s) ? "good" : "bad" }, (good(s) ? "✓ " : "✗ ") + s.outcome.replaceAll("_", " "));
  const label = (text) => el("p", { class: "label" }, text);
  const block = (name, text, kind) => (text ? [label(name), el("pre", { class: kind || null, tabindex: "0" }, plain(text))] : []);
  function promptBlock(s, keep, tag) {
    const spans = parts(s).filter(([kind]) => kind === "equal" || kind === keep)
      .map(([kind, text]) => (kind === "equal" ? plain(text) : el(tag, {}, plain(text))));
    return [label("Prompt"), el("pre", { tabindex: "0" }, ...spans)];
  }
  const completion = (s, note) => [
    label("Completion" + note),
    data.texts[s.text] ? el("pre", { tabindex: "0" }, plain(data.texts[s.text])) : el("p", { class: "nothing" }, "empty"),
    ...(s.program === null ? [] : block("Program that was run", data.texts[s.program])),
    ...block("What happened", data.texts[s.detail], good(s) ? null : "reason"), ...block("Error output", data.texts[s.stderr]),
  ];
  function side(s, title, prompt, note) {
    const rest = s ? completion(s, note) : [el("p", { class: "nothing" }, "no result on the clean prompt")];
    return el("div", {}, el("h4", {}, title, s ? verdict(s) : null), ...prompt, ...rest);
  }
  function detail() {
    const s = shown[current];
    if (!s) { $("detail").replaceChildren(el("p", { class: "nothing" }, "No sample matches this filter.")); return; }
    const link = (event) => { state = { ...state, at: identity(s) }; remember(); copy(location.href.split("#")[0] + address(), event.currentTarget); };
    const bar = el("div", { class: "bar" }, el("h3", {}, taskId(s)),
      el("button", { type: "button", id: "previous", "aria-label": "Previous sample", onclick: () => select(current - 1) }, "←"),
      el("button", { type: "button", id: "next", "aria-label": "Next sample", onclick: () => select(current + 1) }, "→"),
      el("button", { type: "button", onclick: link }, "Copy link"));
    const method = s.test.methods[s.task];
    const member = method && method !== s.test.name ? `, this prompt perturbed by ${labelled(method)}` : "";
    const damaged = s.test.broken.includes(s.task) ? " · the prompt no longer compiles" : "";
    const title = el("p", { class: "about" }, `${about(s)}${member}${damaged} · ${current + 1} of ${shown.length.toLocaleString("en")}`);
    const same = s.clean && s.clean.text === s.text ? " (the same)" : "";
    const columns = s.test.name === "clean" ? [side(s, "Clean", promptBlock(s, "", ""), "")]
      : [side(s.clean, "Clean", promptBlock(s, "removed", "del"), ""), side(s, "Perturbed: " + labelled(s.test.name), promptBlock(s, "added", "ins"), same)];
    $("detail").replaceChildren(bar, title, el("div", { class: "sides" }, ...columns));
    $("detail").scrollTop = 0;
  }

  // ------------------------------------------------------------------ events
  const pageful = () => Math.max(1, Math.floor($("list").clientHeight / ROW) - 1);
  $("list").addEventListener("scroll", paint, { passive: true });
  $("list").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: pageful(), PageUp: -pageful(), Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    select(current + step);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (event.key === "j") select(current + 1);
    if (event.key === "k") select(current - 1);
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", (event) => { event.preventDefault(); start(unset()); remember(); });
  window.addEventListener("hashchange", () => { const read = readAddress(); if (read) start(read); });
  window.addEventListener("resize", paint);
  function start(from) { state = from; controls(); filter(); }

  const linked = readAddress();
  start(linked || opening());
  if (linked) $("samples").scrollIntoView();
})();
