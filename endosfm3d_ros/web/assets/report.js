"use strict";
(function () {
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const frames = JSON.parse(document.getElementById("frames").textContent);
  const find = id => document.getElementById(id);
  try { showScene(scene); } catch (error) { find("view").parentNode.textContent = `No 3-D view: ${error.message}`; }
  if (frames.length) showFilm(frames);

  function showScene(scene) {
    const viewer = new SceneViewer(find("view"));
    window.viewer = viewer;
    viewer.onDraw = () => drawRule(viewer, scene.metres);
    viewer.setCloud(scene.cloud); viewer.setTools(scene.tools); viewer.setPath(scene.path);
    if (scene.camera) viewer.setCamera(scene.camera);
    viewer.overview();
    find("overview").onclick = () => viewer.overview();
    find("endoscope").onclick = () => viewer.fromEndoscope();
    find("mode").onchange = event => { viewer.mode = Number(event.target.value); viewer.draw(); };
    find("size").oninput = event => { viewer.size = Number(event.target.value); viewer.draw(); };
    for (const box of document.querySelectorAll("[data-show]"))
      box.onchange = () => { viewer.show[box.dataset.show] = box.checked; viewer.draw(); };
  }

  // A rule of a round length at the distance of what is turned about.
  function drawRule(viewer, metres) {
    const rule = find("rule");
    if (viewer.looking) { rule.innerHTML = ""; return; }
    const unit = 2 * Math.tan(0.4) * viewer.distance / viewer.canvas.clientHeight; // per px
    const wanted = 120 * unit, power = Math.pow(10, Math.floor(Math.log10(wanted)));
    const length = [5, 2, 1].map(k => k * power).find(value => value <= wanted) || power;
    const text = metres ? `${+(length * 1e3).toPrecision(2)} mm` : `${+length.toPrecision(2)} units, not metres`;
    rule.innerHTML = `<i style="width:${(length / unit).toFixed(0)}px"></i>${text}`;
  }

  function showFilm(frames) {
    const picture = find("picture"), slide = find("slide"), play = find("play");
    let timer = null;
    const show = () => { const f = frames[slide.value]; picture.src = f.image; find("caption").textContent = f.caption; };
    slide.oninput = show;
    play.onclick = () => {
      if (timer) { clearInterval(timer); timer = null; play.textContent = "Play"; return; }
      play.textContent = "Stop";
      timer = setInterval(() => { slide.value = (Number(slide.value) + 1) % frames.length; show(); }, 250);
    };
    show();
  }
})();
