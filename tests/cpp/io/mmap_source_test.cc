#include "io/mmap_source.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "io/file_conformance.h"
#include "support/source_conformance.h"

namespace tensorbundle::test_support {
namespace {

using MappedFileMaker = FileMaker<FileAccess::kMap>;
INSTANTIATE_TYPED_TEST_SUITE_P(Mmap, SourceConformance, MappedFileMaker);
INSTANTIATE_TYPED_TEST_SUITE_P(Mmap, FileConformance, MappedFileMaker);

// Linux 5.14 and later.
bool KernelCanPopulate() {
#if defined(MADV_POPULATE_READ)
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const memory = mmap(nullptr, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool can = madvise(memory, page, MADV_POPULATE_READ) == 0;
  munmap(memory, page);
  return can;
#else
  return false;
#endif
}

TEST(MmapSource, ReadsAreViewsOfOneMapping) {
  MappedFileMaker maker;
  const auto source = maker.Open("0123456789");
  EXPECT_TRUE(source->reads_are_views());
  const auto whole = source->Read({0, 10});
  const auto part = source->Read({4, 3});
  ASSERT_TRUE(whole.ok() && part.ok());
  EXPECT_EQ(part->data(), whole->data() + 4);
  EXPECT_EQ(part->owner(), whole->owner());
}

TEST(MmapSource, MappingGoesWithTheLastBuffer) {
  MappedFileMaker maker;
  auto source = maker.Open("0123456789");
  Buffer buffer = *source->Read({0, 10});
  const std::weak_ptr<const void> mapping = buffer.owner();
  source.reset();
  EXPECT_FALSE(mapping.expired());
  buffer = Buffer();
  EXPECT_TRUE(mapping.expired());
}

TEST(MmapSource, KeepsNoDescriptor) {
  const std::filesystem::path descriptors = "/dev/fd";
  const auto count = [&] { return std::distance(std::filesystem::directory_iterator(descriptors), {}); };
  if (!std::filesystem::is_directory(descriptors)) GTEST_SKIP() << "this system does not list descriptors";
  MappedFileMaker maker;
  const auto before = count();
  const auto source = maker.Open("0123456789");
  EXPECT_EQ(count(), before);
}

TEST(MmapSource, TruncationUnderTheMappingIsAnError) {
  if (!KernelCanPopulate()) GTEST_SKIP() << "this kernel cannot populate mappings";
  MappedFileMaker maker;
  const std::string content = DistinctBytes(1 << 20);
  const auto source = maker.Open(content);
  const uint64_t kept = 1 << 18;
  std::filesystem::resize_file(source->name(), kept);

  EXPECT_TRUE(source->Populate({0, kept}).ok());
  EXPECT_TRUE(ReadIntoText(*source, {0, kept}) == content.substr(0, kept));
  const Status populated = source->Populate({kept - 10, 20});
  EXPECT_EQ(populated.code(), StatusCode::kDataLoss);
  EXPECT_EQ(populated.path(), source->name());
  EXPECT_EQ(populated.offset(), kept - 10);
  EXPECT_EQ(populated.message(),
            source->name() +
                ": 20 bytes at offset 262134 cannot be read: the file was truncated while mapped, or the "
                "disk fails");
  std::string text(content.size(), '?');
  const Status read = source->ReadInto({0, content.size()}, reinterpret_cast<uint8_t*>(text.data()));
  EXPECT_EQ(read.code(), StatusCode::kDataLoss);
  source->Prefetch({0, content.size()});
}

// Flags of the mapping that holds `address`, as /proc/self/smaps tells them.
std::string FlagsOfMappingAt(const uint8_t* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long long begin = 0;
    unsigned long long end = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &begin, &end) == 2) inside = begin <= wanted && wanted < end;
    if (inside && line.rfind("VmFlags:", 0) == 0) return line;
  }
  return "";
}

TEST(MmapSource, LargePrefetchAsksForHugePagesThereAndOnlyThere) {
  MappedFileMaker maker;
  constexpr uint64_t kBlock = 32 << 20;
  const auto source = maker.OpenPath(maker.directory().WriteSparse("sparse", 4 * kBlock, "end"));
  const uint8_t* const bytes = source->Read({0, 1})->data();
  source->Prefetch({kBlock + 5, 1000});
  EXPECT_EQ(FlagsOfMappingAt(bytes + kBlock).find(" hg"), std::string::npos);
  source->Prefetch({kBlock + 5, 1 << 20});
  const std::string flags = FlagsOfMappingAt(bytes + kBlock);
  if (flags.find(" hg") == std::string::npos)
    GTEST_SKIP() << "this kernel does not read ahead in huge pages: " << flags;
  EXPECT_EQ(FlagsOfMappingAt(bytes).find(" hg"), std::string::npos);
  EXPECT_EQ(FlagsOfMappingAt(bytes + 2 * kBlock).find(" hg"), std::string::npos);
  source->Prefetch({kBlock, 3 * kBlock});
  EXPECT_NE(FlagsOfMappingAt(bytes + 4 * kBlock - 1).find(" hg"), std::string::npos);
}

}  // namespace
}  // namespace tensorbundle::test_support
