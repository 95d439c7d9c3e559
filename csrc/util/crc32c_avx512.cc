// The backend for x86-64 with AVX-512 and VPCLMULQDQ: Ice Lake, Zen 4 and later.
//
// The bytes are folded: a register of 512 bits is four lanes of 128, and a lane times x^n modulo P, added to the lane
// n bits further on, stands for both. Four registers are folded over 256 bytes at a time; at the end they are folded
// into one, and the CRC-32C instruction does the rest.

#if defined(__x86_64__)

#include "util/crc32c_instructions.h"

#define TENSORBUNDLE_CRC32C_AVX512_TARGET __attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.2")))

namespace tensorbundle::crc32c {
namespace {

constexpr size_t kVector = 64;
constexpr size_t kRegisters = 4;  // Enough to hide the multiplication's latency; eight measured no faster.
constexpr size_t kBlock = kRegisters * kVector;

// Below this one chain of CRC-32C instructions is faster than folding and its epilogue.
constexpr size_t kMinFolded = 256;

// From here on the bytes are aligned first, by up to 63 in one chain: tensors often start anywhere, and from memory
// this is worth 7 %. Copies gain nothing from it.
constexpr size_t kMinAligned = 64 << 10;

// For each lane: its lower half comes first and so lies 64 powers higher.
constexpr uint64_t LowConstant(uint64_t bits) { return ShiftConstant(bits + 64); }
constexpr uint64_t HighConstant(uint64_t bits) { return ShiftConstant(bits); }

template <size_t kBytes>
TENSORBUNDLE_CRC32C_AVX512_TARGET inline __m512i FoldConstants() {
  constexpr long long kLow = LowConstant(8 * kBytes);
  constexpr long long kHigh = HighConstant(8 * kBytes);
  return _mm512_set_epi64(kHigh, kLow, kHigh, kLow, kHigh, kLow, kHigh, kLow);
}

// vector * constants + addend, lane by lane. 0x96 is the exclusive or of three.
TENSORBUNDLE_CRC32C_AVX512_TARGET inline __m512i Fold(__m512i vector, __m512i constants, __m512i addend) {
  const __m512i low = _mm512_clmulepi64_epi128(vector, constants, 0x00);
  const __m512i high = _mm512_clmulepi64_epi128(vector, constants, 0x11);
  return _mm512_ternarylogic_epi64(low, high, addend, 0x96);
}

template <Copy kCopy>
TENSORBUNDLE_CRC32C_AVX512_TARGET inline __m512i TakeVector(const Cursor<kCopy>& cursor, size_t offset) {
  const __m512i vector = _mm512_loadu_si512(cursor.bytes + offset);
  if constexpr (kCopy == Copy::kCached) _mm512_storeu_si512(cursor.destination + offset, vector);
  if constexpr (kCopy == Copy::kStreaming) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(cursor.destination + offset), vector);
  }
  return vector;
}

// The state that `vector` stands for. It is congruent to all bytes folded into it, so summing it is summing them.
TENSORBUNDLE_CRC32C_AVX512_TARGET inline State Reduce(__m512i vector) {
  alignas(kVector) uint64_t words[kVector / sizeof(uint64_t)];
  _mm512_store_si512(words, vector);
  State state = 0;
  for (const uint64_t word : words) state = SumWord(state, word);
  return state;
}

// Takes whole vectors off the cursor. REQUIRES: cursor->size >= kBlock, and for Copy::kStreaming an aligned
// destination.
template <Copy kCopy>
TENSORBUNDLE_CRC32C_AVX512_TARGET inline State SumVectors(State state, Cursor<kCopy>* cursor) {
  const __m128i start = _mm_cvtsi64_si128(static_cast<long long>(state));
  __m512i a = _mm512_inserti32x4(_mm512_setzero_si512(), start, 0);
  a = _mm512_xor_si512(a, TakeVector(*cursor, 0));
  __m512i b = TakeVector(*cursor, kVector);
  __m512i c = TakeVector(*cursor, 2 * kVector);
  __m512i d = TakeVector(*cursor, 3 * kVector);
  const __m512i by_block = FoldConstants<kBlock>();
  for (cursor->Advance(kBlock); cursor->size >= kBlock; cursor->Advance(kBlock)) {
    a = Fold(a, by_block, TakeVector(*cursor, 0));
    b = Fold(b, by_block, TakeVector(*cursor, kVector));
    c = Fold(c, by_block, TakeVector(*cursor, 2 * kVector));
    d = Fold(d, by_block, TakeVector(*cursor, 3 * kVector));
  }
  const __m512i by_vector = FoldConstants<kVector>();
  a = Fold(Fold(Fold(a, by_vector, b), by_vector, c), by_vector, d);
  for (; cursor->size >= kVector; cursor->Advance(kVector)) a = Fold(a, by_vector, TakeVector(*cursor, 0));
  return Reduce(a);
}

template <Copy kCopy>
TENSORBUNDLE_CRC32C_AVX512_TARGET inline uint32_t Run(uint32_t crc, Cursor<kCopy> cursor) {
  State state = ~crc;
  // Stores past the caches must be aligned.
  if (kCopy == Copy::kStreaming || (kCopy == Copy::kNone && cursor.size >= kMinAligned)) {
    state = SumInOneChain(state, BytesToAlignment(cursor, kVector), &cursor);
  }
  if (cursor.size >= kMinFolded) state = SumVectors(state, &cursor);
  state = SumInOneChain(state, cursor.size, &cursor);
  if (kCopy == Copy::kStreaming) _mm_sfence();
  return ~static_cast<uint32_t>(state);
}

TENSORBUNDLE_CRC32C_AVX512_TARGET uint32_t Extend(uint32_t crc, const uint8_t* bytes, size_t size) {
  return Run<Copy::kNone>(crc, {bytes, size, nullptr});
}

TENSORBUNDLE_CRC32C_AVX512_TARGET uint32_t ExtendCopy(uint32_t crc, const uint8_t* bytes, size_t size,
                                                      uint8_t* destination) {
  return Run<Copy::kCached>(crc, {bytes, size, destination});
}

TENSORBUNDLE_CRC32C_AVX512_TARGET uint32_t ExtendCopyStreaming(uint32_t crc, const uint8_t* bytes, size_t size,
                                                               uint8_t* destination) {
  return Run<Copy::kStreaming>(crc, {bytes, size, destination});
}

}  // namespace

Backend Avx512Backend() {
  __builtin_cpu_init();
  // "avx512f" is only reported if the operating system also saves the registers.
  const bool supported = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq") &&
                         __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2");
  return {"avx512", supported, Extend, ExtendCopy, ExtendCopyStreaming};
}

}  // namespace tensorbundle::crc32c

#endif  // defined(__x86_64__)
