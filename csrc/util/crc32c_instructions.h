// The processor's own CRC-32C instruction, and sums made with nothing else. Included by backends only.
//
// Functions that use instructions beyond the baseline carry TENSORBUNDLE_CRC32C_TARGET (or a wider target of their
// backend's) instead of the whole file being compiled for them: nothing that another file shares, such as an inline
// function of the standard library, can then pick up instructions that the processor may lack.

#ifndef TENSORBUNDLE_UTIL_CRC32C_INSTRUCTIONS_H_
#define TENSORBUNDLE_UTIL_CRC32C_INSTRUCTIONS_H_

#if defined(__x86_64__)
#include <immintrin.h>
#define TENSORBUNDLE_CRC32C_TARGET __attribute__((target("sse4.2,pclmul")))
#elif defined(__aarch64__)
#if defined(__clang__)
#define TENSORBUNDLE_CRC32C_TARGET __attribute__((target("crc")))
#else
#include <arm_acle.h>
#define TENSORBUNDLE_CRC32C_TARGET __attribute__((target("+crc")))
#endif
#endif

#include "util/crc32c_internal.h"

namespace tensorbundle::crc32c {

// The 32-bit register, in the width that the instruction takes and gives: narrowing or widening it between two
// instructions would lengthen the chain.
#if defined(__x86_64__)
using State = uint64_t;
#else
using State = uint32_t;
#endif

TENSORBUNDLE_CRC32C_TARGET inline State SumByte(State state, uint8_t byte) {
#if defined(__x86_64__)
  return _mm_crc32_u8(static_cast<uint32_t>(state), byte);
#elif defined(__clang__)
  return __builtin_arm_crc32cb(state, byte);
#else
  return __crc32cb(state, byte);
#endif
}

TENSORBUNDLE_CRC32C_TARGET inline State SumWord(State state, uint64_t word) {
#if defined(__x86_64__)
  return _mm_crc32_u64(state, word);
#elif defined(__clang__)
  return __builtin_arm_crc32cd(state, word);
#else
  return __crc32cd(state, word);
#endif
}

// Takes `length` bytes off the cursor, one instruction after the other: three cycles for each eight bytes.
// REQUIRES: length <= cursor->size.
template <Copy kCopy>
TENSORBUNDLE_CRC32C_TARGET inline State SumInOneChain(State state, size_t length, Cursor<kCopy>* cursor) {
  for (; length >= sizeof(uint64_t); length -= sizeof(uint64_t)) {
    state = SumWord(state, TakeWord(*cursor, 0));
    cursor->Advance(sizeof(uint64_t));
  }
  for (; length > 0; --length) {
    const uint8_t byte = *cursor->bytes;
    if constexpr (kCopy != Copy::kNone) *cursor->destination = byte;
    state = SumByte(state, byte);
    cursor->Advance(1);
  }
  return state;
}

}  // namespace tensorbundle::crc32c

#endif  // TENSORBUNDLE_UTIL_CRC32C_INSTRUCTIONS_H_
