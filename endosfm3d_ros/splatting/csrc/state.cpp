#include "state.hpp"

#include <mutex>

namespace splat {
namespace {

constexpr size_t kPooledStates = 4;
constexpr size_t kPooledBytes = size_t{128} << 20;  // larger states are freed at once

std::mutex pool_mutex;

std::vector<std::unique_ptr<State>>& pool() {
  static auto* states = new std::vector<std::unique_ptr<State>>;  // never destroyed: threads may
  return *states;                                                 // outlive static destruction
}

}  // namespace

size_t State::bytes() const {
  size_t total = raster.entries.bytes() + raster.backgrounds.bytes();
  total += sums.bytes() + partial.bytes();
  for (const auto& view : views) total += view->bytes();
  return total;
}

std::unique_ptr<State> take_state(int cameras) {
  std::unique_ptr<State> state;
  {
    const std::lock_guard<std::mutex> lock(pool_mutex);
    if (!pool().empty()) {
      state = std::move(pool().back());
      pool().pop_back();
    }
  }
  if (state == nullptr) state = std::make_unique<State>();
  while (state->views.size() < static_cast<size_t>(cameras))
    state->views.push_back(std::make_unique<View>());
  return state;
}

void give_state(std::unique_ptr<State> state) {
  if (state->bytes() > kPooledBytes) return;
  const std::lock_guard<std::mutex> lock(pool_mutex);
  if (pool().size() < kPooledStates) pool().push_back(std::move(state));
}

}  // namespace splat
