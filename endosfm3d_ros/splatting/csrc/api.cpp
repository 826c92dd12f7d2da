#include <exception>

#include "state.hpp"

namespace splat {
namespace {

void forward(const SplatScene& scene, const SplatImages& images, State* state) {
  const size_t pixels = static_cast<size_t>(scene.width) * scene.height;
  for (int camera = 0; camera < scene.cameras; ++camera) {
    View* view = state->views[camera].get();
    build_view(scene, images, camera, view);  // 1 project, 2 sort by depth
    plan_bands(scene, view);
    view->transmittance.resize(pixels);
    view->last.resize(pixels);
    view->tile_last.resize(static_cast<size_t>(view->tiles_x) * view->tiles_y);
    if (scene.depth == kExpectedDepth) view->expected_depth.resize(pixels);
    for (const Band& band : view->bands) {
      bin(scene, band, view);                   // 3 list per tile
      blend_band(scene, images, camera, view);  // 4 blend
    }
  }
}

bool only_colors(const SplatGradients& g) { return g.means == nullptr; }

void clear(const SplatScene& scene, const SplatGradients& g) {
  const int64_t n = scene.count, c = scene.cameras, d = scene.color_channels;
  std::fill_n(g.colors, (scene.colors_per_camera ? c : 1) * n * d, 0.0f);
  if (g.backgrounds != nullptr) std::fill_n(g.backgrounds, c * d, 0.0f);
  if (only_colors(g)) return;
  std::fill_n(g.means, 3 * n, 0.0f);
  std::fill_n(g.quats, 4 * n, 0.0f);
  std::fill_n(g.scales, 3 * n, 0.0f);
  std::fill_n(g.opacities, n, 0.0f);
  std::fill_n(g.viewmats, 16 * c, 0.0f);
}

void backward_to_colors(const SplatScene& scene, const SplatGradients& gradients, State* state) {
  for (int camera = 0; camera < scene.cameras; ++camera) {
    View* view = state->views[camera].get();
    for (const Band& band : view->bands) {
      if (view->bands.size() > 1) bin(scene, band, view);  // the forward pass kept the last band
      weigh_band(scene, gradients, camera, *view, &state->raster);
      add_backgrounds(scene, camera, gradients, *state);
      add_colors(scene, camera, gradients, *state);
    }
  }
}

void backward(const SplatScene& scene, const SplatGradients& gradients, State* state) {
  clear(scene, gradients);
  if (only_colors(gradients)) return backward_to_colors(scene, gradients, state);
  for (int camera = 0; camera < scene.cameras; ++camera) {
    View* view = state->views[camera].get();
    const size_t size = static_cast<size_t>(view->visible) * (kMoments + channels(scene));
    std::fill_n(state->sums.resize(size), size, 0.0f);
    for (const Band& band : view->bands) {
      if (view->bands.size() > 1) bin(scene, band, view);  // the forward pass kept the last band
      blend_band_backward(scene, gradients, camera, *view, &state->raster);  // 5 pixels to entries
      add_backgrounds(scene, camera, gradients, *state);
      if (&band != &view->bands.back()) add_band(scene, camera, state);
    }
    chain_view(scene, camera, gradients, state);  // 6 footprints to Gaussians
  }
}

}  // namespace
}  // namespace splat

extern "C" {

void* splat_forward(const SplatScene* scene, const SplatImages* images) {
  try {
    std::unique_ptr<splat::State> state = splat::take_state(scene->cameras);
    splat::forward(*scene, *images, state.get());
    return state.release();
  } catch (const std::exception&) {
    return nullptr;
  }
}

int splat_backward(void* state, const SplatScene* scene, const SplatGradients* gradients) {
  try {
    splat::backward(*scene, *gradients, static_cast<splat::State*>(state));
    return 0;
  } catch (const std::exception&) {
    return 1;
  }
}

void splat_release(void* state) {
  splat::give_state(std::unique_ptr<splat::State>(static_cast<splat::State*>(state)));
}

int64_t splat_scene_bytes() { return sizeof(SplatScene); }

// Which sources this library was made from: build.py looks for it in the file.
const char* splat_sources() { return "endosfm3d-splatting-sources:" ENDOSFM3D_SOURCES; }
}
