#include "util/crc32c.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/crc32c_internal.h"

namespace tensorbundle::crc32c {
namespace {

using Bytes = std::vector<uint8_t>;

// One bit at a time, straight from the definition: shares nothing with the code under test.
uint32_t ReferenceExtend(uint32_t crc, const uint8_t* bytes, size_t size) {
  crc = ~crc;
  for (size_t i = 0; i < size; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
  }
  return ~crc;
}

// The same bytes on every run.
Bytes RandomBytes(size_t size) {
  Bytes bytes(size);
  uint64_t state = 0x9E3779B97F4A7C15u;
  for (auto& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(state >> 56);
  }
  return bytes;
}

struct Vector {
  const char* name;
  Bytes bytes;
  uint32_t crc;
};

Bytes Counting(int first, int step) {
  Bytes bytes;
  for (int i = 0; i < 32; ++i) bytes.push_back(static_cast<uint8_t>(first + i * step));
  return bytes;
}

Bytes AsBytes(std::string_view text) { return Bytes(text.begin(), text.end()); }

// RFC 3720, appendix B.4, and the customary check value.
std::vector<Vector> KnownVectors() {
  Bytes read_pdu(48);
  read_pdu[0] = 0x01;
  read_pdu[1] = 0xC0;
  read_pdu[16] = 0x14;
  read_pdu[22] = 0x04;
  read_pdu[27] = 0x14;
  read_pdu[31] = 0x18;
  read_pdu[32] = 0x28;
  read_pdu[40] = 0x02;
  return {
      {"nothing", {}, 0x00000000},
      {"digits", AsBytes("123456789"), 0xE3069283},
      {"zeros", Bytes(32, 0x00), 0x8A9136AA},
      {"ones", Bytes(32, 0xFF), 0x62A8AB43},
      {"ascending", Counting(0, 1), 0x46DD794E},
      {"descending", Counting(31, -1), 0x113FDB5C},
      {"iSCSI read command", read_pdu, 0xD9963A56},
  };
}

class Crc32cBackend : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    if (!GetParam().supported) GTEST_SKIP() << "this processor does not support " << GetParam().name;
  }

  uint32_t Extend(uint32_t crc, const uint8_t* bytes, size_t size) const { return GetParam().extend(crc, bytes, size); }

  // Copies to `alignment` bytes past a multiple of 64 and expects the right checksum, the right bytes, and nothing
  // written before or after them.
  void ExpectCopies(decltype(Backend::extend_copy) copy, const uint8_t* bytes, size_t size, uint32_t crc,
                    size_t alignment) {
    constexpr size_t kGuard = 128;
    constexpr uint8_t kUntouched = 0xA5;
    destination_.assign(size + 2 * kGuard + 64, kUntouched);
    const auto base = reinterpret_cast<uintptr_t>(destination_.data()) + kGuard;
    const size_t start = kGuard + (64 - base % 64) % 64 + alignment;
    EXPECT_EQ(copy(0, bytes, size, destination_.data() + start), crc);
    EXPECT_TRUE(size == 0 || std::memcmp(destination_.data() + start, bytes, size) == 0);
    const auto is_untouched = [](uint8_t byte) { return byte == kUntouched; };
    EXPECT_TRUE(std::all_of(destination_.begin(), destination_.begin() + start, is_untouched));
    EXPECT_TRUE(std::all_of(destination_.begin() + start + size, destination_.end(), is_untouched));
  }

  Bytes destination_;
};

TEST_P(Crc32cBackend, GivesTheKnownChecksums) {
  for (const Vector& vector : KnownVectors()) {
    EXPECT_EQ(Extend(0, vector.bytes.data(), vector.bytes.size()), vector.crc) << vector.name;
  }
}

TEST_P(Crc32cBackend, LeavesTheChecksumAloneWhenThereIsNothingToAdd) {
  EXPECT_EQ(Extend(0x12345678, nullptr, 0), 0x12345678u);
  EXPECT_EQ(GetParam().extend_copy(0x12345678, nullptr, 0, nullptr), 0x12345678u);
  EXPECT_EQ(GetParam().extend_copy_streaming(0x12345678, nullptr, 0, nullptr), 0x12345678u);
}

