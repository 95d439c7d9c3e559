#include "tensorbundle/checkpoint.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support/bundle_maker.h"

namespace tensorbundle {
namespace {

using test_support::BundleMaker;
using test_support::EncodeRecord;

constexpr int kFloat = 1;
constexpr int kInt8 = 6;
constexpr int kBoolean = 10;
constexpr int kText = 7;

std::string Bytes(const Tensor& tensor) { return std::string(tensor.data.view().AsText()); }

std::string Strings(const Tensor& tensor) {
  std::string joined;
  for (const ByteView string : tensor.strings) joined += std::string(string.AsText()) + "|";
  return joined;
}

// Larger than a chunk by some bytes, so that its checksum is combined from three parts.
std::string LargeBytes() {
  std::string bytes((2 << 20) + 12, '\0');
  std::iota(bytes.begin(), bytes.end(), 0);
  return bytes;
}

TEST(Checkpoint, ReadsAViewOfTheSource) {
  BundleMaker bundle;
  bundle.Add("w", kInt8, {2, 3}, "abcdef");
  const auto checkpoint = bundle.Open();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const auto tensor = checkpoint->Read("w");
  ASSERT_TRUE(tensor.ok()) << tensor.status().message();
  EXPECT_EQ(tensor->dtype, DType::kInt8);
  EXPECT_EQ(tensor->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(Bytes(*tensor), "abcdef");
  const Entry& entry = *checkpoint->Find("w");
  ASSERT_TRUE(checkpoint->CanView(entry));
  EXPECT_EQ(tensor->data.data(), checkpoint->View(entry)->data());
}

TEST(Checkpoint, SaysWhatIsNotThere) {
  const auto checkpoint = BundleMaker().Open();
  ASSERT_TRUE(checkpoint.ok());
  const Status status = checkpoint->Read("w").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(status.message().find("\"w\" not found in checkpoint m"), std::string::npos) << status.message();
}

TEST(Checkpoint, CombinesTheChecksumOfALargeTensorFromItsChunks) {
  BundleMaker bundle;
  const std::string bytes = LargeBytes();
  bundle.Add("large", kInt8, {static_cast<int64_t>(bytes.size())}, bytes);
  for (const int threads : {1, 2, 5}) {
    const auto checkpoint = bundle.Open();
    ReadOptions options;
    options.threads = threads;
    const auto tensor = checkpoint->Read("large", options);
    ASSERT_TRUE(tensor.ok()) << tensor.status().message();
    EXPECT_EQ(Bytes(*tensor), bytes);
  }
}

TEST(Checkpoint, NamesTheDamagedTensorWithBothChecksums) {
  BundleMaker bundle;
  bundle.Add("a", kInt8, {4}, "good");
  bundle.Add("b", kInt8, {4}, "evil");
  bundle.shards[0][5] ^= 1;  // "ewil"
  const auto checkpoint = bundle.Open();
  EXPECT_TRUE(checkpoint->Read("a").ok());
  const Status status = checkpoint->Read("b").status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.tensor(), "b");
  EXPECT_EQ(status.path(), "m.data-00000-of-00001");
  EXPECT_EQ(status.offset(), std::optional<uint64_t>(4));
  EXPECT_NE(status.message().find("m.data-00000-of-00001: Checksum does not match: shard 0, 4 bytes at 4: stored 0x"),
            std::string::npos)
      << status.message();
  ReadOptions unchecked;
  unchecked.verify = false;
  EXPECT_EQ(Bytes(*checkpoint->Read("b", unchecked)), "ewil");
}

TEST(Checkpoint, CopiesAMisalignedTensorAndChecksIt) {
  BundleMaker bundle;
  bundle.Add("a", kInt8, {1}, "x");
  bundle.Add("f", kFloat, {2}, "ABCDEFGH");
  const auto checkpoint = bundle.Open();
  const Entry& entry = *checkpoint->Find("f");
  EXPECT_TRUE(checkpoint->CanView(entry));
  EXPECT_FALSE(checkpoint->Aligned(entry));
  const auto copy = checkpoint->Read("f");
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(Bytes(*copy), "ABCDEFGH");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(copy->data.data()) % 4, 0u);
  const auto view = checkpoint->ReadMany({{&entry, CopyMode::kNever, nullptr, false}});
  ASSERT_TRUE(view.ok());
  EXPECT_EQ((*view)[0].data.data(), checkpoint->View(entry)->data());
}

TEST(Checkpoint, ReadsIntoTheCallersMemory) {
  BundleMaker bundle;
  const std::string bytes = LargeBytes();
  bundle.Add("large", kInt8, {static_cast<int64_t>(bytes.size())}, bytes);
  const auto checkpoint = bundle.Open();
  std::string memory(bytes.size(), '\0');
  auto* const destination = reinterpret_cast<uint8_t*>(memory.data());
  ASSERT_TRUE(checkpoint->ReadInto("large", destination, memory.size()).ok());
  EXPECT_EQ(memory, bytes);
  EXPECT_EQ(checkpoint->ReadInto("large", destination, memory.size() - 1).code(), StatusCode::kInvalidArgument);
}

TEST(Checkpoint, PutsPartitionedTensorsTogether) {
  BundleMaker bundle(2);
  const Slice left{{{0, kWholeDimension}, {0, 1}}};
  const Slice right{{{0, kWholeDimension}, {1, 2}}};
  bundle.AddPiece("w", left, kInt8, {2, 1}, "ad", 1);
  bundle.AddPiece("w", right, kInt8, {2, 2}, "bcef", 0);
  bundle.AddPartitioned("w", kInt8, {2, 3}, {left, right});
  const auto checkpoint = bundle.Open();
  ASSERT_EQ(checkpoint->entries().size(), 1u);
  EXPECT_EQ(Bytes(*checkpoint->Read("w")), "abcdef");
  EXPECT_EQ(Bytes(*checkpoint->Read("w", {0, 1}, {2, 1})), "be");
  bundle.shards[1][0] ^= 1;
  EXPECT_EQ(bundle.Open()->Read("w").status().code(), StatusCode::kDataLoss);
}

// Lengths, their checksum, the bytes; and the checksum of all that.
std::string StringBytes(const std::vector<std::string>& strings, uint32_t* crc) {
  std::string lengths;
  std::string as_numbers;
  std::string payload;
  for (const std::string& string : strings) {
    test_support::AppendVarint(string.size(), &lengths);
    test_support::AppendFixed(string.size(), 4, &as_numbers);
    payload += string;
  }
  std::string sum;
  *crc = crc32c::Extend(0, ByteView(as_numbers));
  test_support::AppendFixed(crc32c::Mask(*crc), 4, &sum);
  *crc = crc32c::Extend(crc32c::Extend(*crc, ByteView(sum)), ByteView(payload));
  return lengths + sum + payload;
}

void AddStrings(const std::string& name, std::vector<int64_t> shape, const std::vector<std::string>& strings,
                BundleMaker* bundle) {
  uint32_t crc = 0;
  const std::string bytes = StringBytes(strings, &crc);
  bundle->records[name] = EncodeRecord({kText,
                                        std::move(shape),
                                        0,
                                        static_cast<int64_t>(bundle->shards[0].size()),
                                        static_cast<int64_t>(bytes.size()),
                                        crc,
                                        {}});
  bundle->shards[0] += bytes;
}

TEST(Checkpoint, ReadsStringsWholeAndInPieces) {
  BundleMaker bundle;
  AddStrings("s", {3}, {"ab", "", "xyz"}, &bundle);
  const Slice first{{{0, 1}}};
  const Slice rest{{{1, 2}}};
  AddStrings(EncodeSliceKey("p", first), {1}, {"one"}, &bundle);
  AddStrings(EncodeSliceKey("p", rest), {2}, {"two", "three"}, &bundle);
  bundle.AddPartitioned("p", kText, {3}, {rest, first});
  const auto checkpoint = bundle.Open();
  EXPECT_EQ(Strings(*checkpoint->Read("s")), "ab||xyz|");
  EXPECT_EQ(Strings(*checkpoint->Read("p")), "one|two|three|");
  EXPECT_EQ(Strings(*checkpoint->Read("p", {1}, {2})), "two|three|");
}

TEST(Checkpoint, ReadsRegionsOfStringsWithSteps) {
  BundleMaker bundle;
  AddStrings("s", {2, 3}, {"a", "bb", "", "d", "e", "ffff"}, &bundle);
  AddStrings(EncodeSliceKey("p", Slice{{{0, 2}}}), {2}, {"0", "one"}, &bundle);
  AddStrings(EncodeSliceKey("p", Slice{{{2, 3}}}), {3}, {"two", "", "four"}, &bundle);
  bundle.AddPartitioned("p", kText, {5}, {Slice{{{0, 2}}}, Slice{{{2, 3}}}});
  const auto checkpoint = bundle.Open();
  const auto part = checkpoint->ReadRegion(*checkpoint->Find("s"), {{0, 0}, {2, 2}, {1, 2}});
  ASSERT_TRUE(part.ok()) << part.status().message();
  EXPECT_EQ(part->dtype, DType::kString);
  EXPECT_EQ(part->shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(Strings(*part), "a||d|ffff|");
  EXPECT_EQ(Strings(*checkpoint->ReadRegion(*checkpoint->Find("p"), {{0}, {3}, {2}})), "0|two|four|");
}

TEST(Checkpoint, ReadsVariants) {
  constexpr int kVariant = 21;
  std::string bytes;
  uint32_t crc = 0;
  for (const std::string element : {"one", "", "three"}) {
    test_support::AppendVarint(element.size(), &bytes);
    bytes += element;
    std::string covered;
    test_support::AppendFixed(element.size(), 8, &covered);
    crc = crc32c::Extend(crc32c::Extend(crc, ByteView(covered)), ByteView(element));
    std::string sum;
    test_support::AppendFixed(crc32c::Mask(crc), 4, &sum);
    crc = crc32c::Extend(crc, ByteView(sum));
    bytes += sum;
  }
  BundleMaker bundle;
  bundle.shards[0] = bytes;
  bundle.records["v"] = EncodeRecord({kVariant, {3}, 0, 0, static_cast<int64_t>(bytes.size()), crc, {}});
  const auto checkpoint = bundle.Open();
  const auto tensor = checkpoint->Read("v");
  ASSERT_TRUE(tensor.ok()) << tensor.status().message();
  EXPECT_EQ(Strings(*tensor), "one||three|");
  EXPECT_EQ(Strings(*checkpoint->Read("v", {2}, {1})), "three|");
  EXPECT_TRUE(checkpoint->VerifyAll()->damaged.empty());
}

TEST(Checkpoint, StringsOutliveTheirTensorAndCheckpoint) {
  StringArray whole;
  StringArray part;
  {
    BundleMaker bundle;
    AddStrings("s", {3}, {"ab", "", "xyz"}, &bundle);
    const auto checkpoint = bundle.Open();
    auto tensor = checkpoint->Read("s");
    ASSERT_TRUE(tensor.ok()) << tensor.status().message();
    EXPECT_EQ(tensor->data.size(), 0u);
    whole = tensor->strings;
    part = checkpoint->Read("s", {2}, {1})->strings;
  }
  ASSERT_EQ(whole.size(), 3u);
  EXPECT_EQ(whole[0].AsText(), "ab");
  EXPECT_EQ(whole[2].AsText(), "xyz");
  ASSERT_EQ(part.size(), 1u);
  EXPECT_EQ(part[0].AsText(), "xyz");
}

TEST(Checkpoint, CleansBooleansInACopyAndViewsCleanOnes) {
  BundleMaker bundle;
  bundle.Add("clean", kBoolean, {3}, std::string("\0\1\1", 3));
  bundle.Add("noisy", kBoolean, {3}, std::string("\0\2\xff", 3));
  const auto checkpoint = bundle.Open();
  const Entry& clean = *checkpoint->Find("clean");
  const Entry& noisy = *checkpoint->Find("noisy");
  EXPECT_EQ(checkpoint->Read("clean")->data.data(), checkpoint->View(clean)->data());
  EXPECT_EQ(Bytes(*checkpoint->Read("noisy")), std::string("\0\1\1", 3));
  EXPECT_EQ(checkpoint->ReadMany({{&noisy, CopyMode::kNever, nullptr, false}}).status().code(),
            StatusCode::kInvalidArgument);
  ReadOptions unchecked;
  unchecked.verify = false;
  EXPECT_EQ(Bytes(*checkpoint->Read("noisy", unchecked)), std::string("\0\1\1", 3));
}

TEST(Checkpoint, SwapsTheOtherByteOrder) {
  const int other = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 1 : 0;
  BundleMaker bundle(1, other);
  bundle.Add("f", kFloat, {2}, "abcdefgh");
  bundle.Add("i", kInt8, {2}, "xy");
  const auto checkpoint = bundle.Open();
  EXPECT_FALSE(checkpoint->CanView(*checkpoint->Find("f")));
  EXPECT_TRUE(checkpoint->CanView(*checkpoint->Find("i")));
  EXPECT_EQ(Bytes(*checkpoint->Read("f")), "dcbahgfe");
  EXPECT_EQ(Bytes(*checkpoint->Read("f", {1}, {1})), "hgfe");
}

TEST(Checkpoint, ReadsRegionsWithSteps) {
  BundleMaker bundle;
  bundle.Add("w", kInt8, {3, 4}, "abcdefghijkl");
  const auto checkpoint = bundle.Open();
  const Entry& entry = *checkpoint->Find("w");
  EXPECT_EQ(Bytes(*checkpoint->ReadRegion(entry, {{0, 1}, {2, 2}, {2, 2}})), "bdjl");
  EXPECT_EQ(Bytes(*checkpoint->ReadRegion(entry, {{1, 0}, {0, 4}, {}})), "");
  EXPECT_EQ(checkpoint->ReadRegion(entry, {{2, 0}, {2, 4}, {}}).status().code(), StatusCode::kInvalidArgument);
}

TEST(Checkpoint, ReadsWhatAMissingShardDoesNotHold) {
  BundleMaker bundle(2);
  bundle.Add("here", kInt8, {1}, "h", 0);
  bundle.Add("gone", kInt8, {1}, "g", 1);
  bundle.Add("empty", kInt8, {0}, "", 1);
  bundle.shards.erase(1);
  const auto checkpoint = bundle.Open();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(Bytes(*checkpoint->Read("here")), "h");
  EXPECT_TRUE(checkpoint->Read("empty").ok());
  const Status status = checkpoint->Read("gone").status();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.system_error(), 2);
  EXPECT_EQ(status.path(), "m.data-00001-of-00002");
  EXPECT_EQ(status.tensor(), "gone");
}

TEST(Checkpoint, VerifyFindsEveryDamageAndGoesOn) {
  BundleMaker bundle;
  const std::string large = LargeBytes();
  bundle.Add("a", kInt8, {4}, "good");
  bundle.Add("b", kInt8, {static_cast<int64_t>(large.size())}, large);
  AddStrings("s", {2}, {"x", "y"}, &bundle);
  bundle.Add("t", kInt8, {1}, "z");
  bundle.records["bad"] = EncodeRecord({1, {-1}, 0, 0, 4, 0, {}});
  const size_t strings_at = 4 + large.size();
  bundle.shards[0][4 + (1 << 20) + 7] ^= 0x10;  // In the second chunk of b.
  bundle.shards[0][strings_at] ^= 1;            // A length.
  const auto checkpoint = bundle.Open();
  const auto report = checkpoint->VerifyAll();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->num_tensors, 5u);
  EXPECT_EQ(report->num_bytes, bundle.shards[0].size());
  ASSERT_EQ(report->damaged.size(), 3u);
  EXPECT_EQ(report->damaged[0].name, "b");
  EXPECT_EQ(report->damaged[0].offset_in_shard, 4u);
  EXPECT_EQ(report->damaged[0].expected_crc32c, crc32c::Extend(0, ByteView(large)));
  EXPECT_NE(report->damaged[0].found_crc32c, report->damaged[0].expected_crc32c);
  EXPECT_EQ(report->damaged[1].name, "bad");
  EXPECT_EQ(report->damaged[1].shard, -1);
  EXPECT_EQ(report->damaged[2].name, "s");
  EXPECT_FALSE(report->damaged[2].found_crc32c.has_value());
  EXPECT_EQ(report->damaged[2].why.code(), StatusCode::kDataLoss);
  const auto some = checkpoint->Verify({checkpoint->Find("t")});
  EXPECT_EQ(some->num_tensors, 1u);
  EXPECT_TRUE(some->damaged.empty());
  EXPECT_EQ(checkpoint->Verify({})->num_tensors, 0u);
}

