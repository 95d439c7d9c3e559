// Writes the tensors of one checkpoint as another, and checks what it wrote.

#include <cstdio>

#include <tensorbundle/checkpoint.h>
#include <tensorbundle/checkpoint_writer.h>

namespace {

using tensorbundle::Status;

Status AddAll(const tensorbundle::Checkpoint& source, tensorbundle::CheckpointWriter* writer) {
  for (const tensorbundle::Entry& entry : source.entries()) {
    const auto tensor = source.Read(entry.name);
    if (!tensor.ok()) return tensor.status();
    tensorbundle::TensorToWrite copy;
    copy.name = entry.name;
    copy.dtype = tensor->dtype;
    copy.shape = tensor->shape;
    copy.data = tensor->data.data();
    copy.strings.assign(tensor->strings.begin(), tensor->strings.end());
    const Status added = writer->Add(copy);
    if (!added.ok()) return added;
  }
  return Status();
}

Status Copy(const char* from, const char* to) {
  const auto source = tensorbundle::Checkpoint::Open(from);
  if (!source.ok()) return source.status();
  auto writer = tensorbundle::CheckpointWriter::Create(to);
  if (!writer.ok()) return writer.status();
  const Status added = AddAll(*source, &*writer);
  return added.ok() ? writer->Finish() : added;
}

Status Check(const char* prefix) {
  const auto checkpoint = tensorbundle::Checkpoint::Open(prefix);
  if (!checkpoint.ok()) return checkpoint.status();
  const auto report = checkpoint->VerifyAll();
  if (!report.ok()) return report.status();
  return report->damaged.empty() ? Status() : report->damaged.front().why;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s FROM TO\n", argv[0]);
    return 2;
  }
  Status status = Copy(argv[1], argv[2]);
  if (status.ok()) status = Check(argv[2]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
