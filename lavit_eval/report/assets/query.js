// Which samples are shown, and in which order: plain loops over the columns of a task's index.
"use strict";

lavitReport.query = (() => {
  const ORDERS = {
    "worse": "worst against BASE first",
    "better": "best against BASE first",
    "low": "lowest score first",
    "high": "highest score first",
    "official": "official order",
  };

  // Positive where the run is worse than BASE, whichever way the metric points; NaN where one has no score.
  function drop(index, place) {
    const own = index.scores[place];
    const base = index.base ? index.base[place] : null;
    if (own === null || base === null) return NaN;
    return index.higher ? base - own : own - base;
  }

  function orders(index) {
    const names = index.metric === null ? ["official"] : ["low", "high", "official"];
    return index.base && index.metric !== null ? ["worse", "better", ...names] : names;
  }

  function outcomes(index) {
    const found = [["", "all"]];
    const count = (sign) => index.outcomes.split(sign).length - 1;
    if (count("f")) found.push(["f", `failed (${count("f").toLocaleString("en")})`]);
    if (count("s")) found.push(["s", `skipped (${count("s").toLocaleString("en")})`]);
    if (count("f") + count("s")) found.push(["a", `answered (${count("a").toLocaleString("en")})`]);
    if (index.base) {
      found.push(["worse", "worse than BASE"], ["better", "better than BASE"], ["same", "the same as BASE"]);
    }
    return found;
  }

  function haystacks(index) {
    if (!index.haystacks) {
      index.haystacks = index.ids.map((id, place) =>
        [id, index.questions[place], index.answers[place], index.references[place]].join("\n").toLowerCase());
    }
    return index.haystacks;
  }

  function fits(index, place, outcome) {
    if (outcome === "") return true;
    if (outcome.length === 1) return index.outcomes[place] === outcome;
    const by = drop(index, place);
    if (outcome === "worse") return by > 0;
    return outcome === "better" ? by < 0 : by === 0;
  }

  function sorted(index, places, order) {
    if (order === "official") return places;
    const key = new Float64Array(index.n);
    const against = order === "worse" || order === "better";
    const sign = order === "worse" || order === "high" ? -1 : 1;
    for (const place of places) {
      const value = against ? drop(index, place) : index.scores[place];
      // What has no score stands at the end.
      key[place] = value === null || Number.isNaN(value) ? Infinity : sign * value;
    }
    return places.sort((one, other) => (key[one] < key[other] ? -1 : key[one] > key[other] ? 1 : one - other));
  }

  function select(index, { order, outcome, axis, category, search }) {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const texts = words.length ? haystacks(index) : null;
    const codes = axis >= 0 ? index.axes[axis].codes : null;
    const places = [];
    for (let place = 0; place < index.n; place += 1) {
      if (!fits(index, place, outcome)) continue;
      if (codes && codes[place] !== category) continue;
      if (texts && !words.every((word) => texts[place].includes(word))) continue;
      places.push(place);
    }
    return sorted(index, places, order);
  }

  return { ORDERS, orders, outcomes, select, drop };
})();
