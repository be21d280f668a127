/* The page for people: polls /v1/services, /v1/history and /v1/coldstarts and draws what they say. */
"use strict";

const LOOK_MS = 1000; // between two looks at the live state
const TILES = 240; // pods that are shown; more are only counted
const SLOTS = 16; // of a pod, one square each
const POINTS = 360;
const SECRET = "slotgate-secret";
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);

const history = { columns: [], services: new Map(), last: 0, intervalSeconds: 5 };
let services = [];
let coldStarts = new Map(); // by their service's name, the newest first
let chosen = null; // a service's name
let offset = 0; // the gateway's clock, less ours

/* --- small things -------------------------------------------------------------------------- */

function element(name, className, text) {
	const it = document.createElement(name);
	if (className)
		it.className = className;
	if (text !== undefined)
		it.textContent = text;
	return it;
}

function seconds(s) {
	if (s === null || s === undefined)
		return "–";
	if (s < 0.9995)
		return `${Math.round(s * 1000)} ms`;
	if (s < 99.5)
		return `${s.toFixed(s < 9.95 ? 2 : 1)} s`;
	return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
}

function several(n, one) {
	return `${count(n)} ${one}${n === 1 ? "" : "s"}`;
}

function count(n) {
	return n === null || n === undefined ? "–" : n.toLocaleString("en");
}

/* For an axis: few characters. */
function brief(n) {
	for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
		if (n >= unit)
			return `${n / unit}${name}`;
	return String(n);
}

function ago(s) {
	if (s < 60)
		return `${Math.max(0, Math.floor(s))} s`;
	if (s < 3600)
		return `${Math.floor(s / 60)} min`;
	return s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
}

