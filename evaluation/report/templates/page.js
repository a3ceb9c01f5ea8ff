"use strict";
(() => {
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // Tables: a click on a heading sorts; rows without a value stay at the end.
  const sortBy = (table, heading) => {
    const column = [...heading.parentElement.children].indexOf(heading);
    const first = heading.dataset.first || "descending";
    const other = first === "descending" ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? other : first;
    for (const one of table.querySelectorAll("th[aria-sort]")) one.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const sign = order === "descending" ? -1 : 1;
    const key = (row) => row.children[column].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const [u, v] = [Number(x), Number(y)];
      return sign * (Number.isNaN(u) || Number.isNaN(v) ? x.localeCompare(y) : u - v);
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
  };
  // Copy and download: plain text that a spreadsheet reads.
  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  const say = (button, text) => {
    const before = button.textContent;
    button.textContent = text;
    setTimeout(() => { button.textContent = before; }, 1500);
  };
  const save = (name, href) => {
    const link = document.createElement("a");
    link.download = name.replace(/[^A-Za-z0-9._-]+/g, "_");
    link.href = href;
    link.click();
  };
  const saveText = (name, text) => {
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    save(name, address);
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
  const quoted = (text) => /[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  const csv = (rows) => rows.map((row) => row.map((one) => quoted(String(one ?? ""))).join(",") + "\n").join("");
  const cells = (table) => [...table.rows].map((row) => [...row.cells].map(
    (cell) => (cell.querySelector("button, .ours") || cell).innerText.trim().split("\n")[0]));
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button.dataset.copy).then(() => say(button, "Copied")));
  }
  for (const tools of document.querySelectorAll(".tools")) {
    const table = tools.parentElement.querySelector("table");
    if (!table) continue;
    tools.hidden = false;
    tools.querySelector(".copy-table").addEventListener("click", (event) => {
      copy(cells(table).map((row) => row.join("\t")).join("\n")).then(() => say(event.target, "Copied"));
    });
    tools.querySelector(".save-table").addEventListener("click",
      () => saveText("scores " + table.dataset.name + ".csv", csv(cells(table))));
  }

  // Downloads of a movie: the pictures of the frame that is shown, traces of all regions, the moving pictures.
  const saveFigure = (viewer) => {
    const shown = [...viewer.querySelectorAll(".frame:not([hidden]) .intensities img")];
    const canvas = document.createElement("canvas");
    canvas.width = shown.reduce((sum, one) => sum + one.naturalWidth + 8, -8);
    canvas.height = Math.max(...shown.map((one) => one.naturalHeight)) + 20;
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = "#000";
    context.font = "14px sans-serif";
    let left = 0;
    for (const one of shown) {
      context.fillText(one.closest(".pane").dataset.name, left, 14);
      context.drawImage(one, left, 20);
      left += one.naturalWidth + 8;
    }
    save(viewer.getAttribute("aria-label") + ".png", canvas.toDataURL());
  };
  const saveTraces = (button) => {
    const rows = [["region", "stack", "x", "value"]];
    for (const box of button.closest("section").querySelectorAll(".gallery .plot")) {
      const given = JSON.parse(box.dataset.plot);
      for (const line of given.series) {
        given.xs[line.x].forEach((x, place) => rows.push([given.title, line.name, x, line.y[place]]));
      }
    }
    saveText(button.dataset.name + " traces.csv", csv(rows));
  };
  const onClick = (selector, act) => {
    for (const button of document.querySelectorAll(selector)) {
      button.hidden = false;
      button.addEventListener("click", () => act(button));
    }
  };
  onClick("button.save-figure", (button) => saveFigure(button.closest(".viewer")));
  onClick("button.save-traces", saveTraces);
  onClick("button.save-preview", (button) => {
    const picture = button.closest("details").querySelector("img.preview");
    save(button.dataset.name + " preview." + picture.src.slice(11, picture.src.indexOf(";")), picture.src);
  });

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const button of table.querySelectorAll("th button")) {
      button.addEventListener("click", () => sortBy(table, button.closest("th")));
    }
  }

  // Viewers: frame, view, divider, zoom and pan. Everything also works by keyboard.
  const startViewer = (viewer) => {
    const find = (selector) => viewer.querySelector(selector);
    const stage = find(".stage");
    const divider = find(".divider");
    const left = find("select.left");
    const right = find("select.right");
    const zoom = find("input.zoom");
    const state = { zoom: 1, x: 0, y: 0 };

    const drawZoom = () => {
      const room = 1 - state.zoom;
      state.x = clamp(state.x, room, 0);
      state.y = clamp(state.y, room, 0);
      for (const [name, value] of Object.entries(state)) viewer.style.setProperty("--" + name, value);
      viewer.classList.toggle("zoomed", state.zoom > 1);
      find("output.zoom").textContent = state.zoom + "×";
    };
    const zoomAt = (value, x, y) => {
      const next = clamp(value, Number(zoom.min), Number(zoom.max));
      state.x = x - (x - state.x) * next / state.zoom;
      state.y = y - (y - state.y) * next / state.zoom;
      state.zoom = next;
      zoom.value = next;
      drawZoom();
    };
    const drawDivider = () => {
      viewer.style.setProperty("--cut", divider.value + "%");
      divider.setAttribute("aria-valuetext", divider.value + " % " + left.value + ", the rest " + right.value);
    };
    const drawSides = () => {
      for (const pane of viewer.querySelectorAll(".intensities .pane")) {
        pane.classList.toggle("at-left", pane.dataset.name === left.value);
        pane.classList.toggle("at-right", pane.dataset.name === right.value && right.value !== left.value);
      }
      viewer.classList.toggle("same", left.value === right.value);
      drawDivider();
    };
    const drawView = (view) => {
      viewer.dataset.view = view;
      const slider = view === "slider";
      divider.hidden = !slider;
      for (const one of viewer.querySelectorAll(".sides")) one.hidden = !slider;
    };
    const showFrame = (index) => {
      for (const frame of viewer.querySelectorAll(".frame")) frame.hidden = frame.dataset.frame !== index;
    };

    for (const input of viewer.querySelectorAll("input.choose-frame")) {
      input.addEventListener("change", () => showFrame(input.value));
    }
    for (const input of viewer.querySelectorAll("input.choose-view")) {
      input.addEventListener("change", () => drawView(input.value));
    }
    divider.addEventListener("input", drawDivider);
    left.addEventListener("change", drawSides);
    right.addEventListener("change", drawSides);
    zoom.addEventListener("input", () => zoomAt(Number(zoom.value), 0.5, 0.5));

    // Where a pointer is, as parts of the picture's width and height.
    const place = (event, picture) => {
      const box = picture.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    let drag = null;
    viewer.addEventListener("pointerdown", (event) => {
      const picture = event.target.closest(".window");
      if (!picture || event.button !== 0) return;
      const [x, y] = place(event, picture);
      const slides = viewer.dataset.view === "slider" && picture.closest(".intensities");
      const near = Math.abs(x - divider.value / 100) < 0.05;
      drag = { picture, x, y, divides: Boolean(slides) && (state.zoom === 1 || near) };
      event.preventDefault();
      move(event);
    });
    const move = (event) => {
      if (!drag) return;
      const [x, y] = place(event, drag.picture);
      if (drag.divides) {
        divider.value = Math.round(clamp(x, 0, 1) * 1000) / 10;
        drawDivider();
      } else {
        state.x += x - drag.x;
        state.y += y - drag.y;
        drag.x = x;
        drag.y = y;
        drawZoom();
      }
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", () => { drag = null; });
    window.addEventListener("pointercancel", () => { drag = null; });
    viewer.addEventListener("dblclick", (event) => {
      const picture = event.target.closest(".window");
      if (picture) zoomAt(state.zoom >= 8 ? 1 : state.zoom * 2, ...place(event, picture));
    });
    stage.addEventListener("keydown", (event) => {
      const step = 0.1;
      const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      if (event.target !== stage) return;
      if (event.key in moves && state.zoom > 1) {
        state.x += moves[event.key][0];
        state.y += moves[event.key][1];
        drawZoom();
      } else if (event.key === "+" || event.key === "-") {
        zoomAt(state.zoom * (event.key === "+" ? 2 : 0.5), 0.5, 0.5);
      } else {
        return;
      }
      event.preventDefault();
    });

    viewer.classList.add("ready");
    for (const tools of viewer.querySelectorAll(".tools")) tools.hidden = false;
    drawZoom();
    drawSides();
    const chosenView = () => find("input.choose-view:checked").value;
    drawView(chosenView());
    window.addEventListener("beforeprint", () => drawView("side"));
    window.addEventListener("afterprint", () => drawView(chosenView()));
    showFrame("0");
  };
  for (const viewer of document.querySelectorAll(".viewer.interactive")) startViewer(viewer);

  // Plots: values where the pointer is, a drag zooms, a double click shows all; the same by keyboard.
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const STYLES = {
    noisy: ["noisy", []], target: ["ink", [5, 3]], control0: ["c0", [2, 2]], control1: ["c1", [4, 2, 1, 2]],
    algorithm0: ["a0", []], algorithm1: ["a1", [9, 3]], algorithm2: ["a2", [3, 2]], algorithm3: ["a3", [9, 3, 2, 3]],
    algorithm4: ["a4", [14, 3]], algorithm5: ["a5", [6, 2, 1, 2]],
  };
  const written = (value) => value == null ? "" : String(Number(value.toPrecision(5)));
  const joined = (given) => uPlot.join(given.series.map((one) => [given.xs[one.x], one.y]));
  const series = (one) => {
    const [name, dash] = STYLES[one.style];
    const stroke = () => colour(name);
    const lines = one.points ? { paths: () => null, points: { show: true, size: 6, fill: stroke } } : { points: { show: false } };
    return { label: one.name, stroke, dash, width: one.style === "noisy" ? 1 : 1.6, value: (_, v) => written(v), ...lines };
  };
  const axis = (label) => ({ label, stroke: () => colour("ink"), grid: { stroke: () => colour("line"), width: .7 },
    ticks: { stroke: () => colour("line") }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", labelSize: 20 });
  const startPlot = (box) => {
    const given = JSON.parse(box.dataset.plot);
    const data = joined(given);
    const plot = new uPlot({
      width: box.clientWidth, height: given.height, padding: [8, 12, 0, 0],
      scales: { x: { time: false }, y: given.log ? { distr: 3 } : {} },
      axes: [{ ...axis(given.x), size: 34, labelSize: 18 }, { ...axis(given.y), size: 64 }],
      series: [{ label: given.x, value: (_, v) => written(v) }, ...given.series.map(series)],
      cursor: { drag: { x: true, y: false, uni: 10 }, focus: { prox: 24 } },
    }, data, box);
    const xs = data[0];
    box.plot = plot;
    const zoom = (factor) => {
      const { min, max } = plot.scales.x;
      const middle = plot.cursor.idx == null ? (min + max) / 2 : xs[plot.cursor.idx];
      const half = (max - min) * factor / 2;
      plot.setScale("x", { min: Math.max(xs[0], middle - half), max: Math.min(xs[xs.length - 1], middle + half) });
    };
    const all = () => plot.setScale("x", { min: xs[0], max: xs[xs.length - 1] });
    const step = (by) => {
      const place = clamp((plot.cursor.idx ?? Math.floor(xs.length / 2)) + by, 0, xs.length - 1);
      plot.setCursor({ left: plot.valToPos(xs[place], "x"), top: plot.over.clientHeight / 2 });
    };
    const keys = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), "+": () => zoom(.5), "-": () => zoom(2), Escape: all };
    box.addEventListener("keydown", (event) => {
      if (!(event.key in keys)) return;
      keys[event.key]();
      event.preventDefault();
    });
    const tools = document.createElement("p");
    tools.className = "plot-tools";
    const header = [given.x, ...given.series.map((one) => one.name)];
    const buttons = {
      "Show all": all,
      "Download CSV": () => saveText(given.title + ".csv", csv([header, ...xs.map((_, row) => data.map((one) => one[row]))])),
      "Download PNG": () => save(given.title + ".png", plot.ctx.canvas.toDataURL()),
    };
    for (const [name, act] of Object.entries(buttons)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", act);
      tools.append(button, " ");
    }
    box.after(tools);
    const fit = (width) => plot.setSize({ width, height: given.height });
    new ResizeObserver(() => { if (box.clientWidth && box.clientWidth !== plot.width) fit(box.clientWidth); }).observe(box);
  };
  const boxes = [...document.querySelectorAll(".plot")];
  const draw = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting && !one.target.plot) startPlot(one.target);
  }, { rootMargin: "600px" });
  for (const box of boxes) draw.observe(box);
  const repaint = () => { for (const box of boxes) box.plot?.redraw(false, true); };
  for (const query of ["(prefers-color-scheme: dark)", "print"]) window.matchMedia(query).addEventListener("change", repaint);
  window.addEventListener("beforeprint", () => {
    for (const box of boxes) {
      if (!box.plot) startPlot(box);
      box.plot.setSize({ width: box.closest(".gallery") ? 310 : 640, height: box.plot.height });
    }
  });
  window.addEventListener("afterprint", () => {
    for (const box of boxes) box.plot.setSize({ width: box.clientWidth, height: box.plot.height });
  });

  // Moving pictures stay closed for readers who ask for less motion; print shows what is folded.
  if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
    for (const preview of document.querySelectorAll("details.moving")) preview.open = false;
  }
  window.addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details:not(.record)")) folded.open = true;
  });
})();
