// How fast each CRC-32C backend is, beside what the machine can do at all: memcpy for copies, and a pass that only adds
// the words up for sums.
//
// Names are extend/<backend>/<bytes>, copy/<destination>/<backend>/<bytes>. Destinations are memory that was written to
// before ("touched"), and memory fresh from the system, in pages of 4 KiB or larger ("fresh", "fresh_huge": NumPy asks
// for huge pages). Each thread has bytes of its own.

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "util/crc32c.h"

namespace tensorbundle::crc32c {
namespace {

// Zeroed pages that the system supplies at the first touch.
class Pages {
 public:
  Pages(size_t size, bool huge) : size_(size) {
    void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    data_ = pages == MAP_FAILED ? nullptr : static_cast<uint8_t*>(pages);
#if defined(MADV_HUGEPAGE)
    if (data_ != nullptr && huge) madvise(data_, size, MADV_HUGEPAGE);
#else
    (void)huge;
#endif
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() {
    if (data_ != nullptr) munmap(data_, size_);
  }

  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_;
  size_t size_;
};

void Fill(uint8_t* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 0x9E3779B1u >> 13);
}

// Four vectors at a time, so that neither the additions nor the loop hold up the loads.
uint32_t AddUpWords(uint32_t, const uint8_t* bytes, size_t size) {
  using Words = uint64_t __attribute__((vector_size(16)));
  Words a{}, b{}, c{}, d{};
  for (size_t i = 0; i + 4 * sizeof(Words) <= size; i += 4 * sizeof(Words)) {
    const auto take = [&](size_t n) {
      Words words;
      std::memcpy(&words, bytes + i + n * sizeof(words), sizeof(words));
      return words;
    };
    a += take(0);
    b += take(1);
    c += take(2);
    d += take(3);
  }
  const Words sum = a + b + c + d;
  return static_cast<uint32_t>(sum[0] ^ sum[1]);
}

uint32_t CopyOnly(uint32_t, const uint8_t* bytes, size_t size, uint8_t* destination) {
  std::memcpy(destination, bytes, size);
  return 0;
}

using ExtendFunction = decltype(Backend::extend);
using CopyFunction = decltype(Backend::extend_copy);

void CountBytes(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}

void ExtendBytes(benchmark::State& state, ExtendFunction extend) {
  const auto size = static_cast<size_t>(state.range(0));
  const Pages source(size, true);
  Fill(source.data(), size);
  for (auto _ : state) benchmark::DoNotOptimize(extend(0, source.data(), size));
  CountBytes(state);
}

void CopyToTouched(benchmark::State& state, CopyFunction copy) {
  const auto size = static_cast<size_t>(state.range(0));
  const Pages source(size, true), destination(size, true);
  Fill(source.data(), size);
  std::memset(destination.data(), 1, size);
  for (auto _ : state) benchmark::DoNotOptimize(copy(0, source.data(), size, destination.data()));
  CountBytes(state);
}

void CopyToFresh(benchmark::State& state, CopyFunction copy, bool huge) {
  const auto size = static_cast<size_t>(state.range(0));
  const Pages source(size, true);
  Fill(source.data(), size);
  for (auto _ : state) {
    const Pages destination(size, huge);
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(copy(0, source.data(), size, destination.data()));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(seconds.count());
  }
  CountBytes(state);
}

void CombineChecksums(benchmark::State& state) {
  uint32_t crc = 1;
  const auto size = static_cast<uint64_t>(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(crc = Combine(crc, 0x12345678, size));
}

constexpr int64_t kLarge = 64 << 20;
constexpr int64_t kSizes[] = {64, 256, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 8 << 20, kLarge, 4 * kLarge};

template <typename Function>
void Register(const std::string& name, const Function& function, int64_t from) {
  for (const int64_t size : kSizes) {
    if (size < from) continue;
    for (int threads = 1; threads <= (size >= kLarge ? 2 : 1); ++threads) {
      auto* registered = benchmark::RegisterBenchmark(name.c_str(), function)->Arg(size)->Threads(threads);
      if (name.find("fresh") != std::string::npos) {
        registered->UseManualTime();
      } else {
        registered->UseRealTime();
      }
    }
  }
}

void RegisterExtend(const std::string& name, ExtendFunction extend) {
  Register("extend/" + name, [extend](benchmark::State& state) { ExtendBytes(state, extend); }, 0);
}

void RegisterCopy(const std::string& name, CopyFunction copy) {
  const auto touched = [copy](benchmark::State& state) { CopyToTouched(state, copy); };
  const auto fresh = [copy](benchmark::State& state) { CopyToFresh(state, copy, false); };
  const auto fresh_huge = [copy](benchmark::State& state) { CopyToFresh(state, copy, true); };
  Register("copy/touched/" + name, touched, 0);
  Register("copy/fresh/" + name, fresh, kLarge);
  Register("copy/fresh_huge/" + name, fresh_huge, kLarge);
}

void RegisterAll() {
  RegisterExtend("add_up_words", AddUpWords);
  RegisterCopy("memcpy", CopyOnly);
  for (const Backend& backend : Backends()) {
    if (!backend.supported) continue;
    RegisterExtend(backend.name, backend.extend);
    RegisterCopy(backend.name, backend.extend_copy);
    if (backend.extend_copy_streaming != backend.extend_copy) {
      RegisterCopy(std::string(backend.name) + "_streaming", backend.extend_copy_streaming);
    }
  }
  benchmark::RegisterBenchmark("combine", CombineChecksums)->Arg(1 << 20)->Arg(123456789)->Arg(int64_t{-2});
}

// Speed at the wrong answer is worth nothing.
bool BackendsAgree() {
  std::vector<uint8_t> bytes(size_t{1} << 20), copied(bytes.size());
  Fill(bytes.data(), bytes.size());
  const uint32_t expected = Backends().front().extend(0, bytes.data(), bytes.size());
  for (const Backend& backend : Backends()) {
    if (!backend.supported) continue;
    if (backend.extend(0, bytes.data(), bytes.size()) != expected) return false;
    for (const auto copy : {backend.extend_copy, backend.extend_copy_streaming}) {
      std::fill(copied.begin(), copied.end(), uint8_t{0});
      if (copy(0, bytes.data(), bytes.size(), copied.data()) != expected || copied != bytes) return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace tensorbundle::crc32c

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  if (!tensorbundle::crc32c::BackendsAgree()) {
    std::fprintf(stderr, "the backends give different checksums\n");
    return 1;
  }
  tensorbundle::crc32c::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
