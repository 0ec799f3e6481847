/* Draws the charts, switches between panes, sorts tables. Everything shown is in the page already. */
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const options = { responsive: true, displaylogo: false, displayModeBar: false, doubleClick: false, scrollZoom: false };

  function draw(root) {
    root.querySelectorAll(".plot:not([data-drawn])").forEach(function (place) {
      if (!place.offsetParent) return; // hidden: drawn when it is shown, at the width it then has
      place.dataset.drawn = "yes";
      const figure = data.figures[place.dataset.figure];
      Plotly.newPlot(place, figure.data, figure.layout, options);
    });
  }

  function showPane(group, chosen) {
    const panes = group.querySelectorAll(".pane");
    panes.forEach(function (pane, index) { pane.hidden = index !== chosen; });
    group.querySelectorAll(".switch button").forEach(function (button, index) { button.setAttribute("aria-pressed", String(index === chosen)); });
    draw(panes[chosen]);
    document.dispatchEvent(new CustomEvent("pane-shown"));
  }

  function sortBy(table, heading) {
    const column = Array.from(heading.parentNode.children).indexOf(heading);
    const kind = heading.dataset.sort;
    const first = kind === "number" ? "descending" : "ascending";
    const order = heading.getAttribute("aria-sort") === first ? (first === "ascending" ? "descending" : "ascending") : first;
    const sign = order === "ascending" ? 1 : -1;
    const value = function (row) { return row.children[column].dataset.value || ""; };
    const rows = Array.from(table.tBodies[0].rows);
    rows.sort(function (a, b) {
      const left = value(a), right = value(b);
      if (left === "" || right === "") return (left === "") - (right === ""); // nothing comes last either way
      return sign * (kind === "text" ? left.localeCompare(right) : Number(left) - Number(right));
    });
    table.tBodies[0].append(...rows);
    heading.parentNode.querySelectorAll("[aria-sort]").forEach(function (other) { other.removeAttribute("aria-sort"); });
    heading.setAttribute("aria-sort", order);
    foldRows(table);
  }

  function foldRows(table) {
    const most = Number(table.dataset.first || Infinity);
    Array.from(table.tBodies[0].rows).forEach(function (row, index) { row.classList.toggle("more", index >= most); });
  }

  document.querySelectorAll("table[data-sortable]").forEach(function (table) {
    table.querySelectorAll("th[data-sort]").forEach(function (heading) {
      heading.tabIndex = 0;
      heading.title = "sort";
      heading.addEventListener("click", function () { sortBy(table, heading); });
      heading.addEventListener("keydown", function (event) { if (event.key === "Enter") sortBy(table, heading); });
    });
    if (table.dataset.first && window.matchMedia("(max-width: 700px)").matches) table.dataset.first = Math.ceil(table.dataset.first / 2);
    const rows = table.tBodies[0].rows.length;
    if (rows > Number(table.dataset.first || Infinity) + 2) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "all-rows";
      button.textContent = "Show all " + rows + " rows";
      button.addEventListener("click", function () { table.classList.remove("collapsed"); button.remove(); });
      table.classList.add("collapsed");
      table.parentNode.after(button);
      foldRows(table);
    }
  });

  document.querySelectorAll("[data-panes]").forEach(function (group) {
    group.querySelectorAll(".switch button").forEach(function (button, index) {
      button.addEventListener("click", function () { showPane(group, index); });
    });
    if (group.querySelector(".pane")) showPane(group, 0);
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (more) { more.open = true; });
  });
  document.documentElement.dataset.drawn = "yes";
})();