TEST_P(Crc32cBackend, AgreesWithTheDefinitionAtEveryLengthAndAlignment) {
  constexpr size_t kMaxLength = 2048;
  const Bytes storage = RandomBytes(kMaxLength + 128);
  const uint8_t* aligned = storage.data() + (64 - reinterpret_cast<uintptr_t>(storage.data()) % 64) % 64;
  for (size_t alignment = 0; alignment < 64; ++alignment) {
    const uint8_t* bytes = aligned + alignment;
    uint32_t expected = 0xDEADBEEF;
    for (size_t length = 0; length <= kMaxLength; ++length) {
      ASSERT_EQ(Extend(0xDEADBEEF, bytes, length), expected) << length << " bytes at " << alignment;
      expected = ReferenceExtend(expected, bytes + length, 1);
    }
  }
}

// Beyond 3 KiB and 4 KiB the backends take their longest steps and align; this crosses every such boundary, at every
// remainder a step can leave, more than once.
TEST_P(Crc32cBackend, AgreesWithTheDefinitionAroundEveryBlockBoundary) {
  constexpr size_t kFirst = 2048;
  constexpr size_t kLast = 10 * 1024;
  const Bytes bytes = RandomBytes(kLast + 8);
  uint32_t expected = ReferenceExtend(0, bytes.data() + 7, kFirst);
  for (size_t length = kFirst; length <= kLast; ++length) {
    ASSERT_EQ(Extend(0, bytes.data() + 7, length), expected) << length;
    expected = ReferenceExtend(expected, bytes.data() + 7 + length, 1);
  }
}

TEST_P(Crc32cBackend, AgreesWithTheDefinitionOnMegabytes) {
  const Bytes bytes = RandomBytes((size_t{5} << 20) + 77);
  const uint32_t expected = ReferenceExtend(0, bytes.data(), bytes.size());
  EXPECT_EQ(Extend(0, bytes.data(), bytes.size()), expected);
  ExpectCopies(GetParam().extend_copy, bytes.data(), bytes.size(), expected, 5);
  ExpectCopies(GetParam().extend_copy_streaming, bytes.data(), bytes.size(), expected, 5);
}

TEST_P(Crc32cBackend, AgreesWithTheDefinitionAtEveryAlignmentOfManyBytes) {
  constexpr size_t kSize = (size_t{64} << 10) + 100;
  const Bytes bytes = RandomBytes(kSize + 64);
  const uint32_t expected = ReferenceExtend(0, bytes.data() + 64, kSize);
  for (size_t alignment = 0; alignment < 64; ++alignment) {
    const uint32_t front = Extend(0, bytes.data() + alignment, 64 - alignment);
    const uint32_t all = Extend(0, bytes.data() + alignment, kSize + 64 - alignment);
    ASSERT_EQ(all, Combine(front, expected, kSize)) << alignment;
  }
}

TEST_P(Crc32cBackend, NoticesEveryFlippedBit) {
  Bytes bytes = RandomBytes(3 * 1024 + 256 + 64 + 8 + 1);
  const uint32_t crc = Extend(0, bytes.data(), bytes.size());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= 1 << bit % 8;
    ASSERT_NE(Extend(0, bytes.data(), bytes.size()), crc) << bit;
    bytes[bit / 8] ^= 1 << bit % 8;
  }
}

TEST_P(Crc32cBackend, GivesTheSameChecksumWhereverTheBytesAreSplit) {
  const Bytes bytes = RandomBytes(5000);
  const uint32_t whole = ReferenceExtend(0, bytes.data(), bytes.size());
  for (size_t split = 0; split <= bytes.size(); ++split) {
    const uint32_t front = Extend(0, bytes.data(), split);
    const uint32_t back = Extend(0, bytes.data() + split, bytes.size() - split);
    ASSERT_EQ(Extend(front, bytes.data() + split, bytes.size() - split), whole) << split;
    ASSERT_EQ(Combine(front, back, bytes.size() - split), whole) << split;
  }
}

TEST_P(Crc32cBackend, CopiesEveryLengthToEveryAlignment) {
  const Bytes bytes = RandomBytes(1100);
  for (size_t length = 0; length < 1024; length += length < 600 ? 1 : 37) {
    const size_t from = length % 61;
    const uint32_t crc = ReferenceExtend(0, bytes.data() + from, length);
    for (size_t alignment = 0; alignment < 64; alignment += length % 8 == 0 ? 1 : 9) {
      SCOPED_TRACE(testing::Message() << length << " bytes to " << alignment);
      ExpectCopies(GetParam().extend_copy, bytes.data() + from, length, crc, alignment);
      ExpectCopies(GetParam().extend_copy_streaming, bytes.data() + from, length, crc, alignment);
    }
  }
}

