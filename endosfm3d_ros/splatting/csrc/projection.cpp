#include "projection.hpp"

#include <algorithm>
#include <cmath>

namespace splat {
namespace {

constexpr double kLargestVariance = 1e30;  // px^2; keeps every later product inside float range

void multiply(const double* a, const double* b, double* out) {
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      out[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
}

// x - x is zero for finite x and NaN otherwise, so one comparison tests a whole parameter set.
bool usable(const SplatScene& scene, int64_t index) {
  const float* mean = scene.means + 3 * index;
  const float* quat = scene.quats + 4 * index;
  const float* scale = scene.scales + 3 * index;
  float residue = scene.opacities[index] - scene.opacities[index];
  for (int i = 0; i < 3; ++i) residue += (mean[i] - mean[i]) + (scale[i] - scale[i]);
  for (int i = 0; i < 4; ++i) residue += quat[i] - quat[i];
  return residue == 0.0f && scale[0] >= 0.0f && scale[1] >= 0.0f && scale[2] >= 0.0f;
}

bool rotate(const float* quat, Projection* p) {
  double square = 0.0;
  for (int i = 0; i < 4; ++i) square += static_cast<double>(quat[i]) * quat[i];
  if (square < 1e-24) return false;
  p->quat_norm = std::sqrt(square);
  const double inverse = 1.0 / p->quat_norm;
  for (int i = 0; i < 4; ++i) p->unit_quat[i] = quat[i] * inverse;
  const double w = p->unit_quat[0], x = p->unit_quat[1], y = p->unit_quat[2], z = p->unit_quat[3];
  double* r = p->rotation;
  r[0] = 1 - 2 * (y * y + z * z), r[1] = 2 * (x * y - w * z), r[2] = 2 * (x * z + w * y);
  r[3] = 2 * (x * y + w * z), r[4] = 1 - 2 * (x * x + z * z), r[5] = 2 * (y * z - w * x);
  r[6] = 2 * (x * z - w * y), r[7] = 2 * (y * z + w * x), r[8] = 1 - 2 * (x * x + y * y);
  return true;
}

// Whether even a sphere of its largest scale stays outside the image: most of a map that the
// camera has travelled through is told from its mean alone.
bool far_outside(const SplatScene& scene, const Camera& camera, int64_t index,
                 const double* point) {
  if (scene.opacities[index] > 1.0f) return false;
  const float* scale = scene.scales + 3 * index;
  const double rz = 1.0 / point[2];
  const double size = std::max(scale[0], std::max(scale[1], scale[2])) * rz;
  const double x = camera.fx * point[0] * rz + camera.cx;
  const double y = camera.fy * point[1] * rz + camera.cy;
  const double across = camera.reach_x * size + camera.reach_blur;
  const double down = camera.reach_y * size + camera.reach_blur;
  return x + across < 0 || x - across > scene.width || y + down < 0 || y - down > scene.height;
}

// Bounds of `far_outside`: alpha falls below its threshold within sqrt(2 ln 255) deviations, and
// the Jacobian's rows are as long as the camera's axes and the limited slopes allow.
void set_reach(const SplatScene& scene, Camera* camera) {
  const double deviations = std::sqrt(2.0 * std::log(1.0 / kAlphaThreshold));
  double length[3];
  for (int i = 0; i < 3; ++i) {
    const double* row = camera->rotation + 3 * i;
    length[i] = std::sqrt(row[0] * row[0] + row[1] * row[1] + row[2] * row[2]);
  }
  const double slope_x = std::max(std::abs(camera->left), std::abs(camera->right));
  const double slope_y = std::max(std::abs(camera->up), std::abs(camera->down));
  camera->reach_x = deviations * camera->fx * (length[0] + slope_x * length[2]);
  camera->reach_y = deviations * camera->fy * (length[1] + slope_y * length[2]);
  camera->reach_blur = deviations * std::sqrt(scene.eps2d) + 2.0;  // and what ceil() adds
}

void limit_slope(double slope, double low, double high, double* out, bool* limited) {
  *out = std::min(high, std::max(low, slope));
  *limited = slope < low || slope > high;
}

// Covariance of the footprint: J A A^T J^T + eps2d I, J the perspective Jacobian.
void footprint(const SplatScene& scene, const Camera& camera, const float* scale, Projection* p) {
  multiply(camera.rotation, p->rotation, p->view_rotation);
  for (int i = 0; i < 9; ++i) p->axes[i] = p->view_rotation[i] * scale[i % 3];
  const double* point = p->point;
  const double rz = p->inverse_z = 1.0 / point[2];
  limit_slope(point[0] * rz, -camera.left, camera.right, &p->slope[0], &p->slope_limited[0]);
  limit_slope(point[1] * rz, -camera.up, camera.down, &p->slope[1], &p->slope_limited[1]);
  for (int j = 0; j < 3; ++j) {
    p->spread[j] = camera.fx * rz * (p->axes[j] - p->slope[0] * p->axes[6 + j]);
    p->spread[3 + j] = camera.fy * rz * (p->axes[3 + j] - p->slope[1] * p->axes[6 + j]);
  }
  const double* v = p->spread;
  const double xx = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
  const double yy = v[3] * v[3] + v[4] * v[4] + v[5] * v[5];
  p->xy = v[0] * v[3] + v[1] * v[4] + v[2] * v[5];
  p->xx = xx + scene.eps2d;
  p->yy = yy + scene.eps2d;
  p->sharp_det = std::max(0.0, xx * yy - p->xy * p->xy);
  p->det = p->xx * p->yy - p->xy * p->xy;
  p->mean_x = camera.fx * point[0] * rz + camera.cx;
  p->mean_y = camera.fy * point[1] * rz + camera.cy;
}

// Gradient by the covariance before the filter, compensation included, as a symmetric 2x2.
void covariance_gradient(const SplatScene& scene, const Projection& p,
                         const FootprintGradient& g, double opacity, double out[3]) {
  out[0] = g.xx, out[1] = g.xy, out[2] = g.yy;
  if (!scene.antialiased) return;
  // d sqrt(a/b) = sqrt(a/b) / 2 * (A^-1 - B^-1) : dA; A^-1 = adj(A) / a
  const double outer = 0.5 * g.opacity * opacity;
  const double sharp = outer / std::sqrt(p.sharp_det * p.det);
  const double blurred = outer * p.compensation / p.det;
  out[0] += sharp * (p.yy - scene.eps2d) - blurred * p.yy;
  out[1] -= (sharp - blurred) * p.xy;
  out[2] += sharp * (p.xx - scene.eps2d) - blurred * p.xx;
}

void quat_gradient(const Projection& p, const double g[9], double out[4]) {
  const double w = p.unit_quat[0], x = p.unit_quat[1], y = p.unit_quat[2], z = p.unit_quat[3];
  const double u[4] = {
      2 * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1])),
      2 * (w * (g[7] - g[5]) + y * (g[1] + g[3]) + z * (g[2] + g[6]) - 2 * x * (g[4] + g[8])),
      2 * (w * (g[2] - g[6]) + x * (g[1] + g[3]) + z * (g[5] + g[7]) - 2 * y * (g[0] + g[8])),
      2 * (w * (g[3] - g[1]) + x * (g[2] + g[6]) + y * (g[5] + g[7]) - 2 * z * (g[0] + g[4]))};
  double along = 0.0;
  for (int i = 0; i < 4; ++i) along += u[i] * p.unit_quat[i];
  const double inverse = 1.0 / p.quat_norm;
  for (int i = 0; i < 4; ++i) out[i] = (u[i] - along * p.unit_quat[i]) * inverse;
}

