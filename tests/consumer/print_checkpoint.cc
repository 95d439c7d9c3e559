// Prints name, dtype, shape and CRC-32C of the elements of every tensor of a checkpoint, a line each.

#include <cstdio>

#include <tensorbundle/checkpoint.h>
#include <tensorbundle/crc32c.h>
#include <tensorbundle/version.h>

namespace {

void Print(const tensorbundle::Entry& entry, const tensorbundle::Tensor& tensor) {
  const bool has_width = tensorbundle::FindDTypeInfo(entry.dtype)->size_bytes > 0;
  uint32_t crc = has_width ? tensorbundle::crc32c::Extend(0, tensor.data.view()) : 0;
  for (const tensorbundle::ByteView string : tensor.strings) crc = tensorbundle::crc32c::Extend(crc, string);
  std::fwrite(entry.name.data(), 1, entry.name.size(), stdout);  // Names may hold any byte, zero too.
  std::printf(" %s [", tensorbundle::FindDTypeInfo(entry.dtype)->name);
  for (size_t d = 0; d < entry.shape.size(); ++d) {
    std::printf("%s%lld", d == 0 ? "" : ",", static_cast<long long>(entry.shape[d]));
  }
  std::printf("] %08x\n", static_cast<unsigned>(crc));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "tensorbundle %s\nusage: %s PREFIX\n", TENSORBUNDLE_VERSION, argv[0]);
    return 2;
  }
  const auto checkpoint = tensorbundle::Checkpoint::Open(argv[1]);
  if (!checkpoint.ok()) {
    std::fprintf(stderr, "%s\n", checkpoint.status().message().c_str());
    return 1;
  }
  for (const tensorbundle::Entry& entry : checkpoint->entries()) {
    const auto tensor = checkpoint->Read(entry.name);
    if (!tensor.ok()) {
      std::fprintf(stderr, "%s\n", tensor.status().message().c_str());
      return 1;
    }
    Print(entry, *tensor);
  }
  return 0;
}
