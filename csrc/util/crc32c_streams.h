// Sums in three interleaved streams. Included by backends only.
//
// The CRC-32C instruction takes one word a cycle but answers only after three: a single chain runs at a third of what
// the processor can do. So a block is cut into three parts that are summed side by side, and their registers are
// joined by moving the first past the second and third, and the second past the third.

#ifndef TENSORBUNDLE_UTIL_CRC32C_STREAMS_H_
#define TENSORBUNDLE_UTIL_CRC32C_STREAMS_H_

#include "util/crc32c_instructions.h"

namespace tensorbundle::crc32c {

inline constexpr size_t kCacheLine = 64;

// Bytes of each stream in one block. Long ones make joining cheap; short ones serve what is left.
inline constexpr size_t kLongStream = 1024;
inline constexpr size_t kShortStream = 128;

// How far ahead of the block memory is asked for, in order. Processors' own prefetchers are confused by three streams a
// kilobyte apart: left to them, sums ran at half the speed and copies at a third (Zen 5: 31 against 15 and 18 against
// 7 GB/s from memory).
inline constexpr size_t kPrefetchAhead = 1024;

// Asks for the line at `offset` of the bytes, and of the destination if it will be read into the cache to be written.
template <Copy kCopy>
inline void Prefetch(const Cursor<kCopy>& cursor, size_t offset) {
  __builtin_prefetch(cursor.bytes + offset);
  if constexpr (kCopy == Copy::kCached) __builtin_prefetch(cursor.destination + offset, 1);
}

template <Copy kCopy>
TENSORBUNDLE_CRC32C_TARGET inline uint64_t TakeStreamWord(const Cursor<kCopy>& cursor, size_t offset) {
#if defined(__x86_64__)
  if constexpr (kCopy == Copy::kStreaming) {
    const uint64_t word = TakeWord(Cursor<Copy::kNone>{cursor.bytes, cursor.size, nullptr}, offset);
    _mm_stream_si64(reinterpret_cast<long long*>(cursor.destination + offset), static_cast<long long>(word));
    return word;
  }
#endif
  return TakeWord(cursor, offset);
}

// Sums whole blocks of three streams of kStream bytes. Shift::By<n> moves a register past n bytes.
template <typename Shift, size_t kStream, Copy kCopy>
TENSORBUNDLE_CRC32C_TARGET inline State SumBlocks(State state, Cursor<kCopy>* cursor) {
  constexpr size_t kBlock = 3 * kStream;
  for (; cursor->size >= kBlock; cursor->Advance(kBlock)) {
    State second = 0;
    State third = 0;
    for (size_t line = 0; line < kStream; line += kCacheLine) {
      const size_t ahead = kBlock + kPrefetchAhead + 3 * line;
      for (size_t i = 0; i < 3; ++i) Prefetch(*cursor, ahead + i * kCacheLine);
      for (size_t i = line; i < line + kCacheLine; i += sizeof(uint64_t)) {
        state = SumWord(state, TakeStreamWord(*cursor, i));
        second = SumWord(second, TakeStreamWord(*cursor, i + kStream));
        third = SumWord(third, TakeStreamWord(*cursor, i + 2 * kStream));
      }
    }
    state = Shift::template By<2 * kStream>(state) ^ Shift::template By<kStream>(second) ^ third;
  }
  return state;
}

// Takes all bytes off the cursor.
template <typename Shift, Copy kCopy>
TENSORBUNDLE_CRC32C_TARGET inline State SumInStreams(State state, Cursor<kCopy> cursor) {
  // Stores past the caches are only fast when they fill whole lines.
  if (kCopy == Copy::kStreaming) state = SumInOneChain(state, BytesToAlignment(cursor, kCacheLine), &cursor);
  state = SumBlocks<Shift, kLongStream>(state, &cursor);
  state = SumBlocks<Shift, kShortStream>(state, &cursor);
  return SumInOneChain(state, cursor.size, &cursor);
}

}  // namespace tensorbundle::crc32c

#endif  // TENSORBUNDLE_UTIL_CRC32C_STREAMS_H_
