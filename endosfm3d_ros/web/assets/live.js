"use strict";
(function () {
  const find = id => document.getElementById(id), OLD = 1500; // ms without a new image
  const LEVELS = ["ok", "warn", "error"], busy = {}, wanted = {};
  let viewer = null, metres = false, newest = 0, following = true, last = null;
  try { viewer = new SceneViewer(find("view")); } catch (error) { find("view").parentNode.textContent = `No 3-D view: ${error.message}`; }
  window.viewer = viewer;
  if (viewer) {
    viewer.onDraw = drawRule;
    find("overview").onclick = () => { following = false; viewer.overview(); };
    find("endoscope").onclick = () => { following = true; if (viewer.camera) viewer.fromEndoscope(); };
    find("view").addEventListener("pointerdown", () => { following = false; });
    find("mode").onchange = event => { viewer.mode = Number(event.target.value); viewer.draw(); };
    find("size").oninput = event => { viewer.size = Number(event.target.value); viewer.draw(); };
    for (const box of document.querySelectorAll("[data-show]"))
      box.onchange = () => { viewer.show[box.dataset.show] = box.checked; viewer.draw(); };
    following = false;
  }

  const takes = {
    image: picture("image"), depth: picture("depth"), tissue: picture("tissue"),
    scene: async answer => {
      const scene = await answer.json();
      if (!viewer) return;
      metres = scene.metres; viewer.setCloud(scene.cloud); viewer.setPath(scene.path);
      if (scene.camera) { viewer.setCamera(scene.camera); if (following) viewer.fromEndoscope(); }
      viewer.setLines(scene.lines || []);
    },
    status: async answer => {
      const said = await answer.json();
      last = said; show();
      find("depthSays").textContent = `depth from ${said.depth_source}, scale ${said.scale_source}`;
      find("facts").textContent = Object.entries(said.facts).map(([name, value]) => `${name}: ${value}`).join("  ·  ");
    },
    clearance: async answer => {
      const rows = await answer.json(), table = find("clearance");
      table.replaceChildren(...rows.map(row => {
        const line = document.createElement("tr");
        const say = (text, kind) => { const cell = document.createElement("td"); cell.textContent = text; cell.className = kind; line.append(cell); };
        say(`instrument ${row.id}`, "");
        if (row.valid) say(`${(1e3 * row.distance).toFixed(1)} mm to ${row.tissue_kind} tissue, at least ${(1e3 * row.lower_bound_95).toFixed(1)} mm`, "valid");
        else say(`no distance: ${row.reason}`, "invalid");
        return line;
      }));
    },
  };

  function picture(id) {
    return async answer => {
      const url = URL.createObjectURL(await answer.blob()), image = find(id), before = image.src;
      image.src = url; await image.decode().catch(() => {}); if (before) URL.revokeObjectURL(before);
      if (id === "image") { newest = performance.now(); show(); }
    };
  }

  // One request of a part at a time: a slow line shows fewer pictures, never older ones.
  async function take(name) {
    if (busy[name]) { wanted[name] = true; return; }
    busy[name] = true;
    try { const answer = await fetch(`/part/${name}`); if (answer.ok) await takes[name](answer); } catch (error) { /* the next one comes */ }
    busy[name] = false;
    if (wanted[name]) { wanted[name] = false; take(name); }
  }

  function show() {
    const old = newest && performance.now() - newest > OLD, state = find("state");
    find("live").classList.toggle("old", Boolean(old));
    const level = last ? (old ? 2 : last.level) : 1;
    state.className = LEVELS[level]; state.textContent = !last ? "waiting" : old ? "no new image" : LEVELS[level];
    find("message").textContent = old ? `the last one came ${((performance.now() - newest) / 1e3).toFixed(0)} s ago` : last ? last.message : "no status yet";
    if (old) find("clearance").replaceChildren();
  }

  function drawRule(viewer) {
    const rule = find("rule");
    if (viewer.looking) { rule.innerHTML = ""; return; }
    const unit = 2 * Math.tan(0.4) * viewer.distance / viewer.canvas.clientHeight;
    const wanted = 120 * unit, power = Math.pow(10, Math.floor(Math.log10(wanted)));
    const length = [5, 2, 1].map(k => k * power).find(value => value <= wanted) || power;
    rule.innerHTML = `<i style="width:${(length / unit).toFixed(0)}px"></i>` + (metres ? `${+(length * 1e3).toPrecision(2)} mm` : `${+length.toPrecision(2)} units, not metres`);
  }

  const source = new EventSource("/changes");
  source.onmessage = event => { for (const name of Object.keys(JSON.parse(event.data))) if (takes[name]) take(name); };
  setInterval(show, 500);
})();
