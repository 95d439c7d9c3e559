#include "table/block.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "support/table_maker.h"

namespace tensorbundle {
namespace {

using test_support::AppendFixed;
using test_support::EncodeBlock;
using test_support::EncodeEntry;
using test_support::Entries;
using test_support::FinishBlock;
using test_support::FromHex;

struct Walked {
  Entries entries;
  Status status;
};

Walked Walk(BlockCursor* cursor, const std::string& contents) {
  // A copy that ends where the allocation ends, for the sanitizers.
  const std::vector<uint8_t> exact(contents.begin(), contents.end());
  Walked walked;
  const Status entered = cursor->Enter(ByteView(exact.data(), exact.size()));
  while (cursor->Next()) walked.entries.emplace_back(cursor->key().AsText(), cursor->value().AsText());
  walked.status = cursor->status();
  EXPECT_TRUE(entered.ok() || (entered.message() == walked.status.message() && walked.entries.empty()));
  walked.status.IgnoreError();   // The caller looks at what it needs.
  EXPECT_FALSE(cursor->Next());  // The end stays the end.
  EXPECT_EQ(cursor->status().message(), walked.status.message());
  return walked;
}
Walked Walk(const std::string& contents) {
  BlockCursor cursor;
  return Walk(&cursor, contents);
}

void ExpectSound(const std::string& contents, const Entries& entries) {
  const Walked walked = Walk(contents);
  EXPECT_TRUE(walked.status.ok()) << walked.status.message();
  EXPECT_EQ(walked.entries, entries);
}

// Damage at `offset`, after `good_entries`.
void ExpectDamaged(const std::string& contents, size_t good_entries, uint64_t offset, const std::string& message) {
  const Walked walked = Walk(contents);
  EXPECT_EQ(walked.entries.size(), good_entries);
  EXPECT_EQ(walked.status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(walked.status.offset(), offset);
  EXPECT_EQ(walked.status.message(), "bad block contents: " + message);
}

Entries Numbered(size_t count) {
  Entries entries;
  for (size_t i = 0; i < count; ++i) {
    entries.emplace_back("layer/" + std::to_string(1000 + i), std::string(i % 7, 'v'));
  }
  return entries;
}

TEST(Block, ReturnsItsEntriesWithAnyRestartInterval) {
  for (const size_t count : {0, 1, 2, 16, 17, 33, 100}) {
    const Entries entries = Numbered(count);
    for (const size_t interval : {0, 1, 2, 16, 1000}) ExpectSound(EncodeBlock(entries, interval), entries);
  }
}

TEST(Block, ReturnsEmptyKeysAndValuesAndBytesOfAllKinds) {
  const Entries entries = {
      {"", ""},     {std::string(1, '\0'), "v"},         {std::string(2, '\0'), ""}, {"\x7F", ""}, {"\x80", ""},
      {"\xFF", ""}, {"\xFF\xFF", std::string("\0\n", 2)}};
  for (const size_t interval : {0, 1}) ExpectSound(EncodeBlock(entries, interval), entries);
}

TEST(Block, ReturnsLongKeysAndValues) {
  const std::string key(700000, 'k');
  ExpectSound(EncodeBlock({{key, std::string(300, 'v')}, {key + "x", std::string(70000, 'w')}}),
              {{key, std::string(300, 'v')}, {key + "x", std::string(70000, 'w')}});
}

TEST(Block, AcceptsKeysThatShareFewerBytesThanTheyCould) {
  ExpectSound(FinishBlock(EncodeEntry(0, "aab", "1") + EncodeEntry(1, "ac", "2") + EncodeEntry(0, "aad", "3"), {0}),
              {{"aab", "1"}, {"aac", "2"}, {"aad", "3"}});
}

TEST(Block, AcceptsLongerThanNeededVarints) {
  ExpectSound(FinishBlock(FromHex("80808080 00 8180 00 81 00") + "kv", {0}), {{"k", "v"}});
}

TEST(Block, ValuesAreViewsOfTheContents) {
  const std::string contents = EncodeBlock({{"a", "12"}, {"ab", "345"}});
  BlockCursor cursor;
  ASSERT_TRUE(cursor.Enter(ByteView(contents)).ok());
  ASSERT_TRUE(cursor.Next());
  ASSERT_TRUE(cursor.Next());
  EXPECT_EQ(reinterpret_cast<const char*>(cursor.value().data()), contents.data() + 6 + 4);
}

TEST(Block, KeepsItsLastKeyAtTheEnd) {
  BlockCursor cursor;
  const std::string contents = EncodeBlock({{"a", "1"}, {"b", "2"}});
  ASSERT_TRUE(cursor.Enter(ByteView(contents)).ok());
  while (cursor.Next()) {
  }
  EXPECT_EQ(cursor.key().AsText(), "b");
}

TEST(Block, AcceptsNoRestartsWhereThereAreNoEntries) {
  ExpectSound(FinishBlock("", {}), {});
  ExpectSound(FinishBlock("", {0}), {});
}

TEST(Block, RejectsNoRestartsWhereThereAreEntries) {
  ExpectDamaged(FinishBlock(EncodeEntry(0, "a", "1"), {}), 0, 5, "restart count 0 after 5 bytes of entries");
}

TEST(Block, RejectsContentsTooShortForARestartCount) {
  for (size_t size = 0; size < 4; ++size) {
    ExpectDamaged(std::string(size, '\0'), 0, 0,
                  std::to_string(size) + " bytes, where the restart count alone takes 4");
  }
}

TEST(Block, RejectsARestartCountThatDoesNotFit) {
  for (const uint32_t count : {2u, 3u, 0x40000000u, 0x40000001u, 0x80000000u, 0xFFFFFFFFu}) {
    std::string contents(7, '\0');
    AppendFixed(count, 4, &contents);
    ExpectDamaged(contents, 0, 7, "restart count " + std::to_string(count) + " after 7 bytes");
  }
}

TEST(Block, RejectsAFirstRestartThatIsNotTheStart) {
  ExpectDamaged(FinishBlock(EncodeEntry(0, "a", "1") + EncodeEntry(0, "b", "2"), {5}), 0, 10,
                "the first restart offset is 5 and not 0");
  ExpectDamaged(FinishBlock("", {1}), 0, 0, "the first restart offset is 1 and not 0");
}

TEST(Block, RejectsARestartWhereNoEntryStarts) {
  const std::string entries = EncodeEntry(0, "a", "1") + EncodeEntry(0, "b", "2") + EncodeEntry(0, "c", "3");
  ExpectSound(FinishBlock(entries, {0, 10}), {{"a", "1"}, {"b", "2"}, {"c", "3"}});
  ExpectDamaged(FinishBlock(entries, {0, 6}), 2, 10, "entry at byte 10: restart offset 1 is 6, where no entry starts");
  ExpectDamaged(FinishBlock(entries, {0, 5, 5}), 2, 10,
                "entry at byte 10: restart offset 2 is 5, where no entry starts");
  ExpectDamaged(FinishBlock(entries, {0, 10, 5}), 3, 15, "restart offset 2 is 5, where no entry starts");
  ExpectDamaged(FinishBlock(entries, {0, 0}), 1, 5, "entry at byte 5: restart offset 1 is 0, where no entry starts");
}

TEST(Block, RejectsARestartBehindTheEntries) {
  const std::string entries = EncodeEntry(0, "a", "1");
  for (const uint32_t offset : {5u, 6u, 0xFFFFFFFFu}) {
    ExpectDamaged(FinishBlock(entries, {0, offset}), 1, 5,
                  "restart offset 1 is " + std::to_string(offset) + ", where no entry starts");
  }
  ExpectDamaged(FinishBlock("", {0, 0}), 0, 8, "restart count 2 in a block without entries");
}

TEST(Block, RejectsARestartWhoseKeyShares) {
  ExpectDamaged(FinishBlock(EncodeEntry(0, "aa", "1") + EncodeEntry(1, "b", "2"), {0, 6}), 1, 6,
                "entry at byte 6: restart offset 1 is 6, and the key there shares 1 bytes instead of none");
}

TEST(Block, RejectsAFirstKeyThatShares) {
  ExpectDamaged(FinishBlock(EncodeEntry(1, "a", "1"), {0}), 0, 0,
                "entry at byte 0: restart offset 0 is 0, and the key there shares 1 bytes instead of none");
}

TEST(Block, RejectsAKeyThatSharesMoreThanThereIs) {
  ExpectSound(FinishBlock(EncodeEntry(0, "ab", "1") + EncodeEntry(2, "c", "2"), {0}), {{"ab", "1"}, {"abc", "2"}});
  for (const uint32_t shared : {3u, 0xFFFFFFFFu}) {
    ExpectDamaged(
        FinishBlock(EncodeEntry(0, "ab", "1") + EncodeEntry(shared, "c", "2"), {0}), 1, 6,
        "entry at byte 6: its key shares " + std::to_string(shared) + " bytes with the one before, which has 2");
  }
}

TEST(Block, RejectsMalformedLengths) {
  const std::string first = EncodeEntry(0, "a", "1");
  for (const char* hex : {"80", "8080", "00", "0000", "0080", "000080", "ffffffff10 0101", "00 ffffffff10 01",
                          "0001 ffffffff10", "808080808000 01 01"}) {
    ExpectDamaged(FinishBlock(first + FromHex(hex), {0}), 1, 5,
                  "entry at byte 5: its three lengths are cut short or have more than 32 bits");
  }
}

TEST(Block, RejectsLengthsBeyondTheEntries) {
  const std::string first = EncodeEntry(0, "a", "1");
  const auto expect = [&first](const char* hex, const char* suffix, const char* value, const char* left) {
    ExpectDamaged(FinishBlock(first + FromHex(hex), {0}), 1, 5,
                  std::string("entry at byte 5: a key suffix of ") + suffix + " bytes and a value of " + value +
                      " bytes, where " + left + " are left");
  };
  expect("00 03 00 6262", "3", "0", "2 bytes");
  expect("00 01 02 6262", "1", "2", "2 bytes");
  expect("00 ffffffff0f 01 62", "4294967295", "1", "1 bytes");  // The sum has more than 32 bits.
  expect("00 01 ffffffff0f 62", "1", "4294967295", "1 bytes");
}

// Entries may not reach into the restart offsets, though there are bytes.
TEST(Block, RejectsAValueThatReachesIntoTheRestarts) {
  std::string contents = EncodeBlock({{"a", "1"}});
  contents[2] = 2;
  ExpectDamaged(contents, 0, 0,
                "entry at byte 0: a key suffix of 1 bytes and a value of 2 bytes, where 2 bytes are left");
}

TEST(Block, RejectsKeysThatDoNotAscend) {
  const auto expect = [](const std::string& entry, const std::string& message) {
    ExpectDamaged(FinishBlock(EncodeEntry(0, "abc", "1") + entry, {0}), 1, 7, "entry at byte 7: " + message);
  };
  expect(EncodeEntry(0, "abb", ""), R"(keys are not in order: "abb" after "abc")");
  expect(EncodeEntry(2, "b", ""), R"(keys are not in order: "abb" after "abc")");
  expect(EncodeEntry(2, "", ""), R"(keys are not in order: "ab" after "abc")");
  expect(EncodeEntry(0, "", ""), R"(keys are not in order: "" after "abc")");
  expect(EncodeEntry(0, "A\n", ""), R"(keys are not in order: "A\x0a" after "abc")");
  expect(EncodeEntry(0, "abc", ""), R"(duplicate key "abc")");
  expect(EncodeEntry(3, "", ""), R"(duplicate key "abc")");
  expect(EncodeEntry(1, "bc", ""), R"(duplicate key "abc")");
}

TEST(Block, ComparesKeysAsUnsignedBytes) {
  ExpectSound(FinishBlock(EncodeEntry(0, "a\x7F", "") + EncodeEntry(1, "\x80", ""), {0}),
              {{"a\x7F", ""}, {"a\x80", ""}});
  ExpectDamaged(FinishBlock(EncodeEntry(0, "a\x80", "") + EncodeEntry(1, "\x7F", ""), {0}), 1, 5,
                R"(entry at byte 5: keys are not in order: "a\x7f" after "a\x80")");
}

TEST(Block, RejectsADuplicateOfTheEmptyKey) {
  ExpectDamaged(FinishBlock(EncodeEntry(0, "", "1") + EncodeEntry(0, "", "2"), {0}), 1, 4,
                R"(entry at byte 4: duplicate key "")");
}

TEST(Block, KeysGoOnAscendingInTheNextBlock) {
  BlockCursor cursor;
  EXPECT_EQ(Walk(&cursor, EncodeBlock({{"a", "1"}, {"b", "2"}})).entries.size(), 2u);
  EXPECT_TRUE(Walk(&cursor, EncodeBlock({})).status.ok());
  const Walked good = Walk(&cursor, EncodeBlock({{"ba", "3"}}));
  EXPECT_TRUE(good.status.ok());
  EXPECT_EQ(good.entries, (Entries{{"ba", "3"}}));
  EXPECT_EQ(Walk(&cursor, EncodeBlock({{"ba", "4"}})).status.message(),
            R"(bad block contents: entry at byte 0: duplicate key "ba")");
  EXPECT_EQ(Walk(&cursor, EncodeBlock({{"b", "5"}})).status.message(),
            R"(bad block contents: entry at byte 0: keys are not in order: "b" after "ba")");
}

TEST(Block, AKeyCannotShareWithTheBlockBefore) {
  BlockCursor cursor;
  EXPECT_TRUE(Walk(&cursor, EncodeBlock({{"aa", "1"}})).status.ok());
  EXPECT_EQ(
      Walk(&cursor, FinishBlock(EncodeEntry(1, "b", "2"), {0})).status.message(),
      "bad block contents: entry at byte 0: restart offset 0 is 0, and the key there shares 1 bytes instead of none");
}

// Whatever one byte is changed to, or however many are missing, the walk ends, and no entry is made of nothing.
TEST(Block, SurvivesEveryChangedByteAndEveryTruncation) {
  const auto expect_few = [](const std::string& contents) {
    const Walked walked = Walk(contents);
    EXPECT_LE(walked.entries.size(), 20u);
    EXPECT_EQ(walked.status.ok(), !walked.status.offset());
  };
  const std::string contents = EncodeBlock(Numbered(20), 4);
  for (size_t i = 0; i < contents.size(); ++i) {
    expect_few(contents.substr(0, i));
    for (int value = 0; value < 256; ++value) {
      std::string changed = contents;
      changed[i] = static_cast<char>(value);
      expect_few(changed);
    }
  }
}

// What FindOnlyEntry makes of a block by `head_size` bytes of its beginning.
std::optional<OnlyEntry> FindOnly(const std::string& contents, size_t head_size) {
  const ByteView block(contents);
  return FindOnlyEntry(block.Slice(0, head_size), block.Slice(block.size() - 8, 8), block.size());
}

TEST(OnlyEntry, IsFoundByTheEndsOfItsBlock) {
  const std::string value(1000, 'v');
  const std::string block = EncodeBlock({{"key", value}});
  const auto entry = FindOnly(block, 16);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(block.substr(entry->key_offset, entry->key_size), "key");
  EXPECT_EQ(block.substr(entry->value_offset, entry->value_size), value);
}

TEST(OnlyEntry, IsNotFoundWhereThereIsAnother) {
  EXPECT_FALSE(FindOnly(EncodeBlock({{"a", std::string(100, 'v')}, {"b", "w"}}), 16));
  EXPECT_FALSE(FindOnly(EncodeBlock({{"a", std::string(100, 'v')}, {"b", "w"}}, 1), 16));
  EXPECT_FALSE(FindOnly(EncodeBlock({}), 4));
}

TEST(OnlyEntry, IsNotFoundInADamagedBlock) {
  const std::string block = EncodeBlock({{"key", std::string(100, 'v')}});
  for (const size_t size : {0, 1, 2, 3}) {
    EXPECT_EQ(FindOnly(block, size).has_value(), size >= 3) << size;
  }
  for (size_t i = 0; i < 3; ++i) {
    std::string damaged = block;
    damaged[i] = static_cast<char>(damaged[i] + 1);
    EXPECT_FALSE(FindOnly(damaged, 16)) << i;
  }
}

}  // namespace
}  // namespace tensorbundle
