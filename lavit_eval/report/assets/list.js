// A list of any length: only the rows in sight are in the document.
"use strict";

lavitReport.List = class {
  static ROW = 52;
  static SPARE = 8;

  constructor(box, spacer, fill, chosen) {
    this.box = box;
    this.spacer = spacer;
    this.fill = fill;
    this.chosen = chosen;
    this.places = [];
    this.at = -1;
    this.rows = new Map();
    this.box.addEventListener("scroll", () => this.later(), { passive: true });
    new ResizeObserver(() => this.later()).observe(this.box);
    this.spacer.addEventListener("click", (event) => {
      const row = event.target.closest("[data-row]");
      if (row) this.choose(Number(row.dataset.row), true);
    });
  }

  show(places) {
    this.places = places;
    this.at = -1;
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.spacer.style.height = `${places.length * this.constructor.ROW}px`;
    this.box.scrollTop = 0;
    this.box.removeAttribute("aria-activedescendant");
    this.draw();
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const { ROW, SPARE } = this.constructor;
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
    const last = Math.min(this.places.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + SPARE);
    for (const [number, row] of this.rows) {
      if (number < first || number >= last) {
        row.remove();
        this.rows.delete(number);
      }
    }
    for (let number = first; number < last; number += 1) {
      if (!this.rows.has(number)) this.add(number);
    }
  }

  add(number) {
    const row = lavitReport.element("div", {
      "class": "row", "role": "option", "id": `row-${number}`, "data-row": number,
      "aria-setsize": this.places.length, "aria-posinset": number + 1, "aria-selected": number === this.at ? "true" : "false",
    });
    row.style.transform = `translateY(${number * this.constructor.ROW}px)`;
    this.fill(row, this.places[number]);
    this.rows.set(number, row);
    this.spacer.append(row);
  }

  choose(number, byHand) {
    if (!this.places.length) return;
    const next = Math.min(this.places.length - 1, Math.max(0, number));
    const before = this.rows.get(this.at);
    if (before) before.setAttribute("aria-selected", "false");
    this.at = next;
    this.scrollTo(next);
    this.draw();
    this.rows.get(next).setAttribute("aria-selected", "true");
    this.box.setAttribute("aria-activedescendant", `row-${next}`);
    this.chosen(this.places[next], byHand);
  }

  scrollTo(number) {
    const { ROW } = this.constructor;
    const top = number * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + ROW > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = top + ROW - this.box.clientHeight;
    }
  }

  move(by) {
    this.choose(this.at < 0 ? 0 : this.at + by, false);
  }

  get page() {
    return Math.max(1, Math.floor(this.box.clientHeight / this.constructor.ROW) - 1);
  }
};
