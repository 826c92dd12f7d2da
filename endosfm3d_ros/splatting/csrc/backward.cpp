#include "raster.hpp"

namespace splat {
namespace {

// Per pixel: the incoming gradients, and what has been blended behind the current splat.
struct Pixels {
  alignas(64) float transmittance[kTilePixels];  // in front of the splats already visited
  alignas(64) float behind[kTilePixels];  // derivative by log-transmittance of all that lies behind
  alignas(64) int32_t last[kTilePixels];
};

// Sums over the pixels of a tile for one splat.
template <int K>
inline void blend_backward(const Splat& s, const float* color, int count, const Placement& at,
                           int position, Pixels* pixels, const float* image, float* sums) {
  const int channels = K > 0 ? K : count;
  constexpr int kHeld = K > 0 ? K : 1;
  const vfloat zero = fill(0.0f), one = fill(1.0f);
  const vfloat threshold = fill(static_cast<float>(kAlphaThreshold)), most = fill(kMaxAlpha);
  vfloat m0 = zero, mu = zero, mv = zero, muu = zero, muv = zero, mvv = zero;
  vfloat by_color[kHeld] = {};
  for (int row = at.first_row; row < at.end_row; ++row) {
    const float dy = at.dy + row;
    const float v = s.whiten_yy * dy;
    const vfloat peak = fill(s.log2_opacity - v * v), shear = fill(s.whiten_yx * dy);
    for (int g = 0; g < kGroups; ++g) {
      const int i = row * kTile + g * kLanes;
      const vfloat u = s.whiten_xx * at.dx[g] + shear;
      const vfloat full = exp2(peak - u * u);
      vfloat alpha = full < most ? full : most;
      alpha = alpha >= threshold ? alpha : zero;
      alpha = load(pixels->last + i) >= fill(position) ? alpha : zero;
      const vfloat opening = one / (one - alpha);
      const vfloat before = load(pixels->transmittance + i) * opening;
      const vfloat weight = before * alpha;
      vfloat along = zero;  // colour dot incoming gradient
      for (int k = 0; k < channels; ++k) {
        const vfloat incoming = load(image + k * kTilePixels + i);
        along += color[k] * incoming;
        if (K > 0) {
          by_color[K > 0 ? k : 0] += weight * incoming;
        } else {
          sums[kMoments + k] += sum(weight * incoming);
        }
      }
      const vfloat behind = load(pixels->behind + i);
      vfloat slope = weight * along - alpha * opening * behind;  // by log(alpha)
      slope = full < most ? slope : zero;
      store(pixels->transmittance + i, before);
      store(pixels->behind + i, behind + weight * along);
      const vfloat su = slope * u;
      const vfloat sv = slope * v;
      m0 += slope;
      mu += su;
      mv += sv;
      muu += su * u;
      muv += su * v;
      mvv += sv * v;
    }
  }
  const vfloat moments[kMoments] = {m0, mu, mv, muu, muv, mvv};
  for (int j = 0; j < kMoments; ++j) sums[j] = sum(moments[j]);
  for (int k = 0; k < K; ++k) sums[kMoments + k] = sum(by_color[k]);
}

// Loads the incoming gradients of a tile and undoes the division of the expected depth.
struct Reader {
  const SplatScene& scene;
  const SplatGradients& gradients;
  int camera;
  const View& view;

  void operator()(int tile, Pixels* pixels, float* image, double* background) const {
    const int x0 = tile % view.tiles_x * kTile, y0 = tile / view.tiles_x * kTile;
    std::fill_n(background, channels(scene), 0.0);
    for (int y = 0; y < kTile; ++y)
      for (int x = 0; x < kTile; ++x) {
        const int i = y * kTile + x;
        pixels->last[i] = 0;
        pixels->transmittance[i] = 1.0f;
        pixels->behind[i] = 0.0f;
        for (int k = 0; k < channels(scene); ++k) image[k * kTilePixels + i] = 0.0f;
        if (x0 + x < scene.width && y0 + y < scene.height)
          pixel(static_cast<int64_t>(y0 + y) * scene.width + x0 + x, i, pixels, image, background);
      }
  }

  void pixel(int64_t at, int i, Pixels* pixels, float* image, double* background) const {
    const int k_count = channels(scene), d = scene.color_channels;
    const int64_t global = static_cast<int64_t>(camera) * scene.width * scene.height + at;
    const float left = view.transmittance[at];
    float by_left = gradients.alphas ? -gradients.alphas[global] : 0.0f;  // alpha = 1 - left
    pixels->last[i] = view.last[at];
    pixels->transmittance[i] = left;
    pixels->behind[i] = left * by_left;
    if (gradients.renders == nullptr) return;
    const float* in = gradients.renders + global * k_count;
    for (int k = 0; k < k_count; ++k) image[k * kTilePixels + i] = in[k];
    if (scene.depth == kExpectedDepth) {
      const float alpha = std::max(1.0f - left, 1e-10f);
      image[d * kTilePixels + i] /= alpha;
      if (1.0f - left > 1e-10f) by_left += in[d] * view.expected_depth[at] / alpha;
    }
    for (int k = 0; k < d; ++k) {
      background[k] += static_cast<double>(left) * in[k];
      if (scene.backgrounds != nullptr) by_left += scene.backgrounds[camera * d + k] * in[k];
    }
    pixels->behind[i] = left * by_left;
  }
};

template <int K>
void blend_tile_backward(const View& view, int tile, int count, Pixels* pixels, const float* image,
                         float* entries) {
  const Binning& b = view.binning;
  const int channels = K > 0 ? K : count, stride = kMoments + channels;
  const int64_t begin = b.tile_begin[tile - b.band.first];
  const int64_t size = b.tile_begin[tile - b.band.first + 1] - begin;
  for (int64_t n = size - 1; n >= 0; --n) {
    const Entry entry = b.entries[begin + n];
    float* sums = entries + static_cast<int64_t>(entry.slot) * stride;
    if (K == 0 || n >= view.tile_last[tile]) std::fill_n(sums, stride, 0.0f);
    if (n >= view.tile_last[tile]) continue;
    const Splat& s = view.splats[entry.rank];
    const Placement at(s, tile % view.tiles_x, tile / view.tiles_x);
    blend_backward<K>(s, view.colors.data() + static_cast<size_t>(entry.rank) * channels, channels,
                      at, static_cast<int>(n + 1), pixels, image, sums);
  }
}

}  // namespace

void blend_band_backward(const SplatScene& scene, const SplatGradients& gradients, int camera,
                         const View& view, RasterGradients* out) {
  const Band band = view.binning.band;
  const int count = channels(scene);
  out->entries.resize(view.binning.entries.size() * (kMoments + count));
  out->backgrounds.resize(static_cast<size_t>(band.last - band.first) * count);
  const Reader read{scene, gradients, camera, view};
  Buffer<float> scratch;
  scratch.resize(static_cast<size_t>(scene.threads) * count * kTilePixels);
  with_channels(count, [&](auto k) {
    Workers::shared().run(band.last - band.first, scene.threads, [&](int64_t item, int thread) {
      const int tile = band.first + static_cast<int>(item);
      Pixels pixels;
      float* image = scratch.data() + static_cast<int64_t>(thread) * count * kTilePixels;
      read(tile, &pixels, image, out->backgrounds.data() + item * count);
      blend_tile_backward<decltype(k)::value>(view, tile, count, &pixels, image,
                                              out->entries.data());
    });
  });
}

}  // namespace splat