function clockTime(ms) {
	return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/* --- asking -------------------------------------------------------------------------------- */

class Unauthorized extends Error {}

async function ask(path) {
	const secret = sessionStorage.getItem(SECRET);
	const answer = await fetch(path, {
		cache: "no-store",
		headers: secret ? { Authorization: `Bearer ${secret}` } : {},
		signal: AbortSignal.timeout(10000),
	});
	if (answer.status === 401)
		throw new Unauthorized();
	if (!answer.ok)
		throw new Error(`${path} answers ${answer.status}`);
	return answer.json();
}

function take(told) {
	history.columns = told.columns;
	history.intervalSeconds = told.intervalSeconds;
	offset = told.now - Date.now();
	const known = new Map();
	for (const service of told.services) {
		const before = history.services.get(service.name);
		const points = [...(before ? before.points : []), ...service.points].slice(-POINTS);
		known.set(service.name, { ...service, points });
		for (const point of service.points)
			history.last = Math.max(history.last, point[0]);
	}
	history.services = known;
}

/* One number of each point. */
function column(points, name) {
	const at = history.columns.indexOf(name);
	return points.map((point) => point[at]);
}

/* --- figures ------------------------------------------------------------------------------- */

function figure(name, value, more) {
	const box = element("div");
	const dd = element("dd", "", value);
	box.append(element("dt", "", name), dd);
	dd.append(element("span", "more", more || " "));
	return box;
}

function sum(list) {
	return list.reduce((a, b) => a + b, 0);
}

function showFigures(service, points) {
	const minute = points.slice(-Math.ceil(60 / history.intervalSeconds));
	const totals = Object.fromEntries(["ok", "clientErrors", "serverErrors", "aborted", "refused"]
		.map((name) => [name, sum(column(minute, name))]));
	const answered = totals.ok + totals.clientErrors + totals.serverErrors;
	const last = points.length ? (name) => column(points.slice(-1), name)[0] : () => null;
	const { scale, queue, slots } = service;
	const atWork = slots.granted + slots.working + slots.draining + slots.confirming +
		slots.quarantined;
	const bad = totals.clientErrors + totals.serverErrors;
	$("figures").replaceChildren(
		figure("Waiting", count(queue.waiting), `of at most ${count(queue.maxRequests)}`),
		figure("At work", count(atWork), `${several(slots.free, "slot")} free`),
		figure("Pods ready", count(scale.ready), `${count(scale.desired)} wanted, ${scale.maxScale ? `at most ${count(scale.maxScale)}` : "any number"}`),
		figure("Response, P50", seconds(last("p50")), `P99 ${seconds(last("p99"))}`),
		figure("Requests a minute", count(answered + totals.aborted),
			`${count(totals.aborted)} left early`),
		figure("Success", answered ? `${(100 * totals.ok / answered).toFixed(bad ? 1 : 0)} %` : "–",
			`${count(totals.refused)} refused`));
	$("failure").hidden = !scale.failure;
	$("failure").textContent = `No pod can be started: ${scale.failure}`;
}

/* --- pods ---------------------------------------------------------------------------------- */

/* A pod's state in one word, as people say it, and its tone. */
function podState(pod) {
	if (pod.state === "full" || (pod.state === "ready" && pod.used))
		return pod.slots.draining ? ["draining", "going"] : ["working", "working"];
	const tones = {
		ready: "ready", starting: "coming", checking: "coming", ejected: "bad",
		quarantined: "bad", withdrawn: "going", removing: "going",
	};
	return [pod.state === "ready" ? "idle" : pod.state, tones[pod.state] || "gone"];
}

function slotSquares(pod) {
	const squares = element("span", "slots");
	for (const state of ["working", "granted", "draining", "confirming", "quarantined"])
		for (let i = 0; i < pod.slots[state] && squares.children.length < SLOTS; i++)
			squares.append(element("i", `slot ${state}`));
	const most = Math.min(SLOTS, Math.max(pod.capacity, squares.children.length));
	while (squares.children.length < most)
		squares.append(element("i", "slot"));
	squares.setAttribute("aria-hidden", "true");
	return squares;
}

function tile(pod) {
	const [state, tone] = podState(pod);
	const it = element("li", `pod tone-${tone}`);
	it.title = `${pod.name} ${pod.address}`;
	const [name] = pod.name.split("@"); // of a local process its address follows
	it.append(element("span", "name", name), element("span", "since", ago(pod.stateSeconds)),
		element("span", "state", state), slotSquares(pod));
	if (name !== pod.address)
		it.append(element("span", "why", pod.address));
	if (pod.capacity > 1)
		it.append(element("span", "why", `${pod.used} of ${pod.capacity} slots`));
	if (pod.lastAnswer && tone !== "working" && tone !== "ready")
		it.append(element("span", "why", pod.lastAnswer));
	return it;
}

function showPods(service) {
	const counts = new Map();
	for (const pod of service.pods) {
		const [state] = podState(pod);
		counts.set(state, (counts.get(state) || 0) + 1);
	}
	const pods = [...service.pods].sort((a, b) =>
		a.name.localeCompare(b.name, undefined, { numeric: true }));
	$("pods").replaceChildren(...pods.slice(0, TILES).map(tile));
	$("pods-summary").textContent = service.pods.length
		? [...counts].map(([state, n]) => `${n} ${state}`).join(", ")
		: "There is none. The first request starts one.";
	$("pods-note").textContent = pods.length > TILES ? `and ${pods.length - TILES} more` : "";
}

/* --- charts -------------------------------------------------------------------------------- */

const CHARTS = {
	"chart-times": { unit: seconds, series: [["p50", "P50", "teal"], ["p90", "P90", "blue"],
		["p95", "P95", "violet"], ["p99", "P99", "red"]] },
	"chart-waits": { unit: seconds, series: [["waitP50", "P50", "teal"], ["waitP90", "P90", "blue"],
		["waitP95", "P95", "violet"], ["waitP99", "P99", "red"]] },
	"chart-works": { unit: seconds, series: [["workP50", "P50", "teal"], ["workP90", "P90", "blue"],
		["workP95", "P95", "violet"], ["workP99", "P99", "red"]] },
	"chart-scale": { steps: true, series: [["wanted", "wanted", "grey dashed"],
		["starting", "starting", "amber"], ["ready", "ready", "blue"],
		["working", "working", "teal"]] },
	"chart-queue": { steps: true, series: [["waiting", "waiting", "amber"],
		["atWork", "at work", "teal"]] },
	"chart-answers": { bars: true, series: [["ok", "good", "teal"], ["clientErrors", "4xx", "amber"],
		["serverErrors", "5xx", "red"], ["aborted", "left early", "grey"]] },
};

function svg(name, attributes, text) {
	const it = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(attributes))
		it.setAttribute(key, value);
	if (text !== undefined)
		it.textContent = text;
	return it;
}

