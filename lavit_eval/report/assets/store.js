// What the data scripts register, and loading them when they are needed: fetch() does not work on file:// pages.
"use strict";

const lavitReport = (() => {
  const held = new Map();
  const waiting = new Map();

  function register(key, value) {
    held.set(key, value);
  }

  function load(key, url) {
    if (held.has(key)) return Promise.resolve(held.get(key));
    if (!waiting.has(key)) {
      waiting.set(key, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = url;
        script.onload = () => {
          script.remove();
          if (held.has(key)) resolve(held.get(key));
          else reject(new Error(`${url} holds something else`));
        };
        script.onerror = () => {
          script.remove();
          waiting.delete(key);
          reject(new Error(`${url} is missing`));
        };
        document.head.append(script);
      }));
    }
    return waiting.get(key);
  }

  const about = () => held.get("tasks");
  const index = (task) => load(`index/${task}`, `data/${task}/index.js`);

  async function details(task, place, chunk) {
    const number = Math.floor(place / chunk);
    const rows = await load(`details/${task}/${number}`, `data/${task}/${number}.js`);
    return rows[place % chunk];
  }

  // Every text on the page comes through here: data never become markup.
  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "class") made.className = value;
      else made.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children) {
      if (child === null || child === undefined) continue;
      made.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
    return made;
  }

  return { register, about, index, details, element };
})();
