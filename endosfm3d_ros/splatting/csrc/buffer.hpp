// Memory that grows and is never cleared, so that a state can be used again without page faults.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <type_traits>

namespace splat {

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable<T>::value, "contents are not constructed");

 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(data_); }

  // Makes room for `size` elements; what was inside is lost when it has to grow.
  T* resize(size_t size) {
    if (size > capacity_) {
      const size_t wanted = size + size / 4 + 64;
      std::free(data_);
      capacity_ = 0;
      const size_t bytes = (wanted * sizeof(T) + 63) / 64 * 64;
      data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
      if (data_ == nullptr) throw std::bad_alloc();
      capacity_ = wanted;
    }
    size_ = size;
    return data_;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  size_t bytes() const { return capacity_ * sizeof(T); }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace splat
