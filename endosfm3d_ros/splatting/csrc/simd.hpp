// One register of floats as wide as the instruction set this file is compiled for.
#pragma once

#include <cstdint>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace splat {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;  // SSE2 and NEON
#endif

typedef float vfloat __attribute__((vector_size(kLanes * 4), may_alias));
typedef uint32_t vuint __attribute__((vector_size(kLanes * 4), may_alias));
typedef int32_t vint __attribute__((vector_size(kLanes * 4), may_alias));

inline vfloat load(const float* p) { return *reinterpret_cast<const vfloat*>(p); }
inline vint load(const int32_t* p) { return *reinterpret_cast<const vint*>(p); }
inline void store(float* p, vfloat v) { *reinterpret_cast<vfloat*>(p) = v; }
inline void store(int32_t* p, vint v) { *reinterpret_cast<vint*>(p) = v; }
inline vfloat fill(float x) { return x - vfloat{}; }
inline vint fill(int32_t x) { return x - vint{}; }

inline vfloat lane_index() {
  vfloat v{};
  for (int i = 0; i < kLanes; ++i) v[i] = static_cast<float>(i);
  return v;
}

inline float sum(vfloat v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#elif defined(__AVX__)
  const __m256 w = (__m256)v;
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(w), _mm256_extractf128_ps(w, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
#else
  return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}

// Whether any lane of a comparison's result is set.
inline bool any(vint mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX__)
  return _mm256_movemask_ps((__m256)mask) != 0;
#else
  int32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= mask[i];
  return bits != 0;
#endif
}

// 2^x for x <= 14; arguments below -40 give 2^-40. The polynomial is the minimax fit of degree 5
// to 2^f on [-1/2, 1/2] (relative error 7.5e-8, below 3e-7 with rounding); the integer part is
// added to the exponent bits.
inline vfloat exp2(vfloat x) {
  const vfloat floor = fill(-40.0f);
  x = x > floor ? x : floor;
  const vfloat shift = fill(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest integer
  const vfloat shifted = x + shift;
  const vfloat f = x - (shifted - shift);
  vfloat p = fill(0.00132764744f);
  p = p * f + 0.00967554215f;
  p = p * f + 0.0555071327f;
  p = p * f + 0.240221197f;
  p = p * f + 0.693146967f;
  p = p * f + 1.00000007f;
  return (vfloat)((vuint)p + ((vuint)shifted << 23));
}

}  // namespace splat
