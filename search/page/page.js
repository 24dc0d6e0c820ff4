// Draws the figures in the colours of the page, and shows the card of the selected trial.
"use strict";
(() => {
  const { figures, cards } = JSON.parse(document.getElementById("data").textContent);
  const mouse = matchMedia("(hover: hover) and (pointer: fine)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const front = document.getElementById("plot-front");

  // A copy in which names of colours (values of keys such as "color" and "gridcolor") are replaced by the colours.
  function coloured(value, style, named) {
    if (typeof value === "string") {
      return named && value.startsWith("--") ? style.getPropertyValue(value).trim() : value;
    }
    if (Array.isArray(value)) return value.map((one) => coloured(one, style, named));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [
      key, coloured(one, style, /color(scale)?$/.test(key)),
    ]));
  }

  function draw() {
    const style = getComputedStyle(document.documentElement);
    for (const target of document.querySelectorAll("[data-figure]")) {
      const figure = figures[target.dataset.figure];
      const { data, layout } = coloured({ data: figure.data, layout: figure.layout }, style, false);
      if (figure.zoom) {
        const colour = style.getPropertyValue("--selected").trim();
        data.push({
          type: "scatter", mode: "markers", x: [], y: [], hoverinfo: "skip", showlegend: false,
          marker: { size: 19, symbol: "circle-open", color: colour, line: { width: 2 } },
        });
        // A finger scrolls the page; a mouse zooms into the plot.
        layout.dragmode = mouse.matches ? "zoom" : false;
        layout.xaxis.fixedrange = layout.yaxis.fixedrange = !mouse.matches;
      }
      Plotly.react(target, data, layout, { responsive: true, displayModeBar: false });
    }
  }

  function element(kind, text, name) {
    const made = document.createElement(kind);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function widths(sites) {
    const table = element("table");
    const head = table.createTHead().insertRow();
    for (const text of ["site", "base", "trial"]) head.append(element("th", text));
    const body = table.createTBody();
    for (const [site, before, after] of sites) {
      const row = body.insertRow();
      if (before !== after) row.className = "changed";
      for (const text of [site, before, after]) row.append(element("td", text));
    }
    return table;
  }

  function highlight(number) {
    if (!front) return;
    for (const trace of front.data) {
      const index = (trace.customdata || []).findIndex((one) => String(one) === number);
      if (index >= 0) {
        Plotly.restyle(front, { x: [[trace.x[index]]], y: [[trace.y[index]]] }, [front.data.length - 1]);
        return;
      }
    }
    Plotly.restyle(front, { x: [[]], y: [[]] }, [front.data.length - 1]);
  }

  function show(number) {
    const card = cards[number], target = document.getElementById("card");
    const numbers = element("dl");
    for (const [name, text] of card.numbers) numbers.append(element("dt", name), element("dd", text));
    const plan = element("ul");
    for (const clause of card.plan) plan.append(element("li", clause));
    target.replaceChildren(element("h3", card.title), element("p", card.state, "state"));
    if (card.error) target.append(element("p", card.error, "error"));
    target.append(numbers);
    if (card.plan.length) target.append(plan);
    if (card.widths.length) target.append(widths(card.widths));
    target.dataset.shown = number;
    highlight(number);
  }

  function select(number) {
    if (!(number in cards)) return;
    show(number);
    document.getElementById("card").scrollIntoView({ block: "nearest" });
  }

  draw();
  show(document.getElementById("card").dataset.first);
  for (const target of document.querySelectorAll("[data-figure]")) {
    target.on("plotly_click", (event) => select(String(event.points[0].customdata)));
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.trial");
    if (button) select(button.dataset.trial);
  });
  dark.addEventListener("change", () => {
    draw();
    highlight(document.getElementById("card").dataset.shown);
  });
})();
