// Threads that share the items of a loop. Made for machines whose cores are busy with other work
// too: the caller never waits for a thread that has not started, as an OpenMP barrier does, only
// for items that are being worked on. Without free cores a loop takes as long as on one thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace splat {

class Workers {
 public:
  static Workers& shared();

  // Calls work(item, thread) for 0 <= item < count on at most `threads` threads, the caller being
  // thread 0. Items are handed out one by one, in order. `work` must not throw. While another
  // caller is being served, everything runs on the calling thread.
  template <class Work>
  void run(int64_t count, int threads, const Work& work) {
    Job job{[](const void* w, int64_t item, int thread) {
              (*static_cast<const Work*>(w))(item, thread);
            },
            &work, count, threads};
    run(&job);
  }

 private:
  struct Job {
    void (*call)(const void* work, int64_t item, int thread);
    const void* work;
    int64_t count;
    int threads;
    std::atomic<int64_t> next{0};
  };

  Workers() = default;
  void run(Job* job);
  void serve(int thread);
  void wait_for_news(uint64_t seen);
  static void take_items(Job* job, int thread);

  std::mutex serving_;  // held by the caller whose job is shared
  int started_ = 1;     // threads, the caller included
  std::atomic<Job*> job_{nullptr};
  std::atomic<int> inside_{0};  // helpers that may hold a pointer to the job
  std::atomic<uint64_t> news_{0};
  std::atomic<int> asleep_{0};
  std::mutex sleep_;
  std::condition_variable wake_;
};

}  // namespace splat
