#include "util/quote.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace tensorbundle {
namespace {

constexpr size_t kMaxQuotedBytes = 120;

// What a terminal obeys instead of showing it: C1 controls, line separators, and what turns the direction of writing.
bool IsControl(uint32_t code_point) {
  return code_point < 0xA0 || (code_point >= 0x2028 && code_point <= 0x202E) ||
         (code_point >= 0x2066 && code_point <= 0x2069);
}

// Length of the UTF-8 sequence at the front of `text`, or 0 if there is none that is printable.
size_t PrintableLength(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7F && lead != '"' && lead != '\\' ? 1 : 0;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  uint32_t code_point = lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xC0) != 0x80) return 0;
    code_point = code_point << 6 | (byte & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  return code_point >= kSmallest[length] && code_point <= 0x10FFFF && !surrogate && !IsControl(code_point) ? length : 0;
}

}  // namespace

std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  size_t i = 0;
  while (i < text.size() && i < kMaxQuotedBytes) {
    if (const size_t length = PrintableLength(text.substr(i))) {
      quoted.append(text.substr(i, length));
      i += length;
      continue;
    }
    char escape[5];
    std::snprintf(escape, sizeof(escape), "\\x%02x", static_cast<uint8_t>(text[i]));
    quoted += escape;
    ++i;
  }
  quoted += '"';
  if (i < text.size()) quoted += "... (" + std::to_string(text.size()) + " bytes)";
  return quoted;
}

std::string Hex32(uint32_t value) {
  char text[11];
  std::snprintf(text, sizeof(text), "0x%08x", static_cast<unsigned>(value));
  return text;
}

}  // namespace tensorbundle
