// The backend for x86-64 with SSE4.2 and PCLMULQDQ, which is every one since 2010.

#if defined(__x86_64__)

#include "util/crc32c_streams.h"

namespace tensorbundle::crc32c {
namespace {

struct ClmulShift {
  template <size_t kBytes>
  TENSORBUNDLE_CRC32C_TARGET static State By(State state) {
    constexpr long long kConstant = ShiftConstant(8 * kBytes);
    const __m128i factor = _mm_cvtsi64_si128(static_cast<long long>(state));
    const __m128i product = _mm_clmulepi64_si128(factor, _mm_cvtsi64_si128(kConstant), 0x00);
    return SumWord(0, static_cast<uint64_t>(_mm_cvtsi128_si64(product)));
  }
};

template <Copy kCopy>
TENSORBUNDLE_CRC32C_TARGET uint32_t Run(uint32_t crc, const Cursor<kCopy>& cursor) {
  const uint32_t sum = ~static_cast<uint32_t>(SumInStreams<ClmulShift>(~crc, cursor));
  if (kCopy == Copy::kStreaming) _mm_sfence();
  return sum;
}

uint32_t Extend(uint32_t crc, const uint8_t* bytes, size_t size) {
  return Run<Copy::kNone>(crc, {bytes, size, nullptr});
}

uint32_t ExtendCopy(uint32_t crc, const uint8_t* bytes, size_t size, uint8_t* destination) {
  return Run<Copy::kCached>(crc, {bytes, size, destination});
}

uint32_t ExtendCopyStreaming(uint32_t crc, const uint8_t* bytes, size_t size, uint8_t* destination) {
  return Run<Copy::kStreaming>(crc, {bytes, size, destination});
}

}  // namespace

Backend Sse42Backend() {
  __builtin_cpu_init();
  const bool supported = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
  return {"sse42", supported, Extend, ExtendCopy, ExtendCopyStreaming};
}

}  // namespace tensorbundle::crc32c

#endif  // defined(__x86_64__)
