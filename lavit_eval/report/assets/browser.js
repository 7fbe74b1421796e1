// The sample browser: filters, list and detail, driven by keys as well as by hand.
"use strict";

(() => {
  const { element, query, detail } = lavitReport;
  const about = lavitReport.about();
  const by = (id) => document.getElementById(id);
  const [task, order, outcome, category, search] = ["task", "order", "outcome", "category", "search"].map(by);
  const [box, panel, count] = [by("list"), by("detail"), by("count")];
  const names = { model: about.model, base: about.base };
  const narrow = matchMedia("(max-width: 760px)");
  let index = null;
  let opened = 0;

  function fill(row, place) {
    const own = index.scores[place];
    const drop = query.drop(index, place);
    const failed = index.outcomes[place] !== "a";
    const title = index.questions[place] || index.references[place] || index.ids[place];
    const said = failed ? "no answer" : index.answers[place];
    const changed = drop > 0 ? "worse" : drop < 0 ? "better" : "";
    const value = changed ? `${detail.number(index.base[place])} → ${detail.number(own)}` : detail.number(own);
    row.append(
      element("span", { "class": "title" }, title),
      element("span", { "class": `score ${changed}` }, changed ? element("span", { "class": "sr" }, `${changed}: `) : null, value),
      element("span", { "class": failed ? "said worse" : "said" }, said || index.ids[place]),
    );
  }

  async function chosen(place, byHand) {
    opened = place;
    const about_ = about.tasks[task.value];
    const from = index;
    try {
      const said = await lavitReport.details(task.value, place, index.chunk);
      // Somebody who holds a key down is further on by now.
      if (opened !== place || from !== index) return;
      detail.show(panel, about_, index, place, said, names);
    } catch (error) {
      panel.replaceChildren(element("p", { "class": "worse" }, error.message));
    }
    remember();
    if (byHand && narrow.matches) panel.scrollIntoView({ block: "start" });
  }

  const list = new lavitReport.List(box, by("spacer"), fill, chosen);

  function options(select, pairs) {
    const before = select.value;
    select.replaceChildren(...pairs.map(([value, label]) => element("option", { value }, label)));
    if (pairs.some(([value]) => value === before)) select.value = before;
  }

  function categories() {
    const groups = index.axes.map((axis, number) => {
      const places = axis.names.map((name, code) => [name, code]).sort(([one], [other]) => one.localeCompare(other));
      return element("optgroup", { "label": axis.axis.replaceAll("_", " ") },
        ...places.map(([name, code]) => element("option", { "value": `${number}:${code}` }, name)));
    });
    category.replaceChildren(element("option", { "value": "" }, "all"), ...groups);
    by("axis-label").hidden = !groups.length;
  }

  function apply(first = true) {
    const [axis, code] = category.value ? category.value.split(":").map(Number) : [-1, -1];
    const places = query.select(index, {
      order: order.value, outcome: outcome.value, axis, category: code, search: search.value,
    });
    list.show(places);
    const metric = index.metric === null ? "" : `, scored by ${index.metric}${index.unit ? `, ${index.unit}` : ""}`;
    const shown = places.length === index.n ? "" : `${places.length.toLocaleString("en")} of `;
    count.textContent = `${shown}${index.n.toLocaleString("en")} samples${metric}`;
    if (!places.length) {
      opened = -1;
      panel.replaceChildren(element("p", { "class": "dim" }, "No sample fits these filters."));
    } else if (first) list.choose(0, false);
  }

  async function open(number, wanted = {}) {
    task.value = String(number);
    count.textContent = "Loading …";
    let loaded;
    try {
      loaded = await lavitReport.index(number);
    } catch (error) {
      count.textContent = error.message;
      return;
    }
    if (task.value !== String(number)) return;
    index = loaded;
    options(order, query.orders(index).map((name) => [name, query.ORDERS[name]]));
    options(outcome, query.outcomes(index));
    categories();
    if (wanted.order) order.value = wanted.order;
    outcome.value = wanted.outcome || "";
    search.value = wanted.search || "";
    if (wanted.sample !== undefined) order.value = "official";
    apply(wanted.sample === undefined);
    if (wanted.sample !== undefined) {
      const at = list.places.findIndex((place) => index.ids[place] === wanted.sample);
      list.choose(Math.max(0, at), false);
    }
  }

  // The address says what is open, so that a link to a sample can be sent to somebody who has the folder.
  function remember() {
    const state = new URLSearchParams({ task: about.tasks[task.value].name, sample: index.ids[opened] });
    if (/^#(samples)?($|\?)/.test(location.hash)) history.replaceState(null, "", `#samples?${state}`);
  }

  function remembered() {
    const [, text] = location.hash.split("?");
    const state = new URLSearchParams(text || "");
    const number = about.tasks.findIndex((one) => one.name === state.get("task"));
    return number < 0 ? null : [number, state.has("sample") ? { sample: state.get("sample") } : {}];
  }

  function typing(target) {
    return target.closest("input:not([type=range]), select, textarea, summary, a, button") !== null;
  }

  const KEYS = {
    j: () => list.move(1), ArrowDown: () => list.move(1), k: () => list.move(-1), ArrowUp: () => list.move(-1),
    PageDown: () => list.move(list.page), PageUp: () => list.move(-list.page),
    Home: () => list.choose(0, false), End: () => list.choose(list.places.length - 1, false),
    Enter: () => panel.focus(),
    " ": () => panel.toggle && panel.toggle(),
  };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || index === null) return;
    if (event.key === "Escape") {
      if (document.activeElement === search) search.blur();
      box.focus();
      return;
    }
    if (event.key === "/" && !typing(event.target)) {
      event.preventDefault();
      by("samples").scrollIntoView();
      search.focus();
      return;
    }
    const within = by("browser").contains(event.target);
    const anywhere = event.key === "j" || event.key === "k";
    if (typing(event.target) || !(within || anywhere) || !KEYS[event.key]) return;
    // In the detail, arrows scroll and the space key belongs to a focused video.
    if (panel.contains(event.target) && !anywhere && event.key !== " ") return;
    event.preventDefault();
    KEYS[event.key]();
  }

  document.addEventListener("keydown", pressed);
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  task.addEventListener("change", () => open(Number(task.value)));
  for (const one of [order, outcome, category]) one.addEventListener("change", () => apply());
  let pause = 0;
  search.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(apply, 120);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      box.focus();
    }
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-open]");
    if (link) open(Number(link.dataset.open), { sample: link.dataset.sample, outcome: link.dataset.outcome });
    if (event.target.closest(".back")) by("samples").scrollIntoView();
  });
  addEventListener("hashchange", () => {
    const state = remembered();
    if (state) open(...state);
  });
  if (about.tasks.length) open(...(remembered() || [0]));
})();
