#include "util/quote.h"

#include <gtest/gtest.h>

#include <string>

namespace tensorbundle {
namespace {

TEST(Quote, LeavesPrintableTextAsItIs) {
  EXPECT_EQ(Quote(""), R"("")");
  EXPECT_EQ(Quote("dense/kernel:0 ~!'"), R"("dense/kernel:0 ~!'")");
}

TEST(Quote, EscapesQuotesAndBackslashes) { EXPECT_EQ(Quote(R"(a"b\c)"), R"("a\x22b\x5cc")"); }

TEST(Quote, EscapesControlCharacters) {
  EXPECT_EQ(Quote(std::string("a\0b", 3)), R"("a\x00b")");
  EXPECT_EQ(Quote("\n\t\r\x1B[31m\x7F"), R"("\x0a\x09\x0d\x1b[31m\x7f")");
  EXPECT_EQ(Quote("\xC2\x80\xC2\x9F"), R"("\xc2\x80\xc2\x9f")");  // C1: U+0080, U+009F.
  EXPECT_EQ(Quote("\xC2\xA0"), "\"\xC2\xA0\"");                   // U+00A0.
}

// A terminal shows what follows these in another order or on another line.
TEST(Quote, EscapesDirectionAndLineControls) {
  EXPECT_EQ(Quote("\xE2\x80\xAE"), R"("\xe2\x80\xae")");  // U+202E, right-to-left override.
  EXPECT_EQ(Quote("\xE2\x81\xA6"), R"("\xe2\x81\xa6")");  // U+2066, left-to-right isolate.
  EXPECT_EQ(Quote("\xE2\x80\xA8"), R"("\xe2\x80\xa8")");  // U+2028, line separator.
  EXPECT_EQ(Quote("\xE2\x80\xAF"), "\"\xE2\x80\xAF\"");   // U+202F, a space.
}

TEST(Quote, LeavesUtf8AsItIs) {
  for (const char* text : {"\xC3\xA9", "\xDF\xBF", "\xE0\xA0\x80", "\xE2\x82\xAC", "\xED\x9F\xBF", "\xEF\xBF\xBD",
                           "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(Quote(text), std::string("\"") + text + "\"");
  }
}

TEST(Quote, EscapesWhatIsNotUtf8) {
  EXPECT_EQ(Quote("\x80"), R"("\x80")");                          // Continuation alone.
  EXPECT_EQ(Quote("\xC3"), R"("\xc3")");                          // Cut short.
  EXPECT_EQ(Quote("\xE2\x82"), R"("\xe2\x82")");                  // Cut short.
  EXPECT_EQ(Quote("\xC3z"), R"("\xc3z")");                        // Not continued.
  EXPECT_EQ(Quote("\xC0\xAF"), R"("\xc0\xaf")");                  // Overlong.
  EXPECT_EQ(Quote("\xE0\x9F\xBF"), R"("\xe0\x9f\xbf")");          // Overlong.
  EXPECT_EQ(Quote("\xF0\x8F\xBF\xBF"), R"("\xf0\x8f\xbf\xbf")");  // Overlong.
  EXPECT_EQ(Quote("\xED\xA0\x80"), R"("\xed\xa0\x80")");          // Surrogate.
  EXPECT_EQ(Quote("\xF4\x90\x80\x80"), R"("\xf4\x90\x80\x80")");  // Above U+10FFFF.
  EXPECT_EQ(Quote("\xFF"), R"("\xff")");
}

TEST(Quote, ShortensBeyond120BytesAndSaysHowManyThereAre) {
  EXPECT_EQ(Quote(std::string(120, 'x')), '"' + std::string(120, 'x') + '"');
  EXPECT_EQ(Quote(std::string(121, 'x')), '"' + std::string(120, 'x') + "\"... (121 bytes)");
  EXPECT_EQ(Quote(std::string(700000, 'x')), '"' + std::string(120, 'x') + "\"... (700000 bytes)");
}

TEST(Quote, DoesNotCutACharacter) {
  const std::string text = std::string(119, 'x') + "\xE2\x82\xAC" + "y";
  EXPECT_EQ(Quote(text), '"' + std::string(119, 'x') + "\xE2\x82\xAC\"... (123 bytes)");
}

TEST(Hex32, HasEightDigits) {
  EXPECT_EQ(Hex32(0), "0x00000000");
  EXPECT_EQ(Hex32(0xE3069283u), "0xe3069283");
  EXPECT_EQ(Hex32(0xFFFFFFFFu), "0xffffffff");
}

}  // namespace
}  // namespace tensorbundle