// Chain through the footprint's mean, its Jacobian and the depth to the point in the camera.
void point_gradient(const Camera& camera, const Projection& p, const FootprintGradient& g,
                    const double spread[6], double out[3]) {
  const double rz = p.inverse_z;
  const double focal[2] = {camera.fx * rz, camera.fy * rz};
  const double mean[2] = {g.mean_x, g.mean_y};
  out[2] = g.depth;
  for (int k = 0; k < 2; ++k) {
    const double ratio = p.point[k] * rz;
    out[k] = mean[k] * focal[k];
    out[2] -= mean[k] * focal[k] * ratio;
    const double* v = spread + 3 * k;
    const double by_slope = -focal[k] * (v[0] * p.axes[6] + v[1] * p.axes[7] + v[2] * p.axes[8]);
    for (int j = 0; j < 3; ++j) out[2] -= v[j] * p.spread[3 * k + j] * rz;
    if (p.slope_limited[k]) continue;
    out[k] += by_slope * rz;
    out[2] -= by_slope * ratio * rz;
  }
}

}  // namespace

Camera read_camera(const SplatScene& scene, int camera) {
  const float* view = scene.viewmats + 16 * camera;
  const float* k = scene.intrinsics + 9 * camera;
  Camera out;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) out.rotation[3 * i + j] = view[4 * i + j];
    out.translation[i] = view[4 * i + 3];
  }
  out.fx = k[0], out.fy = k[4], out.cx = k[2], out.cy = k[5];
  const double margin_x = 0.3 * 0.5 * scene.width / out.fx;
  const double margin_y = 0.3 * 0.5 * scene.height / out.fy;
  out.left = out.cx / out.fx + margin_x;
  out.right = (scene.width - out.cx) / out.fx + margin_x;
  out.up = out.cy / out.fy + margin_y;
  out.down = (scene.height - out.cy) / out.fy + margin_y;
  set_reach(scene, &out);
  return out;
}

