#include "workers.hpp"

#include <pthread.h>

#include <chrono>
#include <system_error>
#include <thread>

namespace splat {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(50);  // the loops of one render follow faster

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Busy-waits for at most kSpin; false when the condition did not come true.
template <class Condition>
bool spin_until(Condition condition) {
  const Clock::time_point end = Clock::now() + kSpin;
  for (int i = 0; !condition(); ++i) {
    pause();
    if (i % 64 == 63 && Clock::now() > end) return false;
  }
  return true;
}

}  // namespace

Workers& Workers::shared() {
  static Workers* workers = new Workers;  // never destroyed: its threads run until the process ends
  static const int registered =           // a forked child has none of them
      pthread_atfork(nullptr, nullptr, [] { workers = new Workers; });
  static_cast<void>(registered);
  return *workers;
}

void Workers::take_items(Job* job, int thread) {
  for (int64_t item; (item = job->next.fetch_add(1)) < job->count;)
    job->call(job->work, item, thread);
}

void Workers::run(Job* job) {
  const std::unique_lock<std::mutex> serving(serving_, std::try_to_lock);
  if (!serving.owns_lock() || job->threads < 2 || job->count < 2) return take_items(job, 0);
  try {
    for (; started_ < job->threads; ++started_)
      std::thread(&Workers::serve, this, started_).detach();
  } catch (const std::system_error&) {  // no more threads to be had: go on with those there are
  }
  job_ = job;
  ++news_;
  if (asleep_ > 0) {
    const std::lock_guard<std::mutex> lock(sleep_);
    wake_.notify_all();
  }
  take_items(job, 0);
  // A helper announces itself before it reads job_, so after this either it finds no job or we
  // see it inside and wait.
  job_ = nullptr;
  while (!spin_until([&] { return inside_ == 0; })) std::this_thread::yield();
}

void Workers::serve(int thread) {
  uint64_t seen = 0;
  for (;;) {
    wait_for_news(seen);
    seen = news_;
    ++inside_;
    Job* job = job_;
    if (job != nullptr && thread < job->threads) take_items(job, thread);
    --inside_;
  }
}

void Workers::wait_for_news(uint64_t seen) {
  if (spin_until([&] { return news_ != seen; })) return;
  std::unique_lock<std::mutex> lock(sleep_);
  ++asleep_;
  wake_.wait(lock, [&] { return news_ != seen; });
  --asleep_;
}

}  // namespace splat