/* A round number at or above the highest value, and not far above it. */
function ceiling(value, whole) {
	if (!(value > 0))
		return whole ? 2 : 1;
	const power = 10 ** Math.floor(Math.log10(value));
	const top = [1, 2, 3, 4, 6, 8, 10].map((n) => n * power).find((n) => n >= value);
	return whole ? Math.max(2, Math.ceil(top / 2) * 2) : top;
}

class Chart {
	constructor(id) {
		this.id = id;
		this.box = $(id);
		this.kind = CHARTS[id];
		this.unit = this.kind.unit || count;
		this.cursor = null; // an index; null: the last point
		this.points = [];
		this.drawing = svg("svg", { role: "img", tabindex: "0" });
		this.keys = element("div", "keys");
		this.box.append(this.drawing, this.keys);
		this.drawing.addEventListener("pointermove", (event) => this.point(event));
		this.drawing.addEventListener("pointerleave", () => this.move(null));
		this.drawing.addEventListener("blur", () => this.move(null));
		this.drawing.addEventListener("keydown", (event) => this.press(event));
	}

	point(event) {
		const box = this.drawing.getBoundingClientRect();
		const at = this.begin + (event.clientX - box.left - this.left) / this.inner * this.span;
		let best = null;
		this.points.forEach((point, i) => {
			if (best === null || Math.abs(point[0] - at) < Math.abs(this.points[best][0] - at))
				best = i;
		});
		this.move(best);
	}

	press(event) {
		const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
		if (!step || !this.points.length)
			return;
		event.preventDefault();
		const from = this.cursor === null ? this.points.length - 1 : this.cursor;
		this.move(Math.min(this.points.length - 1, Math.max(0, from + step)));
	}

	move(cursor) {
		this.cursor = cursor;
		this.draw();
	}

	show(points) {
		this.points = points;
		this.draw();
	}

	/* The values of one series; bars stand on those below them. */
	values() {
		const lists = this.kind.series.map(([name]) => column(this.points, name));
		if (this.kind.bars)
			for (let i = 1; i < lists.length; i++)
				lists[i] = lists[i].map((value, at) => value + lists[i - 1][at]);
		return lists;
	}

	draw() {
		const lists = this.values();
		const width = Math.max(200, this.drawing.clientWidth), height = 176;
		const known = lists.flat().filter((value) => value !== null);
		this.top = ceiling(Math.max(0, ...known), !this.kind.unit);
		this.left = this.kind.unit ? 58 : 36;
		this.inner = width - this.left - 8;
		this.bottom = height - 24;
		this.end = this.points.length ? this.points[this.points.length - 1][0] : Date.now() + offset;
		const first = this.points.length ? this.points[0][0] : this.end;
		this.span = Math.min(30 * 60000, Math.max(2 * 60000, this.end - first));
		this.begin = this.end - this.span;
		this.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
		this.drawing.replaceChildren(...this.frame(width),
			...this.kind.series.flatMap((series, i) => this.series(series, lists, i)).reverse());
		this.showCursor();
		this.label();
	}

	x(ms) {
		return this.left + (ms - this.begin) / this.span * this.inner;
	}

	y(value) {
		return this.bottom - value / this.top * (this.bottom - 10);
	}

	*frame(width) {
		for (const part of [0, 0.5, 1]) {
			const y = this.y(part * this.top);
			yield svg("line", { class: "grid", x1: this.left, x2: width - 8, y1: y, y2: y });
			const value = part * this.top;
			const text = !part ? "0" : (this.kind.unit || brief)(value);
			yield svg("text", { x: this.left - 6, y: y + 4, "text-anchor": "end" }, text);
		}
		const anchors = ["start", "middle", "end"];
		for (const i of [0, 1, 2]) {
			const at = this.begin + this.span * i / 2;
			yield svg("text", { x: this.x(at), y: this.bottom + 18, "text-anchor": anchors[i] },
				clockTime(at));
		}
	}

