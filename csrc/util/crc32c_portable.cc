// The backend for any processor: tables, eight bytes a step.

#include <array>

#include "util/crc32c_internal.h"
#include "util/endian.h"

namespace tensorbundle::crc32c {
namespace {

constexpr size_t kSlices = 8;

// Entry [n][byte] is the register after `byte` and n zero bytes. Eight bytes are summed at once by looking each up in
// the table for the number of bytes that follow it.
using Tables = std::array<std::array<uint32_t, 256>, kSlices>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t state = byte;
    for (size_t n = 0; n < kSlices; ++n) {
      for (int bit = 0; bit < 8; ++bit) state = TimesX(state);
      tables[n][byte] = state;
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

inline uint32_t SumByte(uint32_t state, uint8_t byte) { return kTables[0][(state ^ byte) & 0xFF] ^ (state >> 8); }

// `word` holds the first of its eight bytes lowest.
inline uint32_t SumWord(uint32_t state, uint64_t word) {
  word ^= state;
  uint32_t sum = 0;
  for (size_t i = 0; i < kSlices; ++i) sum ^= kTables[kSlices - 1 - i][(word >> (8 * i)) & 0xFF];
  return sum;
}

template <Copy kCopy>
uint32_t Run(uint32_t crc, Cursor<kCopy> cursor) {
  uint32_t state = ~crc;
  for (; cursor.size >= sizeof(uint64_t); cursor.Advance(sizeof(uint64_t))) {
    const uint64_t word = TakeWord(cursor, 0);
    state = SumWord(state, kHostIsLittleEndian ? word : ByteSwap(word));
  }
  for (; cursor.size > 0; cursor.Advance(1)) {
    const uint8_t byte = *cursor.bytes;
    if constexpr (kCopy != Copy::kNone) *cursor.destination = byte;
    state = SumByte(state, byte);
  }
  return ~state;
}

uint32_t Extend(uint32_t crc, const uint8_t* bytes, size_t size) {
  return Run<Copy::kNone>(crc, {bytes, size, nullptr});
}

uint32_t ExtendCopy(uint32_t crc, const uint8_t* bytes, size_t size, uint8_t* destination) {
  return Run<Copy::kCached>(crc, {bytes, size, destination});
}

}  // namespace

// Stores past the caches would not help: the tables are slower than memory.
Backend PortableBackend() { return {"portable", true, Extend, ExtendCopy, ExtendCopy}; }

}  // namespace tensorbundle::crc32c
