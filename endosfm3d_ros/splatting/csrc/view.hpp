// Steps 2 and 3: the visible footprints of one camera in order of depth, and the tiles they touch.
#pragma once

#include <algorithm>
#include <vector>

#include "buffer.hpp"
#include "projection.hpp"
#include "workers.hpp"

namespace splat {

constexpr int kTile = 16;              // px
constexpr int kTilePixels = kTile * kTile;
constexpr int64_t kChunk = 512;        // Gaussians per unit of parallel work; fixed, so that sums
                                       // do not depend on the number of threads
constexpr int kBinChunks = 16;         // units of parallel work while binning

// Whitened coordinates are scaled so that exp(-sigma) = 2^-(u*u + v*v).
constexpr double kWhitenSquare = 0.72134752044448170;  // log2(e) / 2

// A footprint as the tile loops want it. The mean is split into an integer pixel corner and a
// remainder, so that differences to pixel centres keep their digits far from the origin.
struct alignas(64) Splat {
  float corner_x, corner_y;
  float offset_x, offset_y;
  float whiten_xx, whiten_yx, whiten_yy;  // u = xx dx + yx dy, v = yy dy
  float log2_opacity;
  float reach_x, reach_y;  // px from the mean to where alpha falls below the threshold
  int32_t index;           // of the Gaussian
};

struct Entry {     // one Gaussian in one tile
  uint32_t rank;   // position in View::splats
  uint32_t slot;   // position among all entries ordered by rank
};

// Tiles [first, last) in row-major order.
struct Band {
  int first, last;
};

struct Binning {
  Buffer<Entry> entries;        // tile by tile, near to far
  Buffer<int64_t> tile_begin;   // [last - first + 1] into entries
  Buffer<int64_t> rank_begin;   // [ranks + 1] into slots
  Band band;
  std::vector<Entry> emitted[kBinChunks];  // here: rank = tile, slot = rank
  Buffer<int64_t> cursor;       // [kBinChunks, tiles]
};

struct View {
  Camera camera;
  int tiles_x, tiles_y;
  int64_t visible = 0;
  Buffer<Splat> unsorted, splats;
  Buffer<float> colors;         // [visible, K] in order of depth
  Buffer<uint64_t> keys, keys_swap;
  Buffer<int32_t> rank_of;      // [N] position in splats, -1 where culled
  int64_t entries_bound = 0;    // at least as many as there are Gaussian-tile pairs
  std::vector<Band> bands;
  Binning binning;
  Buffer<float> transmittance;  // [H, W] what is left behind the last Gaussian
  Buffer<int32_t> last;         // [H, W] entries of the tile up to the last one that contributes
  Buffer<int32_t> tile_last;    // [tiles] largest of them
  Buffer<float> expected_depth; // [H, W], only with kExpectedDepth
  size_t bytes() const;
};

// Calls work(item) for 0 <= item < count, kChunk items at a time on the scene's threads.
template <class Work>
void for_chunks(const SplatScene& scene, int64_t count, const Work& work) {
  Workers::shared().run((count + kChunk - 1) / kChunk, scene.threads, [&](int64_t chunk, int) {
    const int64_t end = std::min(count, (chunk + 1) * kChunk);
    for (int64_t item = chunk * kChunk; item < end; ++item) work(item);
  });
}

inline int channels(const SplatScene& scene) {
  return scene.color_channels + (scene.depth != kNoDepth ? 1 : 0);
}

// Projects, culls and sorts; writes the per-Gaussian images.
void build_view(const SplatScene& scene, const SplatImages& images, int camera, View* view);

// Divides the tiles into bands of at most held_entries entries (or one tile).
void plan_bands(const SplatScene& scene, View* view);

// Lists the Gaussians of every tile of one band.
void bin(const SplatScene& scene, const Band& band, View* view);

}  // namespace splat
