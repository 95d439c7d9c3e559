#include "util/crc32c.h"

#include <array>
#include <cstdlib>
#include <cstring>

#include "util/crc32c_internal.h"

namespace tensorbundle::crc32c {
namespace {

// x^(8n) mod P for any n, as a product of at most eight factors: one for each four bits of the exponent, which is below
// 2^31 because the powers of x repeat.
constexpr int kDigitBits = 4;
constexpr int kDigits = 8;
using DigitPowers = std::array<std::array<uint32_t, 1 << kDigitBits>, kDigits>;

// Entry [i][d] is x^(d * 16^i).
constexpr DigitPowers MakeDigitPowers() {
  DigitPowers powers{};
  uint32_t unit = TimesX(kOne);
  for (auto& row : powers) {
    uint32_t power = kOne;
    for (auto& entry : row) {
      entry = power;
      power = Multiply(power, unit);
    }
    unit = power;
  }
  return powers;
}

constexpr DigitPowers kDigitPowers = MakeDigitPowers();

static_assert(Multiply(PowerOfX(kOrderOfX - 1), TimesX(kOne)) == kOne, "the powers of x repeat as claimed");

// What one ExtendCopy call must copy before it stores past the caches.
//
// Doing so saves reading every line of the destination before it is overwritten, but leaves nothing in the caches for
// whoever uses the bytes next. From here on, source and destination together are twice the last-level cache of usual
// servers (32 MiB), and the copy followed by reading the destination once is no slower. On Zen 5 the copy alone gains a
// third into memory that was written to before, and loses 3 to 10 % into fresh pages.
constexpr size_t kMinStreamedAlone = size_t{32} << 20;

// Pieces shorter than this are not worth the wait for the stores to drain at the end of each: some 150 ns.
constexpr size_t kMinStreamedPiece = size_t{64} << 10;

std::vector<Backend> MakeBackends() {
  return {
      PortableBackend(),
#if defined(__x86_64__)
      Sse42Backend(),
      Avx512Backend(),
#elif defined(__aarch64__) && !defined(__AARCH64EB__)
      Armv8Backend(),
#endif
  };
}

}  // namespace

uint32_t Extend(uint32_t crc, ByteView bytes) { return ActiveBackend().extend(crc, bytes.data(), bytes.size()); }

uint32_t ExtendCopy(uint32_t crc, ByteView bytes, uint8_t* destination) {
  const Backend& backend = ActiveBackend();
  const auto copy = bytes.size() < kMinStreamedAlone ? backend.extend_copy : backend.extend_copy_streaming;
  return copy(crc, bytes.data(), bytes.size(), destination);
}

uint32_t ExtendCopyStreaming(uint32_t crc, ByteView bytes, uint8_t* destination) {
  const Backend& backend = ActiveBackend();
  const auto copy = bytes.size() < kMinStreamedPiece ? backend.extend_copy : backend.extend_copy_streaming;
  return copy(crc, bytes.data(), bytes.size(), destination);
}

// Moving crc_a past B's bytes is all: the initial and the final exclusive or cancel out.
uint32_t Combine(uint32_t crc_a, uint32_t crc_b, uint64_t size_b) {
  uint64_t exponent = size_b % kOrderOfX * 8 % kOrderOfX;
  for (size_t i = 0; exponent != 0; ++i, exponent >>= kDigitBits) {
    const uint64_t digit = exponent % (1 << kDigitBits);
    if (digit != 0) crc_a = Multiply(crc_a, kDigitPowers[i][digit]);
  }
  return crc_a ^ crc_b;
}

const std::vector<Backend>& Backends() {
  // Never destroyed: threads may still be summing while the process exits.
  static const std::vector<Backend>& backends = *new std::vector<Backend>(MakeBackends());
  return backends;
}

const Backend& ChooseBackend(const char* name) {
  const Backend* fastest = nullptr;
  for (const Backend& backend : Backends()) {
    if (!backend.supported) continue;
    if (name != nullptr && std::strcmp(backend.name, name) == 0) return backend;
    fastest = &backend;
  }
  return *fastest;  // The portable one is supported everywhere.
}

const Backend& ChooseBackendByEnvironment() { return ChooseBackend(std::getenv("TENSORBUNDLE_CRC32C")); }

const Backend& ActiveBackend() {
  static const Backend& active = ChooseBackendByEnvironment();
  return active;
}

const char* ActiveBackendName() { return ActiveBackend().name; }

std::vector<const char*> SupportedBackendNames() {
  std::vector<const char*> names;
  for (const Backend& backend : Backends()) {
    if (backend.supported) names.push_back(backend.name);
  }
  return names;
}

}  // namespace tensorbundle::crc32c
