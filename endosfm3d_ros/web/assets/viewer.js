// A viewer of points, instruments and the path of the endoscope: WebGL, no library.
// Scenes are in the map frame: x right, y down, z forward; `up` is therefore -y.
"use strict";

const KINDS = [[0.35, 0.75, 0.45], [0.35, 0.55, 0.95], [0.95, 0.6, 0.25]]; // measured, retained, inferred
const TOOLS = [[0.35, 0.65, 0.95], [0.95, 0.6, 0.3], [0.5, 0.85, 0.5], [0.85, 0.5, 0.85]];

const POINT_VERTEX = `
attribute vec3 place; attribute vec3 colour; attribute float kind; attribute float confidence;
uniform mat4 view, projection; uniform vec3 low, step; uniform float size, mode, hidden;
uniform vec2 span; uniform vec3 kinds[3];
varying vec3 shade;
vec3 ramp(float t) {
  return clamp(vec3(1.5 * t, 1.9 * t - 0.7, 0.35 + 0.5 * t - 1.4 * t * t + 0.6 * t * t * t), 0., 1.);
}
void main() {
  vec4 seen = view * vec4(low + step * place, 1.);
  gl_Position = projection * seen;
  gl_PointSize = clamp(size * projection[1][1] / -seen.z, 1.5, 64.);
  int k = int(kind + 0.5);
  vec3 named = k == 0 ? kinds[0] : k == 1 ? kinds[1] : kinds[2];
  if (mode < 0.5) shade = colour;
  else if (mode < 1.5) shade = named * (0.35 + 0.65 * dot(colour, vec3(0.33)) + 0.15);
  else if (mode < 2.5) shade = ramp(confidence);
  else shade = ramp(1. - clamp((low.z + step.z * place.z - span.x) / (span.y - span.x), 0., 1.));
  if (hidden > 0.5 && k == 2) gl_Position = vec4(2., 2., 2., 1.);
}`;
const POINT_FRAGMENT = `
precision mediump float; varying vec3 shade;
void main() {
  vec2 at = gl_PointCoord - 0.5;
  if (dot(at, at) > 0.25) discard;
  gl_FragColor = vec4(shade, 1.);
}`;
const SOLID_VERTEX = `
attribute vec3 place; attribute vec3 normal;
uniform mat4 view, projection; varying vec3 facing, seenAt;
void main() {
  vec4 seen = view * vec4(place, 1.);
  facing = (view * vec4(normal, 0.)).xyz; seenAt = seen.xyz;
  gl_Position = projection * seen;
}`;
const SOLID_FRAGMENT = `
precision mediump float; varying vec3 facing, seenAt; uniform vec3 colour; uniform float lit;
void main() {
  float light = lit > 0.5 ? 0.25 + 0.75 * abs(dot(normalize(facing), normalize(seenAt))) : 1.;
  gl_FragColor = vec4(colour * light, 1.);
}`;

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

class SceneViewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl", {antialias: true, preserveDrawingBuffer: true});
    if (!this.gl) throw new Error("this browser shows no WebGL");
    this.gl.getExtension("OES_element_index_uint");
    this.points = null; this.tools = []; this.lines = []; this.camera = null; this.path = null;
    this.mode = 0; this.size = 1; this.show = {tissue: true, inferred: true, tools: true, path: true};
    this.focus = [0, 0, 0.05]; this.turn = [0, 0]; this.distance = 0.08; this.extent = 0.05;
    this.looking = null; // 4x4 camera-to-scene that is looked through until somebody drags
    this._programs = {point: this._program(POINT_VERTEX, POINT_FRAGMENT),
                      solid: this._program(SOLID_VERTEX, SOLID_FRAGMENT)};
    this._listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // ---- what is shown ----
  setCloud(cloud) {
    const gl = this.gl, places = bytes(cloud.places);
    this._free(this.points);
    this.points = {
      count: cloud.count, low: cloud.low, step: cloud.step,
      place: this._buffer(places), colour: this._buffer(bytes(cloud.colours)),
      kind: this._buffer(bytes(cloud.kinds)), confidence: this._buffer(bytes(cloud.confidence)),
    };
    const whole = new Uint16Array(places.buffer), deep = [];
    const middle = [0, 1, 2].map(axis => {
      const values = [];
      const every = Math.max(1, Math.floor(cloud.count / 4000));
      for (let i = 0; i < cloud.count; i += every) values.push(whole[3 * i + axis]);
      values.sort((a, b) => a - b);
      const at = share => cloud.low[axis] + cloud.step[axis] * (values[Math.floor(share * (values.length - 1))] || 0);
      if (axis === 2) deep.push(at(0.03), at(0.97));
      return [at(0.5), at(0.97) - at(0.03)];
    });
    this.span = [deep[0], Math.max(deep[1], deep[0] + 1e-6)];
    this.middle = middle.map(pair => pair[0]);
    this.extent = Math.max(1e-6, ...middle.map(pair => pair[1]));
    if (!this._placed && cloud.count) { this._placed = true; this.overview(); }
    this.draw();
  }

  setTools(tools) {
    for (const tool of this.tools) this._free(tool);
    this.tools = tools.map(tool => {
      const whole = new Uint16Array(bytes(tool.places).buffer);
      const faces = new Uint32Array(bytes(tool.faces).buffer);
      const place = new Float32Array(whole.length), normal = new Float32Array(whole.length);
      for (let i = 0; i < whole.length; i++) place[i] = tool.low[i % 3] + tool.step[i % 3] * whole[i];
      for (let f = 0; f < faces.length; f += 3) {
        const [a, b, c] = [0, 1, 2].map(k => place.subarray(3 * faces[f + k], 3 * faces[f + k] + 3));
        const n = cross(minus(b, a), minus(c, a));
        for (let k = 0; k < 3; k++) for (let j = 0; j < 3; j++) normal[3 * faces[f + k] + j] += n[j];
      }
      return {id: tool.id, trusted: tool.trusted, count: faces.length, colour: TOOLS[tool.id % TOOLS.length],
              place: this._buffer(place), normal: this._buffer(normal),
              faces: this._buffer(faces, this.gl.ELEMENT_ARRAY_BUFFER)};
    });
    this.draw();
  }

  setPath(centres) { this._free(this.path); this.path = centres.length > 1 ? this._strip(centres) : null; this.draw(); }

  setCamera(camera) {
    this.camera = camera;
    this._free(this.frustum);
    const [w, h] = camera.size, [fx, fy] = camera.focal, [cx, cy] = camera.centre, reach = 0.12 * this.extent;
    const corner = (x, y) => apply(camera.pose, [reach * (x - cx) / fx, reach * (y - cy) / fy, reach]);
    const eye = apply(camera.pose, [0, 0, 0]);
    const four = [corner(0, 0), corner(w, 0), corner(w, h), corner(0, h)];
    this.frustum = this._strip([eye, four[0], four[1], eye, four[2], four[3], eye, four[0], four[3], four[2], four[1]]);
    this.draw();
  }

  setLines(pairs) { // [[from, to, colour], ..]: clearance
    for (const line of this.lines) this._free(line);
    this.lines = pairs.map(([a, b, colour]) => Object.assign(this._strip([a, b]), {colour}));
    this.draw();
  }

  // ---- where it is looked from ----
  overview() {
    this.looking = null;
    this.focus = this.middle.slice(); this.turn = [-0.5, 0.45]; this.distance = 1.4 * this.extent;
    this.draw();
  }

  fromEndoscope() { if (this.camera) { this.looking = this.camera; this.draw(); } }

  _view() {
    if (this.looking) return inverse(this.looking.pose, [1, -1, -1]);
    const [yaw, pitch] = this.turn, eye = this._eye();
    const back = unit(minus(eye, this.focus)), right = unit(cross([0, -1, 0], back)), up = cross(back, right);
    return [right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0,
            -dot(right, eye), -dot(up, eye), -dot(back, eye), 1];
  }

  _eye() {
    const [yaw, pitch] = this.turn, flat = Math.cos(pitch) * this.distance;
    return [this.focus[0] + flat * Math.sin(yaw), this.focus[1] - this.distance * Math.sin(pitch),
            this.focus[2] - flat * Math.cos(yaw)];
  }

  _projection(width, height) {
    let vertical = 1 / Math.tan(0.4), horizontal = vertical * height / width;
    if (this.looking) {
      const [w, h] = this.looking.size, [fx, fy] = this.looking.focal;
      vertical = 2 * fy / h; horizontal = vertical * height / width;
      const fits = 2 * fx / w;
      if (horizontal > fits) { vertical *= fits / horizontal; horizontal = fits; }
    }
    const near = this.extent * 0.01, far = this.extent * 60 + this.distance * 4;
    return [horizontal, 0, 0, 0, 0, vertical, 0, 0, 0, 0, (near + far) / (near - far), -1,
            0, 0, 2 * near * far / (near - far), 0];
  }

  _free_look() { // from looking through the endoscope to turning about what it sees
    if (!this.looking) return;
    const pose = this.looking.pose, eye = apply(pose, [0, 0, 0]), ahead = minus(apply(pose, [0, 0, 1]), eye);
    this.distance = Math.max(0.2 * this.extent, dot(minus(this.middle, eye), ahead));
    this.focus = eye.map((value, k) => value + this.distance * ahead[k]);
    this.turn = [Math.atan2(-ahead[0], ahead[2]), Math.asin(Math.max(-1, Math.min(1, ahead[1])))];
    this.looking = null;
  }

  _listen() {
    const canvas = this.canvas, held = new Map();
    let apart = 0;
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId); held.set(event.pointerId, [event.clientX, event.clientY]); this._free_look();
    });
    const up = event => { held.delete(event.pointerId); apart = 0; };
    canvas.addEventListener("pointerup", up); canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointermove", event => {
      const last = held.get(event.pointerId);
      if (!last) return;
      const dx = event.clientX - last[0], dy = event.clientY - last[1];
      held.set(event.pointerId, [event.clientX, event.clientY]);
      if (held.size > 1) {
        const [a, b] = [...held.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (apart) this.distance *= apart / now;
        apart = now; this._pan(dx / 2, dy / 2);
      } else if (event.buttons & 6 || event.shiftKey) this._pan(dx, dy);
      else {
        this.turn[0] += dx * 0.006;
        this.turn[1] = Math.max(-1.5, Math.min(1.5, this.turn[1] + dy * 0.006));
      }
      this.draw();
    });
    canvas.addEventListener("wheel", event => {
      event.preventDefault(); this._free_look(); this.distance *= Math.exp(event.deltaY * 0.001); this.draw();
    }, {passive: false});
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.overview());
  }

  _pan(dx, dy) {
    const view = this._view(), scale = 2 * Math.tan(0.4) * this.distance / this.canvas.clientHeight;
    for (let k = 0; k < 3; k++) this.focus[k] -= scale * (dx * view[4 * k] - dy * view[4 * k + 1]);
  }

  // ---- drawing ----
  draw() {
    if (this._due) return;
    this._due = true;
    requestAnimationFrame(() => { this._due = false; this._paint(); });
  }

  _paint() {
    const gl = this.gl, canvas = this.canvas, ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.enable(gl.DEPTH_TEST); gl.clearColor(0.07, 0.07, 0.085, 1); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const view = this._view(), projection = this._projection(canvas.width, canvas.height);
    if (this.points && this.show.tissue) this._paintPoints(view, projection, canvas.height);
    const use = this._programs.solid;
    gl.useProgram(use.program);
    gl.uniformMatrix4fv(use.at("view"), false, view); gl.uniformMatrix4fv(use.at("projection"), false, projection);
    gl.uniform1f(use.at("lit"), 1);
    if (this.show.tools) for (const tool of this.tools) this._paintTool(use, tool);
    gl.uniform1f(use.at("lit"), 0); gl.disableVertexAttribArray(use.attribute("normal"));
    if (this.show.path && this.path) this._paintStrip(use, this.path, [0.95, 0.85, 0.3]);
    if (this.show.path && this.frustum && !this.looking) this._paintStrip(use, this.frustum, [0.95, 0.85, 0.3]);
    for (const line of this.lines) this._paintStrip(use, line, line.colour);
    if (this.onDraw) this.onDraw(this);
  }

  _paintPoints(view, projection, height) {
    const gl = this.gl, use = this._programs.point, cloud = this.points;
    gl.useProgram(use.program);
    gl.uniformMatrix4fv(use.at("view"), false, view); gl.uniformMatrix4fv(use.at("projection"), false, projection);
    gl.uniform3fv(use.at("low"), cloud.low); gl.uniform3fv(use.at("step"), cloud.step);
    const spacing = this.extent * Math.sqrt(3.5 / Math.max(cloud.count, 500));
    gl.uniform1f(use.at("size"), this.size * spacing * height / 2);
    gl.uniform1f(use.at("mode"), this.mode); gl.uniform1f(use.at("hidden"), this.show.inferred ? 0 : 1);
    gl.uniform2fv(use.at("span"), this.span); gl.uniform3fv(use.at("kinds"), KINDS.flat());
    const attribute = (name, buffer, count, type, norm) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(use.attribute(name));
      gl.vertexAttribPointer(use.attribute(name), count, type, norm, 0, 0);
    };
    attribute("place", cloud.place, 3, gl.UNSIGNED_SHORT, false);
    attribute("colour", cloud.colour, 3, gl.UNSIGNED_BYTE, true);
    attribute("kind", cloud.kind, 1, gl.UNSIGNED_BYTE, false);
    attribute("confidence", cloud.confidence, 1, gl.UNSIGNED_BYTE, true);
    gl.drawArrays(gl.POINTS, 0, cloud.count);
    for (const name of ["place", "colour", "kind", "confidence"]) gl.disableVertexAttribArray(use.attribute(name));
  }

  _paintTool(use, tool) {
    const gl = this.gl, dim = tool.trusted ? 1 : 0.5;
    gl.uniform3fv(use.at("colour"), tool.colour.map(value => value * dim));
    for (const name of ["place", "normal"]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, tool[name]); gl.enableVertexAttribArray(use.attribute(name));
      gl.vertexAttribPointer(use.attribute(name), 3, gl.FLOAT, false, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, tool.faces);
    gl.drawElements(gl.TRIANGLES, tool.count, gl.UNSIGNED_INT, 0);
  }

  _paintStrip(use, strip, colour) {
    const gl = this.gl;
    gl.uniform3fv(use.at("colour"), colour);
    gl.bindBuffer(gl.ARRAY_BUFFER, strip.place); gl.enableVertexAttribArray(use.attribute("place"));
    gl.vertexAttribPointer(use.attribute("place"), 3, gl.FLOAT, false, 0, 0);
    gl.drawArrays(gl.LINE_STRIP, 0, strip.count);
  }

  _strip(places) { return {count: places.length, place: this._buffer(new Float32Array(places.flat()))}; }

  _buffer(data, kind) {
    const gl = this.gl, buffer = gl.createBuffer();
    gl.bindBuffer(kind || gl.ARRAY_BUFFER, buffer); gl.bufferData(kind || gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    return buffer;
  }

  _free(thing) {
    if (thing) for (const value of Object.values(thing)) if (value instanceof WebGLBuffer) this.gl.deleteBuffer(value);
  }

  _program(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source); gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return {program, at: name => gl.getUniformLocation(program, name), attribute: name => gl.getAttribLocation(program, name)};
  }
}

const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = a => { const n = Math.hypot(...a) || 1; return a.map(value => value / n); };
const apply = (T, p) => [0, 1, 2].map(k => T[4 * k] * p[0] + T[4 * k + 1] * p[1] + T[4 * k + 2] * p[2] + T[4 * k + 3]);
// Scene to camera, column-major for WebGL, of a row-major camera-to-scene T; axes turned by `sign`.
function inverse(T, sign) {
  const out = new Array(16).fill(0);
  for (let r = 0; r < 3; r++) {
    for (let c = 0; c < 3; c++) out[4 * c + r] = sign[r] * T[4 * c + r];
    out[12 + r] = -sign[r] * (T[r] * T[3] + T[4 + r] * T[7] + T[8 + r] * T[11]);
  }
  out[15] = 1;
  return out;
}
