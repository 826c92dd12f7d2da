// What lives between a forward and its backward pass.
#pragma once

#include <memory>
#include <vector>

#include "raster.hpp"

namespace splat {

struct State {
  std::vector<std::unique_ptr<View>> views;  // one per camera; may hold more than are in use
  RasterGradients raster;
  Buffer<float> sums;      // [visible, kMoments + K] of one camera, over all tiles
  Buffer<double> partial;  // [chunks, 12] of the camera's gradient
  size_t bytes() const;
};

// A state from the pool, or a new one. Safe to call from several threads.
std::unique_ptr<State> take_state(int cameras);
// Back to the pool; states beyond its capacity are freed.
void give_state(std::unique_ptr<State> state);

// Adds what all tiles of the current band say about each footprint to State::sums.
void add_band(const SplatScene& scene, int camera, State* state);

// Adds what they say about the background.
void add_backgrounds(const SplatScene& scene, int camera, const SplatGradients& gradients,
                     const State& state);

// Adds what they say about the colours, after `weigh_band`.
void add_colors(const SplatScene& scene, int camera, const SplatGradients& gradients,
                const State& state);

// Adds the last band too, then chains State::sums of one camera to the Gaussians and to the camera.
void chain_view(const SplatScene& scene, int camera, const SplatGradients& gradients, State* state);

}  // namespace splat
