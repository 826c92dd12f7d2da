#include "state.hpp"

namespace splat {
namespace {

// Per pixel: what is left of the light, and how far the forward pass went.
struct Pixels {
  alignas(64) float transmittance[kTilePixels];
  alignas(64) int32_t last[kTilePixels];
};

// Sums of weight times incoming gradient over the pixels of a tile; weights as in the forward pass.
template <int K>
inline void weigh(const Splat& s, int count, const Placement& at, int position, Pixels* pixels,
                  const float* image, float* sums) {
  const vfloat zero = fill(0.0f), threshold = fill(static_cast<float>(kAlphaThreshold));
  const vfloat most = fill(kMaxAlpha);
  vfloat by_color[K > 0 ? K : 1] = {};
  for (int row = at.first_row; row < at.end_row; ++row) {
    const float dy = at.dy + row;
    const float v = s.whiten_yy * dy;
    const vfloat peak = fill(s.log2_opacity - v * v), shear = fill(s.whiten_yx * dy);
    for (int g = 0; g < kGroups; ++g) {
      const int i = row * kTile + g * kLanes;
      const vfloat u = s.whiten_xx * at.dx[g] + shear;
      vfloat alpha = exp2(peak - u * u);
      alpha = alpha < most ? alpha : most;
      alpha = alpha >= threshold ? alpha : zero;
      alpha = load(pixels->last + i) >= fill(position) ? alpha : zero;
      const vfloat before = load(pixels->transmittance + i);
      const vfloat weight = before * alpha;
      store(pixels->transmittance + i, before - weight);
      for (int k = 0; k < K; ++k) by_color[k] += weight * load(image + k * kTilePixels + i);
      for (int k = K; k < count; ++k) sums[k] += sum(weight * load(image + k * kTilePixels + i));
    }
  }
  for (int k = 0; k < K; ++k) sums[k] = sum(by_color[k]);
}

// Loads the incoming gradients of a tile, colours only: depth does not depend on them.
void read(const SplatScene& scene, const SplatGradients& gradients, int camera, const View& view,
          int tile, Pixels* pixels, float* image, double* background) {
  const int d = scene.color_channels;
  const int64_t base = static_cast<int64_t>(camera) * scene.width * scene.height;
  std::fill_n(pixels->transmittance, kTilePixels, 1.0f);
  std::fill_n(pixels->last, kTilePixels, 0);
  std::fill_n(image, d * kTilePixels, 0.0f);
  std::fill_n(background, d, 0.0);
  if (gradients.renders == nullptr) return;
  const int x0 = tile % view.tiles_x * kTile, y0 = tile / view.tiles_x * kTile;
  for (int y = 0; y < std::min(kTile, scene.height - y0); ++y)
    for (int x = 0; x < std::min(kTile, scene.width - x0); ++x) {
      const int64_t at = static_cast<int64_t>(y0 + y) * scene.width + x0 + x;
      const float* in = gradients.renders + (base + at) * channels(scene);
      pixels->last[y * kTile + x] = view.last[at];
      for (int k = 0; k < d; ++k) {
        image[k * kTilePixels + y * kTile + x] = in[k];
        background[k] += static_cast<double>(view.transmittance[at]) * in[k];
      }
    }
}

template <int K>
void weigh_tile(const View& view, int tile, int count, Pixels* pixels, const float* image,
                float* entries) {
  const Binning& b = view.binning;
  const int64_t begin = b.tile_begin[tile - b.band.first];
  const int64_t size = b.tile_begin[tile - b.band.first + 1] - begin;
  for (int64_t n = 0; n < size; ++n) {
    const Entry entry = b.entries[begin + n];
    float* sums = entries + static_cast<int64_t>(entry.slot) * count;
    std::fill_n(sums, count, 0.0f);
    if (n >= view.tile_last[tile]) continue;
    const Splat& s = view.splats[entry.rank];
    const Placement at(s, tile % view.tiles_x, tile / view.tiles_x);
    weigh<K>(s, count, at, static_cast<int>(n + 1), pixels, image, sums);
  }
}

}  // namespace

void weigh_band(const SplatScene& scene, const SplatGradients& gradients, int camera,
                const View& view, RasterGradients* out) {
  const Band band = view.binning.band;
  const int d = scene.color_channels;
  out->entries.resize(view.binning.entries.size() * d);
  out->backgrounds.resize(static_cast<size_t>(band.last - band.first) * channels(scene));
  Buffer<float> scratch;
  scratch.resize(static_cast<size_t>(scene.threads) * d * kTilePixels);
  with_channels(d, [&](auto k) {
    Workers::shared().run(band.last - band.first, scene.threads, [&](int64_t item, int thread) {
      const int tile = band.first + static_cast<int>(item);
      Pixels pixels;
      float* image = scratch.data() + static_cast<int64_t>(thread) * d * kTilePixels;
      double* background = out->backgrounds.data() + item * channels(scene);
      read(scene, gradients, camera, view, tile, &pixels, image, background);
      weigh_tile<decltype(k)::value>(view, tile, d, &pixels, image, out->entries.data());
    });
  });
}

void add_colors(const SplatScene& scene, int camera, const SplatGradients& gradients,
                const State& state) {
  const View& view = *state.views[camera];
  const Binning& b = view.binning;
  const int d = scene.color_channels;
  float* colors = gradients.colors + (scene.colors_per_camera ? camera * scene.count * d : 0);
  for_chunks(scene, view.visible, [&](int64_t rank) {
    float* out = colors + static_cast<int64_t>(view.splats[rank].index) * d;
    for (int64_t slot = b.rank_begin[rank]; slot < b.rank_begin[rank + 1]; ++slot)
      for (int k = 0; k < d; ++k) out[k] += state.raster.entries[slot * d + k];
  });
}

}  // namespace splat
