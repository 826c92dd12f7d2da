// The C interface that Python sees through ctypes; mirrored in ../library.py.
// All arrays are dense, row-major float32 unless another type is written.
#pragma once

#include <cstdint>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

extern "C" {

enum SplatDepth : int32_t { kNoDepth = 0, kAccumulatedDepth = 1, kExpectedDepth = 2 };

struct SplatScene {
  const float* means;        // [N, 3] world
  const float* quats;        // [N, 4] w x y z, any length above zero
  const float* scales;       // [N, 3] standard deviations
  const float* opacities;    // [N]
  const float* colors;       // [N, D], or [C, N, D] with colors_per_camera
  const float* viewmats;     // [C, 4, 4] world to camera
  const float* intrinsics;   // [C, 3, 3]
  const float* backgrounds;  // [C, D] or null
  int64_t count;             // N
  int64_t held_entries;      // Gaussian-tile pairs in memory at once; bounds it, changes nothing
  int32_t cameras;           // C
  int32_t color_channels;    // D; zero where only depth is rendered
  int32_t colors_per_camera;
  int32_t width;
  int32_t height;
  int32_t depth;  // SplatDepth; anything but kNoDepth adds one channel behind the colours
  int32_t antialiased;
  int32_t threads;
  double near_plane;
  double far_plane;
  double radius_clip;
  double eps2d;
};

struct SplatImages {
  float* renders;  // [C, H, W, K], K = D (+ 1 with depth)
  float* alphas;   // [C, H, W]
  int32_t* radii;  // [C, N, 2]; zero marks a culled Gaussian, here and below
  float* means2d;  // [C, N, 2] px
  float* depths;   // [C, N]
  float* conics;   // [C, N, 3] inverse covariance xx, xy, yy in 1/px^2
};

struct SplatGradients {
  const float* renders;  // [C, H, W, K] in; null counts as zero
  const float* alphas;   // [C, H, W] in; null counts as zero
  float* colors;         // out, shapes as in SplatScene; null where depth alone is rendered
  float* means;          // out; null together with those up to viewmats if only colours are wanted
  float* quats;
  float* scales;
  float* opacities;
  float* viewmats;
  float* backgrounds;  // [C, D]; null where nobody asks
};

// Renders and returns what the backward pass needs, or null when memory ran out.
void* splat_forward(const SplatScene* scene, const SplatImages* images);
// Writes every gradient (no need to clear them). Returns 0, or 1 when memory ran out.
int splat_backward(void* state, const SplatScene* scene, const SplatGradients* gradients);
void splat_release(void* state);
// sizeof(SplatScene), by which the caller checks that its mirror of this file is up to date.
int64_t splat_scene_bytes();
const char* splat_sources();
}

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