TEST(Checkpoint, ChecksAViewOnceAndACopyEachTime) {
  BundleMaker bundle;
  bundle.Add("w", kInt8, {4}, "good");
  OpenOptions options = bundle.Options();
  auto memory = std::make_shared<std::string>(bundle.shards[0]);
  options.opener = [memory,
                    inner = options.opener](const std::string& path) -> Result<std::shared_ptr<const ByteSource>> {
    if (path == "m.index") return inner(path);
    return FromMemory(Buffer(ByteView(*memory), memory), path);
  };
  const auto checkpoint = Checkpoint::Open("m", options);
  const Entry& entry = *checkpoint->Find("w");
  ASSERT_TRUE(checkpoint->Read("w").ok());
  (*memory)[0] ^= 1;
  EXPECT_TRUE(checkpoint->Read("w").ok());
  EXPECT_EQ(checkpoint->ReadMany({{&entry, CopyMode::kAlways, nullptr, false}}).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(checkpoint->VerifyAll()->damaged.size(), 1u);
}

TEST(Checkpoint, ReadsStringsIntoMemoryOfItsOwn) {
  BundleMaker bundle;
  AddStrings("s", {2}, {"ab", "cde"}, &bundle);
  OpenOptions options = bundle.Options();
  auto memory = std::make_shared<std::string>(bundle.shards[0]);
  options.opener = [memory,
                    inner = options.opener](const std::string& path) -> Result<std::shared_ptr<const ByteSource>> {
    if (path == "m.index") return inner(path);
    return FromMemory(Buffer(ByteView(*memory), memory), path);
  };
  const auto tensor = Checkpoint::Open("m", options)->Read("s");
  ASSERT_TRUE(tensor.ok());
  memory->assign(memory->size(), '!');  // As another process may do to a mapped file.
  EXPECT_EQ(Strings(*tensor), "ab|cde|");
}

TEST(Checkpoint, StopsWhenProgressSaysSo) {
  BundleMaker bundle;
  bundle.Add("w", kInt8, {4}, "good");
  ReadOptions options;
  int calls = 0;
  options.progress = [&calls](const Progress& progress) {
    ++calls;
    EXPECT_EQ(progress.total_bytes, 4u);
    return Status(StatusCode::kExternal, "enough");
  };
  EXPECT_EQ(bundle.Open()->Read("w", options).status().code(), StatusCode::kExternal);
  EXPECT_EQ(calls, 1);
}

TEST(Checkpoint, StopsInsideAStringAndCallsThatNoDamage) {
  BundleMaker bundle;
  AddStrings("s", {1}, {std::string(1 << 20, 'x')}, &bundle);
  ReadOptions options;
  options.progress = [](const Progress&) { return Status(StatusCode::kExternal, "enough"); };
  const auto checkpoint = bundle.Open();
  EXPECT_EQ(checkpoint->VerifyAll(options).status().code(), StatusCode::kExternal);
  EXPECT_EQ(checkpoint->Read("s", options).status().code(), StatusCode::kExternal);
}

}  // namespace
}  // namespace tensorbundle
