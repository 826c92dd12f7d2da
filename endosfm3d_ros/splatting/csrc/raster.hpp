// Steps 4 and 5: alpha blending inside one tile, and its gradient.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "simd.hpp"
#include "view.hpp"

namespace splat {

constexpr float kMaxAlpha = 0.999f;
constexpr float kMinTransmittance = 1e-4f;  // a pixel is finished before it would fall to this
constexpr int kGroups = kTile / kLanes;     // registers per row of a tile
constexpr int kMoments = 6;                 // sums over pixels of s * {1, u, v, uu, uv, vv}

// Where a splat lies in a tile: pixel offsets and the rows it can reach.
struct Placement {
  vfloat dx[kGroups];  // px from the mean to the pixel centres of one row
  float dy;            // the same for row 0
  int first_row, end_row;

  Placement(const Splat& s, int tile_x, int tile_y) {
    const float x = (static_cast<float>(tile_x * kTile) - s.corner_x) + (0.5f - s.offset_x);
    dy = (static_cast<float>(tile_y * kTile) - s.corner_y) + (0.5f - s.offset_y);
    for (int g = 0; g < kGroups; ++g) dx[g] = lane_index() + (x + g * kLanes);
    const float top = std::max(0.0f, std::ceil(-dy - s.reach_y - 0.01f));
    const float end = std::min<float>(kTile, std::floor(-dy + s.reach_y + 0.01f) + 1.0f);
    first_row = static_cast<int>(std::min<float>(kTile, top));
    end_row = static_cast<int>(std::max(0.0f, end));
  }
};

// Calls work with the number of channels as a compile-time constant; 0 means "read it from the
// scene". RGB and RGB + weight, RGB + normal + confidence, each with and without depth, and single
// channels.
template <class Work>
void with_channels(int count, Work work) {
  switch (count) {
    case 1: return work(std::integral_constant<int, 1>());
    case 3: return work(std::integral_constant<int, 3>());
    case 4: return work(std::integral_constant<int, 4>());
    case 5: return work(std::integral_constant<int, 5>());
    case 7: return work(std::integral_constant<int, 7>());
    case 8: return work(std::integral_constant<int, 8>());
    default: return work(std::integral_constant<int, 0>());
  }
}

// Blends every tile of the current band into the images of one camera.
void blend_band(const SplatScene& scene, const SplatImages& images, int camera, View* view);

// What the tiles of the current band add to the footprints and to the background's gradient.
struct RasterGradients {
  Buffer<float> entries;       // [slots, kMoments + K], or [slots, D] of colours alone
  Buffer<double> backgrounds;  // [tiles, K]
};

void blend_band_backward(const SplatScene& scene, const SplatGradients& gradients, int camera,
                         const View& view, RasterGradients* out);

// The same for colours alone: no moments, no division, and in the order of the forward pass.
void weigh_band(const SplatScene& scene, const SplatGradients& gradients, int camera,
                const View& view, RasterGradients* out);

}  // namespace splat