	series([, , tone], lists, i) {
		if (this.kind.bars)
			return this.bars(tone, lists[i], lists[i - 1]);
		const runs = [[]];
		lists[i].forEach((value, at) => {
			const x = this.x(this.points[at][0]);
			const run = runs[runs.length - 1];
			if (value === null || x < this.left) {
				runs.push([]);
				return;
			}
			if (this.kind.steps && run.length)
				run.push([x, run[run.length - 1][1]]);
			run.push([x, this.y(value)]);
		});
		return runs.filter((run) => run.length).map((run) => (run.length === 1
			? svg("circle", { class: `dot ${tone}`, cx: run[0][0], cy: run[0][1], r: 2.5 })
			: svg("polyline", { class: tone,
				points: run.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ") })));
	}

	bars(tone, list, below) {
		const step = this.inner * history.intervalSeconds * 1000 / this.span;
		const width = Math.max(1, step - (step > 4 ? 1 : 0));
		return list.map((value, at) => {
			const from = below ? below[at] : 0, x = this.x(this.points[at][0]) - width;
			return value > from && x >= this.left - 1 ? svg("rect", { class: `bar ${tone}`, x, width,
				y: this.y(value), height: this.y(from) - this.y(value) }) : null;
		}).filter((bar) => bar);
	}

	showCursor() {
		const at = this.cursor === null ? this.points.length - 1 : this.cursor;
		const point = this.points[at];
		if (this.cursor !== null && point)
			this.drawing.append(svg("line", { class: "cursor", x1: this.x(point[0]),
				x2: this.x(point[0]), y1: 10, y2: this.bottom }));
		this.keys.replaceChildren(...this.kind.series.map(([name, title, tone]) => {
			const key = element("span");
			const value = point ? column([point], name)[0] : null;
			key.append(element("i", `swatch ${tone}`), `${title} `,
				element("b", "", this.unit(value)));
			return key;
		}));
		if (this.cursor !== null && point)
			this.keys.append(element("span", "", new Date(point[0]).toLocaleTimeString()));
	}

	label() {
		const title = this.box.parentElement.querySelector("h2").textContent;
		this.drawing.setAttribute("aria-label", `${title}. Now: ${this.keys.textContent}`);
	}
}

/* --- cold starts, troubles, tenants -------------------------------------------------------- */

const TONES = { order: "grey", create: "grey", trigger: "amber", schedule: "amber",
	prepare: "violet", pull_start: "blue", pull: "blue", start: "teal", listen: "teal",
	ready: "teal", check: "violet", request: "grey", answer: "violet" };
const UNDER_WAY = { starting: "starting", ready: "waits for its first request" };

/* "pull 4 min 0 s"; of several phases nobody knows the border. */
function spanText(span) {
	return `${span.phases.join(" + ").replaceAll("_", " ")} ${seconds(span.seconds)}`;
}

function part(tone, share, title) {
	const it = element("i", tone);
	it.style.width = `${100 * share}%`;
	it.title = title;
	return it;
}

/* The phases in order, as long as they took; what is under way goes on behind them. */
function waterfall(start, longest) {
	const bars = element("div", "bars");
	const told = start.spans.reduce((sum, span) => sum + span.seconds, 0);
	bars.append(...start.spans.map((span) => part(
		span.phases.length > 1 ? "unknown" : TONES[span.phases[0]],
		span.seconds / longest, spanText(span))));
	if (start.seconds > told)
		bars.append(part("going-on", (start.seconds - told) / longest,
			`since ${start.since || "it was seen"} ${seconds(start.seconds - told)}`));
	return bars;
}

function showStarts(starts) {
	const shown = starts.slice(0, 8);
	const longest = Math.max(...shown.map((start) => start.seconds), 0.001);
	$("starts").replaceChildren(...shown.map((start) => {
		const it = element("li"), about = element("div", "about");
		const state = UNDER_WAY[start.state] || (start.state === "gone" ? "gone before it answered" : "");
		about.append(element("span", "", `${clockTime(start.at)} ${start.pod}`),
			element("span", "", seconds(start.seconds)));
		const long = [...start.spans].filter((span) => span.seconds >= start.seconds / 20);
		it.append(about, waterfall(start, longest), element("p", "phases",
			[state, ...long.map(spanText), start.state === "starting" ? start.why : ""]
				.filter((text) => text).join(" · ")));
		return it;
	}));
	$("starts-note").textContent = starts.length
		? "From the demand to the first byte of an answer; grey stripes: nobody told the border."
		: "No pod has been started yet.";
}

function showTroubles(troubles) {
	const now = Date.now() + offset;
	const latest = [...troubles].sort((a, b) => b.at - a.at).slice(0, 10);
	$("troubles").replaceChildren(...latest.map((trouble) => {
		const it = element("li");
		const times = trouble.count > 1 ? ` × ${count(trouble.count)}` : "";
		it.append(element("b", "", `${trouble.kind}: ${trouble.what.replaceAll("_", " ")}${times}`),
			element("span", "", `${ago((now - trouble.at) / 1000)} ago`));
		if (trouble.pod)
			it.append(element("span", "where", trouble.pod));
		return it;
	}));
	$("troubles-note").textContent = latest.length ? "" : "None since slotgate has started.";
}

function showTenants(tenants) {
	$("tenants-section").hidden = !tenants.length;
	$("tenants").replaceChildren(...tenants.slice(0, 100).map((tenant) => {
		const row = element("tr");
		row.append(element("td", "", tenant.name), element("td", "", tenant.waiting),
			element("td", "", tenant.working), element("td", "", tenant.maxWorking || "any"));
		return row;
	}));
}

/* --- all of it ----------------------------------------------------------------------------- */

const charts = Object.keys(CHARTS).map((id) => new Chart(id));

function showPicker() {
	const names = services.map((service) => service.name);
	if (!names.includes(chosen))
		chosen = names[0];
	$("picker").hidden = names.length < 2;
	if ([...$("service").options].map((option) => option.value).join() !== names.join())
		$("service").replaceChildren(...names.map((name) => new Option(name)));
	$("service").value = chosen;
}

function show() {
	showPicker();
	const service = services.find((it) => it.name === chosen);
	$("content").hidden = !service;
	$("sign-in").hidden = true;
	if (!service)
		return;
	const past = history.services.get(chosen) || { points: [], troubles: [] };
	showFigures(service, past.points);
	showPods(service);
	showTenants(service.tenants);
	showStarts(coldStarts.get(chosen) || []);
	showTroubles(past.troubles);
}

function showCharts() {
	const past = history.services.get(chosen);
	for (const chart of charts)
		chart.show(past ? past.points : []);
}

function say(text, away) {
	if ($("status").textContent !== text)
		$("status").textContent = text;
	$("status").classList.toggle("away", Boolean(away));
}

function askForSecret() {
	const had = sessionStorage.getItem(SECRET) !== null;
	sessionStorage.removeItem(SECRET);
	$("refused").textContent = had ? "This is not the secret." : "";
	$("sign-in").hidden = false;
	$("content").hidden = $("forget").hidden = true;
	say("a secret is needed");
	$("secret").focus();
}

let looks = 0, timer = 0, generation = 0;

async function look() {
	const mine = ++generation; // a later look takes over from one that is under way
	clearTimeout(timer);
	try {
		const told = await ask("/v1/services");
		if (mine !== generation)
			return;
		services = told.services;
		const due = looks++ % history.intervalSeconds === 0;
		if (due) {
			const past = await ask(`/v1/history?since=${history.last}`);
			const starts = await ask("/v1/coldstarts");
			if (mine !== generation)
				return;
			take(past);
			coldStarts = new Map(starts.services.map((it) => [it.name, it.coldStarts]));
		}
		show();
		if (due)
			showCharts();
		$("forget").hidden = sessionStorage.getItem(SECRET) === null;
		say(services.length ? "live" : "no service is configured");
	} catch (error) {
		if (mine !== generation)
			return;
		if (error instanceof Unauthorized) {
			askForSecret();
			return; // the form begins anew
		}
		say("no answer; trying again", true);
		looks = 0;
	}
	timer = setTimeout(look, document.hidden ? 10 * LOOK_MS : LOOK_MS);
}

function begin() {
	looks = 0;
	history.last = 0;
	history.services.clear();
	look();
}

$("sign-in").addEventListener("submit", (event) => {
	event.preventDefault();
	sessionStorage.setItem(SECRET, $("secret").value);
	$("secret").value = "";
	begin();
});
$("forget").addEventListener("click", () => {
	sessionStorage.removeItem(SECRET);
	begin();
});
$("service").addEventListener("change", () => {
	chosen = $("service").value;
	show();
	showCharts();
});
document.addEventListener("visibilitychange", () => {
	if (!document.hidden && $("sign-in").hidden)
		look();
});
window.addEventListener("resize", showCharts);
begin();
