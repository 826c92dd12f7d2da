// Steps 1 and 6: a 3-D Gaussian to its 2-D footprint, and the gradient back.
// EWA splatting (Zwicker et al. 2001) with the covariance parametrisation of Kerbl et al. 2023.
#pragma once

#include "abi.hpp"

namespace splat {

constexpr double kAlphaThreshold = 1.0 / 255.0;  // a contribution below one grey level is dropped

struct Camera {
  double rotation[9];  // world to camera
  double translation[3];
  double fx, fy, cx, cy;
  // The Jacobian is taken at most 30 % of the half field of view outside the image.
  double left, right, up, down;
  // px that a footprint may reach from its mean, per unit of scale / z and beyond that.
  double reach_x, reach_y, reach_blur;
};

// Everything between a Gaussian's parameters and its footprint. Double precision: covariances of
// flat Gaussians lose all digits of their determinant in single precision.
struct Projection {
  double point[3];     // camera frame
  double inverse_z;
  double unit_quat[4];
  double quat_norm;
  double rotation[9];  // of the Gaussian, in the world
  double view_rotation[9];
  double axes[9];      // view_rotation * diag(scales), camera frame
  double slope[2];     // x/z and y/z, limited
  bool slope_limited[2];
  double spread[6];    // Jacobian * axes, 2x3
  double sharp_det;    // determinant before the low-pass filter
  double xx, xy, yy;   // covariance after it, px^2
  double det;
  // Lower triangular root L of the inverse covariance: L^T (dx, dy) has unit covariance.
  double root_xx, root_yx, root_yy;
  double mean_x, mean_y;  // px
  double compensation;    // sqrt(sharp_det / det) when antialiased, else 1
  double opacity;         // with compensation
};

struct FootprintGradient {
  double mean_x, mean_y;
  double xx, xy, yy;  // xy: derivative by one of the two equal off-diagonal entries
  double opacity;     // of Projection::opacity
  double depth;
};

struct GaussianGradient {
  double mean[3];
  double quat[4];
  double scale[3];
  double opacity;
  double rotation[9];  // of the camera
  double translation[3];
};

Camera read_camera(const SplatScene& scene, int camera);

// False where the Gaussian cannot be seen: not finite, no quaternion, negative scale, outside the
// near or far plane, or too transparent.
bool project(const SplatScene& scene, const Camera& camera, int64_t index, Projection* out);

void project_backward(const SplatScene& scene, const Camera& camera, int64_t index,
                      const Projection& p, const FootprintGradient& upstream,
                      GaussianGradient* out);

}  // namespace splat