TEST_P(Crc32cBackend, CopiesLengthsAroundEveryBlockBoundary) {
  const Bytes bytes = RandomBytes(20000);
  for (const size_t block : {1024, 2048, 3072, 4096, 6144, 8192, 12288, 16384}) {
    for (size_t length = block - 65; length <= block + 65; ++length) {
      const uint32_t crc = ReferenceExtend(0, bytes.data() + 3, length);
      SCOPED_TRACE(length);
      ExpectCopies(GetParam().extend_copy, bytes.data() + 3, length, crc, length % 64);
      ExpectCopies(GetParam().extend_copy_streaming, bytes.data() + 3, length, crc, length % 64);
    }
  }
}

TEST_P(Crc32cBackend, CanBeForcedByName) { EXPECT_STREQ(ChooseBackend(GetParam().name).name, GetParam().name); }

std::string NameOf(const testing::TestParamInfo<Backend>& backend) { return backend.param.name; }

INSTANTIATE_TEST_SUITE_P(All, Crc32cBackend, testing::ValuesIn(Backends()), NameOf);

const Backend& FastestSupported() {
  const auto& backends = Backends();
  return *std::find_if(backends.rbegin(), backends.rend(), [](const Backend& backend) { return backend.supported; });
}

TEST(Crc32cChoice, AlwaysHasThePortableBackendAndListsItFirst) {
  ASSERT_FALSE(Backends().empty());
  EXPECT_STREQ(Backends().front().name, "portable");
  EXPECT_TRUE(Backends().front().supported);
}

TEST(Crc32cChoice, FallsBackToTheFastestWhenTheNameIsMissingOrUnknown) {
  EXPECT_EQ(&ChooseBackend(nullptr), &FastestSupported());
  EXPECT_EQ(&ChooseBackend(""), &FastestSupported());
  EXPECT_EQ(&ChooseBackend("abacus"), &FastestSupported());
  EXPECT_EQ(&ChooseBackend("portable "), &FastestSupported());
}

TEST(Crc32cChoice, TakesTheNamedOneOnlyIfItIsSupported) {
  for (const Backend& backend : Backends()) {
    const Backend& expected = backend.supported ? backend : FastestSupported();
    EXPECT_EQ(&ChooseBackend(backend.name), &expected) << backend.name;
  }
}

// Sets TENSORBUNDLE_CRC32C, and puts it back as it was.
class ForcedBackend {
 public:
  explicit ForcedBackend(const char* name) {
    if (const char* value = std::getenv(kVariable)) before_ = value;
    setenv(kVariable, name, 1);
  }
  ~ForcedBackend() {
    if (before_) {
      setenv(kVariable, before_->c_str(), 1);
    } else {
      unsetenv(kVariable);
    }
  }

 private:
  static constexpr const char* kVariable = "TENSORBUNDLE_CRC32C";
  std::optional<std::string> before_;
};

TEST(Crc32cChoice, ObeysTheEnvironment) {
  for (const Backend& backend : Backends()) {
    const Backend& expected = backend.supported ? backend : FastestSupported();
    const ForcedBackend forced(backend.name);
    EXPECT_EQ(&ChooseBackendByEnvironment(), &expected) << backend.name;
  }
  const ForcedBackend forced("abacus");
  EXPECT_EQ(&ChooseBackendByEnvironment(), &FastestSupported());
}

TEST(Crc32cChoice, IsMadeOnce) {
  const Backend& active = ActiveBackend();
  EXPECT_EQ(&active, &ChooseBackendByEnvironment());
  for (const Backend& backend : Backends()) {
    const ForcedBackend forced(backend.name);
    EXPECT_EQ(&ActiveBackend(), &active);
  }
}

