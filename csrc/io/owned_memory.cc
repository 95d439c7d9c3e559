#include "io/owned_memory.h"

#include <cstdlib>
#include <limits>
#include <memory>
#include <string>

#include "io/os.h"

namespace tensorbundle {
namespace {

// A cache line; more than any dtype needs.
constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
// From here on huge pages pay: NumPy's own limit.
constexpr size_t kLarge = 2 * kHugePage;

}  // namespace

Result<OwnedMemory> AllocateMemory(uint64_t size_bytes) {
  if (size_bytes == 0) return OwnedMemory();
  const bool large = size_bytes >= kLarge;
  void* memory = nullptr;
  if (size_bytes > std::numeric_limits<size_t>::max() ||
      posix_memalign(&memory, large ? kHugePage : kAlignment, static_cast<size_t>(size_bytes)) != 0) {
    return Status(StatusCode::kResourceExhausted, "no memory for " + std::to_string(size_bytes) + " bytes");
  }
  const auto size = static_cast<size_t>(size_bytes);
  // Whole huge pages only: the rest of the last one may be the heap's.
  if (large) static_cast<void>(os::AdviseHugePages(memory, size / kHugePage * kHugePage));
  auto* const data = static_cast<uint8_t*>(memory);
  return OwnedMemory{data, Buffer(ByteView(data, size), std::shared_ptr<const void>(memory, std::free))};
}

}  // namespace tensorbundle