bool project(const SplatScene& scene, const Camera& camera, int64_t index, Projection* p) {
  if (!usable(scene, index) || !(scene.opacities[index] >= kAlphaThreshold)) return false;
  const float* mean = scene.means + 3 * index;
  for (int i = 0; i < 3; ++i) {
    const double* row = camera.rotation + 3 * i;
    p->point[i] = row[0] * mean[0] + row[1] * mean[1] + row[2] * mean[2] + camera.translation[i];
  }
  if (!(p->point[2] >= scene.near_plane && p->point[2] <= scene.far_plane)) return false;
  if (far_outside(scene, camera, index, p->point)) return false;
  if (!rotate(scene.quats + 4 * index, p)) return false;
  footprint(scene, camera, scene.scales + 3 * index, p);
  if (!(p->det > 0.0 && p->xx < kLargestVariance && p->yy < kLargestVariance)) return false;
  p->root_yy = std::sqrt(1.0 / p->yy);
  p->root_xx = std::sqrt(p->yy / p->det);
  p->root_yx = -p->root_xx * p->root_yy * p->root_yy * p->xy;
  p->compensation = scene.antialiased ? std::sqrt(p->sharp_det / p->det) : 1.0;
  p->opacity = scene.opacities[index] * p->compensation;
  return p->opacity >= kAlphaThreshold;
}

void project_backward(const SplatScene& scene, const Camera& camera, int64_t index,
                      const Projection& p, const FootprintGradient& g, GaussianGradient* out) {
  const float* mean = scene.means + 3 * index;
  const float* scale = scene.scales + 3 * index;
  // 1 footprint -> its 2x3 square root: d(V V^T) -> 2 G V
  double cov[3];
  covariance_gradient(scene, p, g, scene.opacities[index], cov);
  out->opacity = g.opacity * p.compensation;
  double spread[6];
  for (int j = 0; j < 3; ++j) {
    spread[j] = 2 * (cov[0] * p.spread[j] + cov[1] * p.spread[3 + j]);
    spread[3 + j] = 2 * (cov[1] * p.spread[j] + cov[2] * p.spread[3 + j]);
  }
  // 2 -> point in the camera, world mean, camera translation
  double* point = out->translation;
  point_gradient(camera, p, g, spread, point);
  const double* view = camera.rotation;
  for (int j = 0; j < 3; ++j)
    out->mean[j] = view[j] * point[0] + view[3 + j] * point[1] + view[6 + j] * point[2];
  // 3 -> axes J^T spread, scales, rotations
  const double rz = p.inverse_z;
  double turned[9];
  for (int j = 0; j < 3; ++j) {
    const double x = camera.fx * rz * spread[j];
    const double y = camera.fy * rz * spread[3 + j];
    const double axes[3] = {x, y, -p.slope[0] * x - p.slope[1] * y};
    out->scale[j] = 0.0;
    for (int i = 0; i < 3; ++i) {
      out->scale[j] += axes[i] * p.view_rotation[3 * i + j];
      turned[3 * i + j] = axes[i] * scale[j];
    }
  }
  double own[9];
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      own[3 * i + j] = view[i] * turned[j] + view[3 + i] * turned[3 + j] +
                       view[6 + i] * turned[6 + j];
      const double* row = p.rotation + 3 * j;
      out->rotation[3 * i + j] = point[i] * mean[j] + turned[3 * i] * row[0] +
                                 turned[3 * i + 1] * row[1] + turned[3 * i + 2] * row[2];
    }
  }
  quat_gradient(p, own, out->quat);
}

}  // namespace splat
