#include "view.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

namespace splat {
namespace {

constexpr uint64_t kCulled = ~0ull;
constexpr double kSlack = 1.0001;  // reaches are stored in single precision

int32_t to_pixels(double x) { return static_cast<int32_t>(std::min(x, 2147483000.0)); }

bool finite_color(const SplatScene& scene, int camera, int64_t index) {
  const int64_t row = scene.colors_per_camera ? camera * scene.count + index : index;
  const float* color = scene.colors + row * scene.color_channels;
  float residue = 0.0f;
  for (int k = 0; k < scene.color_channels; ++k) residue += color[k] - color[k];
  return residue == 0.0f;
}

void write_splat(const Projection& p, int64_t index, double reach, Splat* s) {
  const double corner_x = std::nearbyint(p.mean_x), corner_y = std::nearbyint(p.mean_y);
  s->corner_x = static_cast<float>(corner_x);
  s->corner_y = static_cast<float>(corner_y);
  s->offset_x = static_cast<float>(p.mean_x - corner_x);
  s->offset_y = static_cast<float>(p.mean_y - corner_y);
  const double scale = std::sqrt(kWhitenSquare);
  s->whiten_xx = static_cast<float>(scale * p.root_xx);
  s->whiten_yx = static_cast<float>(scale * p.root_yx);
  s->whiten_yy = static_cast<float>(scale * p.root_yy);
  s->log2_opacity = static_cast<float>(std::log2(p.opacity));
  s->reach_x = static_cast<float>(kSlack * reach * std::sqrt(p.xx));
  s->reach_y = static_cast<float>(kSlack * reach * std::sqrt(p.yy));
  s->index = static_cast<int32_t>(index);
}

void clear_images(const SplatImages& images, int64_t i) {
  images.radii[2 * i] = images.radii[2 * i + 1] = 0;
  images.means2d[2 * i] = images.means2d[2 * i + 1] = 0.0f;
  images.depths[i] = 0.0f;
  images.conics[3 * i] = images.conics[3 * i + 1] = images.conics[3 * i + 2] = 0.0f;
}

void write_images(const SplatImages& images, int64_t i, const Projection& p, double rx, double ry) {
  images.radii[2 * i] = to_pixels(rx);
  images.radii[2 * i + 1] = to_pixels(ry);
  images.means2d[2 * i] = static_cast<float>(p.mean_x);
  images.means2d[2 * i + 1] = static_cast<float>(p.mean_y);
  images.depths[i] = static_cast<float>(p.point[2]);
  const double inverse = 1.0 / p.det;
  images.conics[3 * i] = static_cast<float>(p.yy * inverse);
  images.conics[3 * i + 1] = static_cast<float>(-p.xy * inverse);
  images.conics[3 * i + 2] = static_cast<float>(p.xx * inverse);
}

// Positive floats order like their bits; the index below them keeps equal depths in input order.
uint64_t depth_key(double depth, int64_t index) {
  const float z = static_cast<float>(depth);
  uint32_t bits;
  std::memcpy(&bits, &z, sizeof bits);
  return (static_cast<uint64_t>(bits) << 32) | static_cast<uint32_t>(index);
}

uint64_t project_one(const SplatScene& scene, const SplatImages& images, const Camera& view,
                     int camera, int64_t index, Splat* splat) {
  const int64_t i = camera * scene.count + index;
  clear_images(images, i);
  Projection p;
  if (!project(scene, view, index, &p) || !finite_color(scene, camera, index)) return kCulled;
  const double reach = std::sqrt(std::max(0.0, 2.0 * std::log(p.opacity / kAlphaThreshold)));
  const double rx = std::ceil(reach * std::sqrt(p.xx)), ry = std::ceil(reach * std::sqrt(p.yy));
  if (rx <= scene.radius_clip && ry <= scene.radius_clip) return kCulled;
  const bool inside = p.mean_x + rx > 0 && p.mean_x - rx < scene.width && p.mean_y + ry > 0 &&
                      p.mean_y - ry < scene.height;
  if (!inside) return kCulled;
  write_images(images, i, p, rx, ry);
  write_splat(p, index, reach, splat);
  return depth_key(p.point[2], index);
}

// Stable radix sort by the depth in the upper 32 bits; three passes of 11 bits.
void sort_by_depth(int64_t count, Buffer<uint64_t>* keys, Buffer<uint64_t>* swap) {
  constexpr int kBits = 11, kBuckets = 1 << kBits, kPasses = 3;
  swap->resize(count);
  static thread_local int64_t histogram[kPasses][kBuckets];
  std::memset(histogram, 0, sizeof histogram);
  uint64_t* from = keys->data();
  uint64_t* to = swap->data();
  for (int64_t i = 0; i < count; ++i)
    for (int pass = 0; pass < kPasses; ++pass)
      ++histogram[pass][(from[i] >> (32 + kBits * pass)) & (kBuckets - 1)];
  for (int pass = 0; pass < kPasses; ++pass) {
    int64_t begin = 0;
    for (int64_t& bucket : histogram[pass]) begin += std::exchange(bucket, begin);
    for (int64_t i = 0; i < count; ++i)
      to[histogram[pass][(from[i] >> (32 + kBits * pass)) & (kBuckets - 1)]++] = from[i];
    std::swap(from, to);
  }
  if (from != keys->data()) std::memcpy(keys->data(), from, count * sizeof(uint64_t));
}

// Upper bound of the tiles that a footprint touches.
int64_t most_tiles(const View& view, const Splat& s) {
  const float columns = std::min<float>(view.tiles_x, 2 * s.reach_x / kTile + 2);
  const float rows = std::min<float>(view.tiles_y, 2 * s.reach_y / kTile + 2);
  return static_cast<int64_t>(columns * rows);
}

void gather(const SplatScene& scene, const SplatImages& images, int camera, View* view) {
  const int d = scene.color_channels, k = channels(scene);
  const int64_t base = camera * scene.count;
  const float* colors = scene.colors + (scene.colors_per_camera ? base * d : 0);
  view->splats.resize(view->visible);
  view->colors.resize(view->visible * k);
  std::fill_n(view->rank_of.resize(scene.count), scene.count, -1);
  for_chunks(scene, view->visible, [&](int64_t rank) {
    const int64_t index = static_cast<uint32_t>(view->keys[rank]);
    view->splats[rank] = view->unsorted[index];
    float* out = view->colors.data() + rank * k;
    std::copy_n(colors + index * d, d, out);
    if (k > d) out[d] = images.depths[base + index];
    view->rank_of[index] = static_cast<int32_t>(rank);
  });
}

}  // namespace

size_t View::bytes() const {
  size_t total = unsorted.bytes() + splats.bytes() + colors.bytes() + rank_of.bytes();
  total += keys.bytes() + keys_swap.bytes() + binning.entries.bytes() + binning.cursor.bytes();
  total += transmittance.bytes() + last.bytes() + tile_last.bytes() + expected_depth.bytes();
  for (const auto& chunk : binning.emitted) total += chunk.capacity() * sizeof(Entry);
  return total;
}

void build_view(const SplatScene& scene, const SplatImages& images, int camera, View* view) {
  view->camera = read_camera(scene, camera);
  view->tiles_x = (scene.width + kTile - 1) / kTile;
  view->tiles_y = (scene.height + kTile - 1) / kTile;
  view->unsorted.resize(scene.count);
  view->keys.resize(scene.count);
  std::atomic<int64_t> bound{0};
  for_chunks(scene, scene.count, [&](int64_t i) {
    view->keys[i] = project_one(scene, images, view->camera, camera, i, &view->unsorted[i]);
    if (view->keys[i] != kCulled) bound += most_tiles(*view, view->unsorted[i]);
  });
  view->entries_bound = bound;
  uint64_t* keys = view->keys.data();
  view->visible = std::remove(keys, keys + scene.count, kCulled) - keys;
  sort_by_depth(view->visible, &view->keys, &view->keys_swap);
  gather(scene, images, camera, view);
}

}  // namespace splat
