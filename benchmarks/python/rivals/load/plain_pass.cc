// The yardstick of `plain_pass.py`: maps a file afresh and adds up its 64-bit words with a number of threads. Nothing
// that reads every byte of a mapped file through its pages can take less than this.
//
// Pages are left to fault as they are read: populating the mapping, whole or block by block, took longer.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

// Threads take blocks as they go, so that one that is held up does not hold up the pass.
constexpr size_t kBlockBytes = size_t{4} << 20;

uint64_t SumBlock(const char* bytes, size_t size) {
  const auto* words = reinterpret_cast<const uint64_t*>(bytes);  // A block starts on a page.
  uint64_t sum = 0;
  for (size_t i = 0; i < size / sizeof(uint64_t); ++i) sum += words[i];
  uint64_t tail = 0;
  std::memcpy(&tail, bytes + size / sizeof(uint64_t) * sizeof(uint64_t), size % sizeof(uint64_t));
  return sum + tail;
}

}  // namespace

extern "C" {

// Null if it can't be mapped.
void* MapFile(const char* path, size_t* size) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return nullptr;
  struct stat status;
  void* address = MAP_FAILED;
  if (fstat(file, &status) == 0) {
    *size = static_cast<size_t>(status.st_size);
    address = mmap(nullptr, *size, PROT_READ, MAP_SHARED, file, 0);
  }
  close(file);
  return address == MAP_FAILED ? nullptr : address;
}

// Little-endian 64-bit words, the last one padded with zeros, modulo 2^64.
uint64_t SumWords(const void* address, size_t size, int threads) {
  const auto* bytes = static_cast<const char*>(address);
  std::atomic<size_t> next{0};
  std::atomic<uint64_t> total{0};
  const auto work = [&] {
    uint64_t sum = 0;
    for (size_t at = next.fetch_add(kBlockBytes); at < size; at = next.fetch_add(kBlockBytes)) {
      sum += SumBlock(bytes + at, std::min(kBlockBytes, size - at));
    }
    total += sum;
  };
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  return total;
}

void UnmapFile(void* address, size_t size) { munmap(address, size); }

}  // extern "C"
