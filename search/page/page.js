// Draws the plots in the colours of the page, and shows the card of the trial that was chosen.
"use strict";
(() => {
  const { figures, cards } = JSON.parse(document.getElementById("data").textContent);
  const mouse = matchMedia("(hover: hover) and (pointer: fine)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const front = document.getElementById("plot-front");

  // A copy in which names of colours, which stand under keys such as "color" and "gridcolor", are the colours.
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
    for (const place of document.querySelectorAll("[data-figure]")) {
      const figure = figures[place.dataset.figure];
      const { data, layout } = coloured({ data: figure.data, layout: figure.layout }, style, false);
      if (figure.zoom) {
        const colour = style.getPropertyValue("--chosen").trim();
        data.push({
          type: "scatter", mode: "markers", x: [], y: [], hoverinfo: "skip", showlegend: false,
          marker: { size: 19, symbol: "circle-open", color: colour, line: { width: 2 } },
        });
        // A finger scrolls the page; a mouse zooms into the plot.
        layout.dragmode = mouse.matches ? "zoom" : false;
        layout.xaxis.fixedrange = layout.yaxis.fixedrange = !mouse.matches;
      }
      Plotly.react(place, data, layout, { responsive: true, displayModeBar: false });
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
    for (const text of ["site", "base", "now"]) head.append(element("th", text));
    const body = table.createTBody();
    for (const [site, before, now] of sites) {
      const row = body.insertRow();
      if (before !== now) row.className = "changed";
      for (const text of [site, before, now]) row.append(element("td", text));
    }
    return table;
  }

  function ring(number) {
    if (!front) return;
    for (const trace of front.data) {
      const place = (trace.customdata || []).findIndex((one) => String(one) === number);
      if (place >= 0) {
        Plotly.restyle(front, { x: [[trace.x[place]]], y: [[trace.y[place]]] }, [front.data.length - 1]);
        return;
      }
    }
    Plotly.restyle(front, { x: [[]], y: [[]] }, [front.data.length - 1]);
  }

  function show(number) {
    const card = cards[number], place = document.getElementById("card");
    const numbers = element("dl");
    for (const [name, text] of card.numbers) numbers.append(element("dt", name), element("dd", text));
    const plan = element("ul");
    for (const clause of card.plan) plan.append(element("li", clause));
    place.replaceChildren(element("h3", card.title), element("p", card.state, "state"));
    if (card.error) place.append(element("p", card.error, "error"));
    place.append(numbers);
    if (card.plan.length) place.append(plan);
    if (card.widths.length) place.append(widths(card.widths));
    place.dataset.shown = number;
    ring(number);
  }

  function choose(number) {
    if (!(number in cards)) return;
    show(number);
    document.getElementById("card").scrollIntoView({ block: "nearest" });
  }

  draw();
  show(document.getElementById("card").dataset.first);
  for (const place of document.querySelectorAll("[data-figure]")) {
    place.on("plotly_click", (event) => choose(String(event.points[0].customdata)));
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.trial");
    if (button) choose(button.dataset.trial);
  });
  dark.addEventListener("change", () => {
    draw();
    ring(document.getElementById("card").dataset.shown);
  });
})();
