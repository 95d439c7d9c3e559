// FarmHash by Geoff Pike, in the variant "na" that its Fingerprint64 is fixed to; written from the published algorithm.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "tensorbundle/fingerprint.h"
#include "util/endian.h"

namespace tensorbundle {
namespace {

constexpr uint64_t k0 = 0xC3A5C85C97CB3127;
constexpr uint64_t k1 = 0xB492B66FBE98F273;
constexpr uint64_t k2 = 0x9AE16A3B2F90404F;
constexpr size_t kBlock = 64;

struct Pair {
  uint64_t first = 0;
  uint64_t second = 0;
};

uint64_t Load64(const uint8_t* bytes) { return LoadLittleEndian<uint64_t>(bytes); }
uint64_t Load32(const uint8_t* bytes) { return LoadLittleEndian<uint32_t>(bytes); }
uint64_t Rotate(uint64_t value, int bits) { return value >> bits | value << (64 - bits); }
uint64_t Mix(uint64_t value) { return value ^ value >> 47; }
uint64_t Multiplier(size_t size) { return k2 + size * 2; }

// Two words into one.
uint64_t Fold(uint64_t a, uint64_t b, uint64_t multiplier) {
  const uint64_t low = Mix((a ^ b) * multiplier);
  return Mix((b ^ low) * multiplier) * multiplier;
}

uint64_t HashUpTo16(const uint8_t* bytes, size_t size) {
  if (size >= 8) {
    const uint64_t multiplier = Multiplier(size);
    const uint64_t a = Load64(bytes) + k2;
    const uint64_t b = Load64(bytes + size - 8);
    return Fold(Rotate(b, 37) * multiplier + a, (Rotate(a, 25) + b) * multiplier, multiplier);
  }
  if (size >= 4) return Fold(size + (Load32(bytes) << 3), Load32(bytes + size - 4), Multiplier(size));
  if (size == 0) return k2;
  const uint64_t front = bytes[0] + (uint64_t{bytes[size / 2]} << 8);
  const uint64_t back = size + (uint64_t{bytes[size - 1]} << 2);
  return Mix(front * k2 ^ back * k0) * k2;
}

// The two words that sizes up to 32 are folded from, and that longer ones begin with.
Pair Ends(const uint8_t* bytes, size_t size, uint64_t a) {
  const uint64_t b = Load64(bytes + 8);
  const uint64_t c = Load64(bytes + size - 8) * Multiplier(size);
  const uint64_t d = Load64(bytes + size - 16) * k2;
  return {Rotate(a + b, 43) + Rotate(c, 30) + d, a + Rotate(b + k2, 18) + c};
}

uint64_t HashUpTo32(const uint8_t* bytes, size_t size) {
  const Pair ends = Ends(bytes, size, Load64(bytes) * k1);
  return Fold(ends.first, ends.second, Multiplier(size));
}

uint64_t HashUpTo64(const uint8_t* bytes, size_t size) {
  const uint64_t multiplier = Multiplier(size);
  const uint64_t a = Load64(bytes) * k2;
  const Pair ends = Ends(bytes, size, a);
  const uint64_t folded = Fold(ends.first, ends.second, multiplier);
  const uint64_t e = Load64(bytes + 16) * multiplier;
  const uint64_t f = Load64(bytes + 24);
  const uint64_t g = (ends.first + Load64(bytes + size - 32)) * multiplier;
  const uint64_t h = (folded + Load64(bytes + size - 24)) * multiplier;
  return Fold(Rotate(e + f, 43) + Rotate(g, 30) + h, e + Rotate(f + a, 18) + g, multiplier);
}

// 32 bytes and a pair into a pair.
Pair Absorb(const uint8_t* bytes, uint64_t a, uint64_t b) {
  const uint64_t last = Load64(bytes + 24);
  a += Load64(bytes);
  b = Rotate(b + a + last, 21);
  const uint64_t sum = a + Load64(bytes + 8) + Load64(bytes + 16);
  return {sum + last, b + Rotate(sum, 44) + a};
}

// What is carried from block to block.
struct State {
  uint64_t x;
  uint64_t y;
  uint64_t z;
  Pair v;
  Pair w;
};

// `weight` is 1, and 9 in the last block.
void AbsorbBlock(const uint8_t* bytes, uint64_t multiplier, uint64_t weight, State* state) {
  auto& [x, y, z, v, w] = *state;
  x = Rotate(x + y + v.first + Load64(bytes + 8), 37) * multiplier;
  y = Rotate(y + v.second + Load64(bytes + 48), 42) * multiplier;
  x ^= w.second * weight;
  y += v.first * weight + Load64(bytes + 40);
  z = Rotate(z + w.first, 33) * multiplier;
  v = Absorb(bytes, v.second * multiplier, x + w.first);
  w = Absorb(bytes + 32, z + w.second, y + Load64(bytes + 16));
  std::swap(z, x);
}

// The last block is the last 64 bytes, some of which the one before had, too.
uint64_t HashLong(const uint8_t* bytes, size_t size) {
  constexpr uint64_t kSeed = 81;
  State state{kSeed, kSeed * k1 + 113, 0, {}, {}};
  state.z = Mix(state.y * k2 + 113) * k2;
  state.x = state.x * k2 + Load64(bytes);
  const size_t num_blocks = (size - 1) / kBlock;
  for (size_t i = 0; i < num_blocks; ++i) AbsorbBlock(bytes + i * kBlock, k1, 1, &state);

  const uint64_t multiplier = k1 + ((state.z & 0xFF) << 1);
  state.w.first += (size - 1) % kBlock;
  state.v.first += state.w.first;
  state.w.first += state.v.first;
  AbsorbBlock(bytes + size - kBlock, multiplier, 9, &state);
  const auto& [x, y, z, v, w] = state;
  return Fold(Fold(v.first, w.first, multiplier) + Mix(y) * k0 + z, Fold(v.second, w.second, multiplier) + x,
              multiplier);
}

}  // namespace

uint64_t Fingerprint64(ByteView bytes) {
  if (bytes.size() <= 16) return HashUpTo16(bytes.data(), bytes.size());
  if (bytes.size() <= 32) return HashUpTo32(bytes.data(), bytes.size());
  if (bytes.size() <= kBlock) return HashUpTo64(bytes.data(), bytes.size());
  return HashLong(bytes.data(), bytes.size());
}

}  // namespace tensorbundle
