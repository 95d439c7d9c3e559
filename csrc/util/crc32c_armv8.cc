// The backend for 64-bit ARM with the CRC32 instructions (all of ARMv8.1, and most of ARMv8.0).

#if defined(__aarch64__) && !defined(__AARCH64EB__)

#include <arm_neon.h>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

#include "util/crc32c_streams.h"

#if defined(__clang__)
#define TENSORBUNDLE_CRC32C_PMULL_TARGET __attribute__((target("aes,crc")))
#else
#define TENSORBUNDLE_CRC32C_PMULL_TARGET __attribute__((target("+crypto+crc")))
#endif

namespace tensorbundle::crc32c {
namespace {

// The product of two 32-bit numbers fits in the lower half.
TENSORBUNDLE_CRC32C_PMULL_TARGET uint64_t CarrylessMultiply(uint64_t a, uint64_t b) {
#if defined(__clang__)
  return static_cast<uint64_t>(__builtin_neon_vmull_p64(a, b));
#else
  return static_cast<uint64_t>(vmull_p64(a, b));
#endif
}

struct PmullShift {
  template <size_t kBytes>
  TENSORBUNDLE_CRC32C_TARGET static State By(State state) {
    constexpr uint64_t kConstant = ShiftConstant(8 * kBytes);
    return SumWord(0, CarrylessMultiply(state, kConstant));
  }
};

// For processors without the cryptography extension, such as the Raspberry Pi 4's.
struct PlainShift {
  template <size_t kBytes>
  static State By(State state) {
    constexpr uint32_t kPower = PowerOfX(8 * kBytes);
    return Multiply(state, kPower);
  }
};

template <typename Shift>
TENSORBUNDLE_CRC32C_TARGET uint32_t Extend(uint32_t crc, const uint8_t* bytes, size_t size) {
  const Cursor<Copy::kNone> cursor{bytes, size, nullptr};
  return ~SumInStreams<Shift>(~crc, cursor);
}

template <typename Shift>
TENSORBUNDLE_CRC32C_TARGET uint32_t ExtendCopy(uint32_t crc, const uint8_t* bytes, size_t size, uint8_t* destination) {
  const Cursor<Copy::kCached> cursor{bytes, size, destination};
  return ~SumInStreams<Shift>(~crc, cursor);
}

struct Features {
  bool crc32;
  bool pmull;
};

#if defined(__APPLE__)
bool HasFeature(const char* name) {
  int value = 0;
  size_t size = sizeof(value);
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

Features DetectFeatures() {
  // Every 64-bit processor of Apple's has PMULL; older systems do not know its name.
  return {HasFeature("hw.optional.armv8_crc32"), true};
}
#elif defined(__linux__)
Features DetectFeatures() {
  const unsigned long capabilities = getauxval(AT_HWCAP);
  return {(capabilities & HWCAP_CRC32) != 0, (capabilities & HWCAP_PMULL) != 0};
}
#else
Features DetectFeatures() {
#if defined(__ARM_FEATURE_CRC32) && defined(__ARM_FEATURE_AES)
  return {true, true};
#elif defined(__ARM_FEATURE_CRC32)
  return {true, false};
#else
  return {false, false};
#endif
}
#endif

}  // namespace

// Stores past the caches are a hint at best on ARM (STNP); none is made.
Backend Armv8Backend() {
  const Features features = DetectFeatures();
  if (!features.pmull) {
    return {"armv8", features.crc32, Extend<PlainShift>, ExtendCopy<PlainShift>, ExtendCopy<PlainShift>};
  }
  return {"armv8", features.crc32, Extend<PmullShift>, ExtendCopy<PmullShift>, ExtendCopy<PmullShift>};
}

}  // namespace tensorbundle::crc32c

#endif  // defined(__aarch64__) && !defined(__AARCH64EB__)
