// Keeps the status page current. The page is complete without it.
"use strict";

const REFRESH_MS = 5000;
const FETCH_MS = 8000;
const TICK_MS = 10000;
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

const list = document.getElementById("blocks");
const template = document.getElementById("block");
const live = document.getElementById("live");
let after = list ? Number(list.dataset.after) : 0;

function ago(seconds) {
  for (const [size, unit] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return "just now";
}

function tick() {
  for (const time of document.querySelectorAll("time")) {
    time.textContent = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
  }
}

// Text only: nothing that comes from a cluster is ever parsed as markup.
function fill(item, block) {
  const put = (selector, text) => { item.querySelector(selector).textContent = text; };
  const known = ["critical", "high", "medium", "low", "info"].includes(block.severity);
  const severity = known ? block.severity : "none";
  const chip = item.querySelector(".chip");
  chip.textContent = severity;
  chip.className = `chip ${severity}`;
  put(".namespace", block.namespace ? `${block.namespace}/` : "");
  const link = (selector, key, value) => {
    item.querySelector(selector).href = `/?${key}=${encodeURIComponent(value)}#failing`;
  };
  link(".namespace", "namespace", block.namespace || "(cluster)");
  link(".policy", "policy", block.policy);
  put(".subject", block.name ? `${block.kind}/${block.name}` : block.kind);
  put(".policy", block.policy);
  put(".rule", block.rule ? ` · ${block.rule}` : "");
  item.dataset.time = block.time;
  put(".message", block.message.length > 500 ? `${block.message.slice(0, 499)}…` : block.message);
  const time = item.querySelector("time");
  time.dateTime = time.title = new Date(block.time * 1000).toISOString().replace(/\.\d+/, "");
}

// After a restart the exporter sends what it finds again: rows that are shown, or older ones.
function place(item) {
  const rows = [...list.children];
  const text = row => [Number(row.dataset.time), row.querySelector(".subject").textContent,
    row.querySelector(".policy").textContent].join(" ");
  if (rows.some(row => text(row) === text(item))) return false;
  const older = rows.find(row => Number(row.dataset.time) <= Number(item.dataset.time));
  if (!older && rows.length >= Number(list.dataset.most)) return false;
  list.insertBefore(item, older ?? null);
  return true;
}

function show(event) {
  const block = JSON.parse(event.data);
  if (block.id <= after) return;
  after = block.id;
  const item = template.content.firstElementChild.cloneNode(true);
  fill(item, block);
  item.classList.add("new");
  if (!place(item)) return;
  while (list.children.length > Number(list.dataset.most)) list.lastElementChild.remove();
  document.getElementById("no-blocks").hidden = true;
  const count = document.getElementById("blocked-count");
  if (Number(count?.textContent) < 99) count.textContent = Number(count.textContent) + 1;
  tick();
}

// Blocks are live only while the exporter itself watches Events.
let streaming = false;
function showStream() {
  const { state, events } = document.getElementById("state").dataset;
  const broken = state === "partial" ? "Events are not watched" : "not connected to the cluster";
  live.classList.toggle("on", streaming && events === "up");
  live.textContent = !streaming ? "reconnecting" : events === "up" ? "live" : broken;
}

function setStreaming(on) {
  streaming = on;
  showStream();
}

// A browser gives up for good when it is refused (503, or a proxy's answer): then start again.
function listen() {
  const source = new EventSource(`/api/v1/blocks?after=${after}`);
  source.addEventListener("open", () => setStreaming(true));
  source.addEventListener("blocked", show);
  source.addEventListener("error", () => {
    setStreaming(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
}

// The exporter itself does not answer: what is shown is old, and nothing on the page may look fine.
let lostAt = null;
function showLost(reason) {
  lostAt ??= new Date();
  const state = document.getElementById("state");
  state.className = "chip bad";
  state.dataset.state = "exporter lost";
  state.dataset.events = "down";
  state.textContent = "exporter not reachable";
  const banner = document.getElementById("connection");
  const since = lostAt.toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
  const line = document.createElement("p");
  line.textContent = `The exporter has not responded since ${since}. The numbers below are outdated. ${reason}`;
  banner.replaceChildren(line);
  banner.className = "bad";
  banner.hidden = false;
  for (const chip of document.querySelectorAll("#watched .good")) chip.classList.remove("good");
  showStream();
}

async function refresh() {
  if (document.hidden) return;
  let text;
  try {
    const timeout = AbortSignal.timeout(FETCH_MS);
    const answer = await fetch(location.pathname + location.search, { signal: timeout });
    if (!answer.ok) return showLost(`Its last response had HTTP status ${answer.status}.`);
    text = await answer.text();
  } catch {
    return showLost("");
  }
  lostAt = null;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const now = fresh.getElementById(part.id);
    if (now && !part.contains(document.activeElement)) part.replaceWith(now);
  }
  document.title = fresh.title;
  showStream();
  tick();
}

if (list) {
  listen();
  setInterval(tick, TICK_MS);
  setInterval(refresh, REFRESH_MS);
  document.addEventListener("visibilitychange", refresh);
}
