#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

#include "view.hpp"

namespace splat {
namespace {

// Footprints are widened by this many pixels before they are tested against tiles, so that
// rounding can only add an entry, never lose a pixel that is above the alpha threshold.
constexpr float kMargin = 0.01f;

struct Range {
  int first, last;  // both inclusive; empty when last < first
};

// Tiles along one axis whose outermost pixel centres overlap [low, high].
Range tiles_between(float low, float high, int tiles) {
  const float first = std::ceil((low - kMargin - (kTile - 0.5f)) / kTile);
  const float last = std::floor((high + kMargin - 0.5f) / kTile);
  const float end = static_cast<float>(tiles);
  return {static_cast<int>(std::min(end, std::max(0.0f, first))),
          static_cast<int>(std::max(-1.0f, std::min(end - 1.0f, last)))};
}

// The ellipse u^2 + v^2 <= tau, cut by the pixel rows of one row of tiles.
class Ellipse {
 public:
  explicit Ellipse(const Splat& s)
      : s_(s),
        mean_x_(s.corner_x + s.offset_x),
        mean_y_(s.corner_y + s.offset_y),
        radius_(std::sqrt((s.log2_opacity + std::log2(255.0f)) * 1.0001f + 1e-6f)),
        shear_(s.whiten_yx / s.whiten_yy),
        lean_(shear_ * radius_ / std::sqrt(1.0f + shear_ * shear_)) {}

  Range rows(int tiles_y) const {
    return tiles_between(mean_y_ - s_.reach_y, mean_y_ + s_.reach_y, tiles_y);
  }

  // Along a row dx = (+-sqrt(tau - v^2) - shear v) / whiten_xx, extremal at v = -+lean.
  Range columns(int row, int tiles_x) const {
    const float top = row * kTile + 0.5f - mean_y_ - kMargin;
    const float low = clamp(s_.whiten_yy * top);
    const float high = clamp(s_.whiten_yy * (top + kTile - 1 + 2 * kMargin));
    const float left = -edge(std::min(high, std::max(low, lean_)), 1.0f);
    const float right = edge(std::min(high, std::max(low, -lean_)), -1.0f);
    return tiles_between(mean_x_ + left, mean_x_ + right, tiles_x);
  }

 private:
  float clamp(float v) const { return std::min(radius_, std::max(-radius_, v)); }
  float edge(float v, float side) const {
    const float half = std::sqrt(std::max(0.0f, radius_ * radius_ - v * v));
    return (half + side * shear_ * v) / s_.whiten_xx;
  }

