#include "raster.hpp"

namespace splat {
namespace {

constexpr int kCheckEvery = 16;  // splats between two looks at whether a tile is finished

struct Pixels {
  alignas(64) float live[kTilePixels];   // transmittance, zero once the pixel is finished
  alignas(64) float final[kTilePixels];  // transmittance of finished pixels
  alignas(64) int32_t last[kTilePixels];
};

bool finished(const Pixels& pixels) {
  vfloat most = load(pixels.live);
  for (int i = kLanes; i < kTilePixels; i += kLanes) {
    const vfloat v = load(pixels.live + i);
    most = most > v ? most : v;
  }
  return !any(most > fill(0.0f));
}

// Adds one splat to the pixels of a tile; `position` counts from 1.
template <int K>
inline void blend(const Splat& s, const float* color, int count, const Placement& at, int position,
                  Pixels* pixels, float* image) {
  const int channels = K > 0 ? K : count;
  const vfloat zero = fill(0.0f), threshold = fill(static_cast<float>(kAlphaThreshold));
  const vfloat most = fill(kMaxAlpha), least = fill(kMinTransmittance);
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
      const vfloat before = load(pixels->live + i);
      vfloat weight = before * alpha;
      const vfloat after = before - weight;
      if (any(after <= least)) {  // keep what this splat would have taken as the final value
        const vfloat end = after <= least ? before : zero;
        store(pixels->final + i, load(pixels->final + i) + end);
        weight = after <= least ? zero : weight;
        store(pixels->live + i, after <= least ? zero : after);
      } else {
        store(pixels->live + i, after);
      }
      store(pixels->last + i, weight > zero ? fill(position) : load(pixels->last + i));
      for (int k = 0; k < channels; ++k) {
        float* out = image + k * kTilePixels + i;
        store(out, load(out) + color[k] * weight);
      }
    }
  }
}

// Copies a tile to the images of one camera and remembers what the backward pass needs.
struct Writer {
  const SplatScene& scene;
  const SplatImages& images;
  int camera;
  View* view;

  void operator()(int tile, const Pixels& pixels, const float* image) const {
    const int x0 = tile % view->tiles_x * kTile, y0 = tile / view->tiles_x * kTile;
    int32_t last = 0;
    for (int y = 0; y < std::min(kTile, scene.height - y0); ++y)
      for (int x = 0; x < std::min(kTile, scene.width - x0); ++x) {
        const int i = y * kTile + x;
        pixel(static_cast<int64_t>(y0 + y) * scene.width + x0 + x, pixels.final[i] + pixels.live[i],
              pixels.last[i], image + i);
        last = std::max(last, pixels.last[i]);
      }
    view->tile_last[tile] = last;
  }

  void pixel(int64_t at, float left, int32_t last, const float* image) const {
    const int k_count = channels(scene), d = scene.color_channels;
    const int64_t global = static_cast<int64_t>(camera) * scene.width * scene.height + at;
    view->transmittance[at] = left;
    view->last[at] = last;
    images.alphas[global] = 1.0f - left;
    float* out = images.renders + global * k_count;
    for (int k = 0; k < k_count; ++k) out[k] = image[k * kTilePixels];
    if (scene.backgrounds != nullptr)
      for (int k = 0; k < d; ++k) out[k] += left * scene.backgrounds[camera * d + k];
    if (scene.depth != kExpectedDepth) return;
    out[d] /= std::max(1.0f - left, 1e-10f);
    view->expected_depth[at] = out[d];
  }
};

template <int K>
void blend_tile(const View& view, int tile, int count, Pixels* pixels, float* image) {
  const Binning& b = view.binning;
  const int channels = K > 0 ? K : count;
  std::fill_n(pixels->live, kTilePixels, 1.0f);
  std::fill_n(pixels->final, kTilePixels, 0.0f);
  std::fill_n(pixels->last, kTilePixels, 0);
  std::fill_n(image, channels * kTilePixels, 0.0f);
  const int64_t begin = b.tile_begin[tile - b.band.first];
  const int64_t size = b.tile_begin[tile - b.band.first + 1] - begin;
  for (int64_t n = 0; n < size; ++n) {
    if (n % kCheckEvery == 0 && finished(*pixels)) break;
    const uint32_t rank = b.entries[begin + n].rank;
    const Splat& s = view.splats[rank];
    const Placement at(s, tile % view.tiles_x, tile / view.tiles_x);
    blend<K>(s, view.colors.data() + static_cast<size_t>(rank) * channels, channels, at,
             static_cast<int>(n + 1), pixels, image);
  }
}

}  // namespace

void blend_band(const SplatScene& scene, const SplatImages& images, int camera, View* view) {
  const Band band = view->binning.band;
  const int count = channels(scene);
  const Writer write{scene, images, camera, view};
  Buffer<float> scratch;
  scratch.resize(static_cast<size_t>(scene.threads) * count * kTilePixels);
  with_channels(count, [&](auto k) {
    Workers::shared().run(band.last - band.first, scene.threads, [&](int64_t item, int thread) {
      const int tile = band.first + static_cast<int>(item);
      Pixels pixels;
      float* image = scratch.data() + static_cast<int64_t>(thread) * count * kTilePixels;
      blend_tile<decltype(k)::value>(*view, tile, count, &pixels, image);
      write(tile, pixels, image);
    });
  });
}

}  // namespace splat
