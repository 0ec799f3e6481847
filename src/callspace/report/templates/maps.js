/* The maps: one canvas each, the same windows in all; pointing at one finds it in the others. */
(function () {
  "use strict";
  const maps = JSON.parse(document.getElementById("data").textContent).maps;
  const windows = maps.windows, labels = maps.labels, count = windows.id.length;
  const ABSENT = -32768, LARGEST = 32000, MARGIN = 0.045;
  const panels = maps.panels.map(function (text) {
    const bytes = Uint8Array.from(atob(text), function (character) { return character.charCodeAt(0); });
    const view = new DataView(bytes.buffer), points = new Int16Array(2 * count);
    for (let index = 0; index < points.length; index++) points[index] = view.getInt16(2 * index, true);
    return points;
  });
  const canvases = Array.from(document.querySelectorAll("canvas[data-panel]"));
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  let alone = -1, pointed = -1;

  // Background first, then labels in turn, so that no label hides all others.
  const order = Array.from({ length: count }, function (_, index) { return index; });
  order.sort(function (a, b) { return (windows.label[a] >= 0) - (windows.label[b] >= 0) || (a * 7919) % count - (b * 7919) % count; });

  function place(points, index, size) {
    if (points[2 * index] === ABSENT) return null;
    const half = size / 2, scale = half * (1 - 2 * MARGIN) / LARGEST;
    return [half + points[2 * index] * scale, half - points[2 * index + 1] * scale];
  }

  function mark(pen, shape, x, y, r) {
    pen.beginPath();
    if (shape === "triangle") { pen.moveTo(x, y - 1.2 * r); pen.lineTo(x + 1.15 * r, y + 0.9 * r); pen.lineTo(x - 1.15 * r, y + 0.9 * r); pen.closePath(); }
    else if (shape === "square") pen.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
    else if (shape === "diamond") { pen.moveTo(x, y - 1.25 * r); pen.lineTo(x + 1.25 * r, y); pen.lineTo(x, y + 1.25 * r); pen.lineTo(x - 1.25 * r, y); pen.closePath(); }
    else pen.arc(x, y, r, 0, 2 * Math.PI);
  }

  function paint(canvas) {
    const size = canvas.clientWidth;
    if (!size) return;
    const dense = window.devicePixelRatio || 1, pixels = Math.round(size * dense);
    if (canvas.width !== pixels) { canvas.width = pixels; canvas.height = pixels; }
    const pen = canvas.getContext("2d"), points = panels[Number(canvas.dataset.panel)];
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, size, size);
    const radius = Math.max(1.4, Math.min(3.2, size * 0.35 / Math.sqrt(count)));
    order.forEach(function (index) {
      const at = place(points, index, size), label = windows.label[index];
      if (!at) return;
      const faint = alone >= 0 && label !== alone;
      pen.globalAlpha = label < 0 ? 0.75 : faint ? 0.25 : 0.85;
      pen.fillStyle = label < 0 || faint ? maps.background : labels[label].colour;
      mark(pen, label < 0 ? "circle" : labels[label].shape, at[0], at[1], label < 0 ? radius * 0.85 : radius);
      pen.fill();
    });
    const at = pointed >= 0 && place(points, pointed, size);
    if (at) {
      pen.globalAlpha = 1;
      pen.lineWidth = 2;
      pen.strokeStyle = "#1c2733";
      mark(pen, "circle", at[0], at[1], radius + 4);
      pen.stroke();
    }
  }

  function paintAll() { canvases.forEach(paint); }

  function nearest(canvas, event) {
    const box = canvas.getBoundingClientRect(), points = panels[Number(canvas.dataset.panel)];
    const x = event.clientX - box.left, y = event.clientY - box.top;
    let best = -1, least = 14 * 14;
    for (let index = 0; index < count; index++) {
      if (alone >= 0 && windows.label[index] !== alone) continue;
      const at = place(points, index, canvas.clientWidth);
      if (!at) continue;
      // A labelled window is found before a background one that lies as near.
      const far = (at[0] - x) ** 2 + (at[1] - y) ** 2 + (windows.label[index] < 0 ? 4 : 0);
      if (far < least) { least = far; best = index; }
    }
    return best;
  }

  function clock(seconds) {
    const minutes = Math.floor(seconds / 60), rest = (seconds - 60 * minutes).toFixed(2).padStart(5, "0");
    return minutes + ":" + rest;
  }

  function point(index, event) {
    if (index !== pointed) { pointed = index; paintAll(); }
    tip.hidden = index < 0;
    if (index < 0) return;
    const label = windows.label[index];
    tip.textContent = (label < 0 ? "background" : labels[label].name) + "\n" + windows.recordings[windows.recording[index]] + "\n" +
      clock(windows.onset[index]) + " to " + clock(windows.offset[index]);
    const width = document.documentElement.clientWidth, x = Math.min(event.clientX + 14, width - tip.offsetWidth - 8);
    tip.style.left = window.scrollX + Math.max(8, x) + "px";
    tip.style.top = window.scrollY + event.clientY + 14 + "px";
  }

  canvases.forEach(function (canvas) {
    canvas.addEventListener("pointermove", function (event) { point(nearest(canvas, event), event); });
    canvas.addEventListener("pointerdown", function (event) { point(nearest(canvas, event), event); });
    canvas.addEventListener("pointerleave", function (event) { if (event.pointerType === "mouse") point(-1, event); });
  });
  document.querySelectorAll("#map-legend button").forEach(function (button) {
    button.addEventListener("click", function () {
      const label = Number(button.dataset.label);
      alone = alone === label ? -1 : label;
      document.querySelectorAll("#map-legend button").forEach(function (other) {
        other.setAttribute("aria-pressed", String(Number(other.dataset.label) === alone));
      });
      paintAll();
    });
  });
  document.addEventListener("pane-shown", paintAll);
  window.addEventListener("resize", paintAll);
  paintAll();
})();