TEST(Crc32c, PublicFunctionsAgreeWithTheDefinition) {
  const Bytes bytes = RandomBytes(300'000);
  for (const size_t size : {0, 1, 9, 1000, 65535, 65536, 300'000}) {
    const ByteView view(bytes.data(), size);
    const uint32_t expected = ReferenceExtend(0x0BADCAFE, bytes.data(), size);
    EXPECT_EQ(Extend(0x0BADCAFE, view), expected) << size;
    Bytes copied(size), streamed(size);
    EXPECT_EQ(ExtendCopy(0x0BADCAFE, view, copied.data()), expected) << size;
    EXPECT_EQ(ExtendCopyStreaming(0x0BADCAFE, view, streamed.data()), expected) << size;
    EXPECT_EQ(copied, Bytes(bytes.begin(), bytes.begin() + size));
    EXPECT_EQ(streamed, copied);
  }
}

TEST(Crc32c, CopiesMoreThanTheCachesHold) {
  Bytes bytes((size_t{32} << 20) + 13);
  for (size_t i = 0; i < bytes.size(); i += 4096) bytes[i] = static_cast<uint8_t>(i >> 12);
  const ByteView view(bytes.data(), bytes.size());
  Bytes destination(bytes.size());
  EXPECT_EQ(ExtendCopy(0, view, destination.data()), Extend(0, view));
  EXPECT_TRUE(bytes == destination);
}

TEST(Crc32cCombine, KeepsTheFirstWhenTheSecondIsEmpty) { EXPECT_EQ(Combine(0xCAFEF00D, 0, 0), 0xCAFEF00Du); }

TEST(Crc32cCombine, MatchesZerosOfEveryLengthUpToSomeThousand) {
  const Bytes zeros(5000);
  const uint32_t front = 0xE3069283;
  uint32_t back = 0;
  uint32_t expected = front;
  for (uint64_t size = 0; size <= zeros.size(); ++size) {
    ASSERT_EQ(Combine(front, back, size), expected) << size;
    back = ReferenceExtend(back, zeros.data(), 1);
    expected = ReferenceExtend(expected, zeros.data(), 1);
  }
}

// Moves a checksum past 2^doublings zero bytes by joining ever longer runs of zeros, each with itself.
uint32_t PastZeros(uint32_t crc, int doublings) {
  const uint8_t zero = 0;
  uint32_t run = ReferenceExtend(0, &zero, 1);
  for (int i = 0; i < doublings; ++i) run = Combine(run, run, uint64_t{1} << i);
  return Combine(crc, run, uint64_t{1} << doublings);
}

TEST(Crc32cCombine, MatchesAGibibyteOfZeros) {
  Bytes zeros(size_t{1} << 24);
  uint32_t expected = 0xE3069283;
  for (int i = 0; i < 64; ++i) expected = Extend(expected, ByteView(zeros.data(), zeros.size()));
  EXPECT_EQ(PastZeros(0xE3069283, 30), expected);
}

// (A ++ B) ++ C is A ++ (B ++ C), whatever the sizes.
TEST(Crc32cCombine, IsAssociativeForHugeSizes) {
  const uint64_t sizes[] = {0,          1,          4096,       kOrderOfX - 1,    kOrderOfX,         kOrderOfX + 1,
                            1ull << 32, 1ull << 61, 1ull << 62, (1ull << 63) - 1, 0x123456789ABCDEF, 1ull << 63};
  const uint32_t a = 0x11111111, b = 0x89ABCDEF, c = 0xFEDCBA98;
  for (const uint64_t size_b : sizes) {
    for (const uint64_t size_c : sizes) {
      if (size_b > ~uint64_t{0} - size_c) continue;
      EXPECT_EQ(Combine(Combine(a, b, size_b), c, size_c), Combine(a, Combine(b, c, size_c), size_b + size_c))
          << size_b << " and " << size_c;
    }
  }
}

TEST(Crc32cCombine, TakesTheLargestSize) {
  const uint64_t half = uint64_t{1} << 63;
  EXPECT_EQ(Combine(0xE3069283, 0, ~uint64_t{0}), Combine(Combine(0xE3069283, 0, half), 0, half - 1));
}

TEST(Crc32cMask, GivesTheKnownValues) {
  EXPECT_EQ(Mask(0), 0xA282EAD8u);
  EXPECT_EQ(Mask(0xE3069283), 0xC78AB0E5u);
}

TEST(Crc32cMask, IsUndoneByUnmaskAndNeverTheSameTwice) {
  for (uint64_t i = 0; i < 100'000; ++i) {
    const auto crc = static_cast<uint32_t>(i * 0x9E3779B1u);
    ASSERT_EQ(Unmask(Mask(crc)), crc);
    ASSERT_NE(Mask(crc), crc);
    ASSERT_NE(Mask(Mask(crc)), crc);
  }
}

}  // namespace
}  // namespace tensorbundle::crc32c