  const Splat& s_;
  float mean_x_, mean_y_, radius_, shear_, lean_;
};

// Calls visit(tile) for every tile of the band that the footprint touches, in ascending order.
template <class Visit>
void for_each_tile(const Splat& splat, const Band& band, int tiles_x, int tiles_y, Visit visit) {
  const Ellipse ellipse(splat);
  const Range rows = ellipse.rows(tiles_y);
  const int first_row = std::max(rows.first, band.first / tiles_x);
  const int last_row = std::min(rows.last, (band.last - 1) / tiles_x);
  for (int row = first_row; row <= last_row; ++row) {
    const Range columns = ellipse.columns(row, tiles_x);
    const int first = std::max(row * tiles_x + columns.first, band.first);
    const int last = std::min(row * tiles_x + columns.last, band.last - 1);
    for (int tile = first; tile <= last; ++tile) visit(tile);
  }
}

int64_t chunk_begin(int64_t count, int chunk) { return count * chunk / kBinChunks; }

void emit_chunk(View* view, int chunk, int64_t* counts, int tiles) {
  Binning& b = view->binning;
  std::fill_n(counts, tiles, 0);
  std::vector<Entry>& out = b.emitted[chunk];
  out.clear();
  const int64_t end = chunk_begin(view->visible, chunk + 1);
  for (int64_t rank = chunk_begin(view->visible, chunk); rank < end; ++rank) {
    b.rank_begin[rank] = static_cast<int64_t>(out.size());
    for_each_tile(view->splats[rank], b.band, view->tiles_x, view->tiles_y, [&](int tile) {
      ++counts[tile - b.band.first];
      out.push_back({static_cast<uint32_t>(tile - b.band.first), static_cast<uint32_t>(rank)});
    });
  }
}

// Pass 1: every chunk of ranks lists its tiles and counts them.
void emit(const SplatScene& scene, View* view, int tiles) {
  Binning& b = view->binning;
  b.cursor.resize(static_cast<size_t>(kBinChunks) * tiles);
  b.rank_begin.resize(view->visible + 1);
  std::atomic<bool> out_of_memory{false};
  Workers::shared().run(kBinChunks, scene.threads, [&](int64_t chunk, int) {
    try {
      emit_chunk(view, static_cast<int>(chunk), b.cursor.data() + chunk * tiles, tiles);
    } catch (const std::bad_alloc&) {  // must not end a helper thread
      out_of_memory = true;
    }
  });
  if (out_of_memory) throw std::bad_alloc();
}

// Pass 2: counts become positions, tile by tile and chunk by chunk, which keeps the depth order.
int64_t accumulate_counts(Binning* b, int tiles) {
  b->tile_begin.resize(tiles + 1);
  int64_t total = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    b->tile_begin[tile] = total;
    for (int chunk = 0; chunk < kBinChunks; ++chunk) {
      int64_t& cursor = b->cursor[static_cast<int64_t>(chunk) * tiles + tile];
      total += std::exchange(cursor, total);
    }
  }
  b->tile_begin[tiles] = total;
  return total;
}

// Pass 3: entries move to their tiles.
void scatter(const SplatScene& scene, View* view, int tiles, int64_t total) {
  Binning& b = view->binning;
  b.entries.resize(total);
  int64_t slots[kBinChunks + 1] = {0};
  for (int chunk = 0; chunk < kBinChunks; ++chunk)
    slots[chunk + 1] = slots[chunk] + static_cast<int64_t>(b.emitted[chunk].size());
  Workers::shared().run(kBinChunks, scene.threads, [&](int64_t item, int) {
    const int chunk = static_cast<int>(item);
    int64_t* cursor = b.cursor.data() + item * tiles;
    int64_t slot = slots[chunk];
    for (const Entry& e : b.emitted[chunk])
      b.entries[cursor[e.rank]++] = {e.slot, static_cast<uint32_t>(slot++)};
    const int64_t end = chunk_begin(view->visible, chunk + 1);
    for (int64_t rank = chunk_begin(view->visible, chunk); rank < end; ++rank)
      b.rank_begin[rank] += slots[chunk];
  });
  b.rank_begin[view->visible] = total;
}

// Upper bound of each tile's entries from the footprints' bounding boxes.
std::vector<int64_t> bound_entries(const View* view) {
  const int stride = view->tiles_x + 1;
  std::vector<int64_t> count(static_cast<size_t>(stride) * (view->tiles_y + 1), 0);
  for (int64_t rank = 0; rank < view->visible; ++rank) {
    const Splat& s = view->splats[rank];
    const float x = s.corner_x + s.offset_x, y = s.corner_y + s.offset_y;
    const Range columns = tiles_between(x - s.reach_x, x + s.reach_x, view->tiles_x);
    const Range rows = tiles_between(y - s.reach_y, y + s.reach_y, view->tiles_y);
    if (columns.last < columns.first || rows.last < rows.first) continue;
    // corners of the box in the second difference of the counts
    ++count[rows.first * stride + columns.first];
    --count[rows.first * stride + columns.last + 1];
    --count[(rows.last + 1) * stride + columns.first];
    ++count[(rows.last + 1) * stride + columns.last + 1];
  }
  for (int y = 0; y < view->tiles_y; ++y)
    for (int x = 1; x < stride; ++x) count[y * stride + x] += count[y * stride + x - 1];
  for (int y = 1; y < view->tiles_y; ++y)
    for (int x = 0; x < stride; ++x) count[y * stride + x] += count[(y - 1) * stride + x];
  return count;
}

}  // namespace

void plan_bands(const SplatScene& scene, View* view) {
  const int tiles = view->tiles_x * view->tiles_y;
  view->bands.clear();
  int first = 0;
  if (view->entries_bound > scene.held_entries) {
    const std::vector<int64_t> count = bound_entries(view);
    int64_t held = 0;
    for (int tile = 0; tile < tiles; ++tile) {
      const int64_t here = count[tile / view->tiles_x * (view->tiles_x + 1) + tile % view->tiles_x];
      if (tile > first && held + here > scene.held_entries) {
        view->bands.push_back({first, tile});
        first = tile, held = 0;
      }
      held += here;
    }
  }
  view->bands.push_back({first, tiles});
}

void bin(const SplatScene& scene, const Band& band, View* view) {
  view->binning.band = band;
  const int tiles = band.last - band.first;
  emit(scene, view, tiles);
  scatter(scene, view, tiles, accumulate_counts(&view->binning, tiles));
}

}  // namespace splat
