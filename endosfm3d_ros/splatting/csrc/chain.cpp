#include "state.hpp"

namespace splat {
namespace {

// From sums over pixels of s * {1, u, v, uu, uv, vv}, s the derivative by log(alpha), to the
// footprint: with the conic L L^T and e = L^T d,  d/d(mean) = L sum(s e)  and
// d/d(covariance) = 1/2 L sum(s e e^T) L^T. No inverse is differentiated, so nothing cancels.
FootprintGradient footprint_gradient(const Projection& p, const float* sums) {
  const double scale = 1.0 / kWhitenSquare, root = std::sqrt(scale);
  const double xx = p.root_xx, yx = p.root_yx, yy = p.root_yy;
  const double u = root * sums[1], v = root * sums[2];
  const double uu = 0.5 * scale * sums[3], uv = 0.5 * scale * sums[4], vv = 0.5 * scale * sums[5];
  FootprintGradient g;
  g.mean_x = xx * u;
  g.mean_y = yx * u + yy * v;
  g.xx = xx * xx * uu;
  g.xy = xx * (yx * uu + yy * uv);
  g.yy = yx * yx * uu + 2 * yx * yy * uv + yy * yy * vv;
  g.opacity = sums[0] / p.opacity;
  g.depth = 0.0;
  return g;
}

template <class T>
void add(float* out, const T* in, int count) {
  for (int i = 0; i < count; ++i) out[i] += static_cast<float>(in[i]);
}

// What the tiles of the current band say about one footprint, in the order of the tiles.
void add_entries(const View& view, const Buffer<float>& entries, int64_t rank, int stride,
                 float* sums) {
  const Binning& b = view.binning;
  for (int64_t slot = b.rank_begin[rank]; slot < b.rank_begin[rank + 1]; ++slot)
    add(sums, entries.data() + slot * stride, stride);
}

// One Gaussian; adds its share of the camera's gradient to `partial` (rows of [R | t]).
void chain_one(const SplatScene& scene, int camera, const SplatGradients& out, const View& view,
               int64_t index, const float* sums, double* partial) {
  const int d = scene.color_channels;
  Projection p;
  project(scene, view.camera, index, &p);
  FootprintGradient footprint = footprint_gradient(p, sums);
  if (scene.depth != kNoDepth) footprint.depth = sums[kMoments + d];
  GaussianGradient g;
  project_backward(scene, view.camera, index, p, footprint, &g);
  add(out.means + 3 * index, g.mean, 3);
  add(out.quats + 4 * index, g.quat, 4);
  add(out.scales + 3 * index, g.scale, 3);
  add(out.opacities + index, &g.opacity, 1);
  const int64_t row = scene.colors_per_camera ? camera * scene.count + index : index;
  add(out.colors + row * d, sums + kMoments, d);
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) partial[4 * i + j] += g.rotation[3 * i + j];
    partial[4 * i + 3] += g.translation[i];
  }
}

}  // namespace

void add_band(const SplatScene& scene, int camera, State* state) {
  const View& view = *state->views[camera];
  const int stride = kMoments + channels(scene);
  for_chunks(scene, view.visible, [&](int64_t rank) {
    add_entries(view, state->raster.entries, rank, stride, state->sums.data() + rank * stride);
  });
}

void add_backgrounds(const SplatScene& scene, int camera, const SplatGradients& gradients,
                     const State& state) {
  if (gradients.backgrounds == nullptr) return;
  const Band band = state.views[camera]->binning.band;
  const int d = scene.color_channels;
  for (int tile = 0; tile < band.last - band.first; ++tile)
    add(gradients.backgrounds + camera * d,
        state.raster.backgrounds.data() + tile * channels(scene), d);
}

void chain_view(const SplatScene& scene, int camera, const SplatGradients& gradients,
                State* state) {
  const View& view = *state->views[camera];
  const int stride = kMoments + channels(scene);
  const int64_t chunks = (scene.count + kChunk - 1) / kChunk;
  double* partial = state->partial.resize(12 * chunks);
  std::fill_n(partial, 12 * chunks, 0.0);
  for_chunks(scene, scene.count, [&](int64_t i) {
    const int64_t rank = view.rank_of[i];
    if (rank < 0) return;
    float* sums = state->sums.data() + rank * stride;
    add_entries(view, state->raster.entries, rank, stride, sums);
    chain_one(scene, camera, gradients, view, i, sums, partial + 12 * (i / kChunk));
  });
  double total[16] = {};
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    for (int i = 0; i < 12; ++i) total[i] += partial[12 * chunk + i];
  add(gradients.viewmats + 16 * camera, total, 16);
}

}  // namespace splat
