// Names from a file, made safe to print.

#ifndef TENSORBUNDLE_UTIL_QUOTE_H_
#define TENSORBUNDLE_UTIL_QUOTE_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace tensorbundle {

// `text` in double quotes, for a message: control characters, quotes, backslashes and bytes that are not UTF-8 as \xNN,
// and what exceeds 120 bytes replaced by the length of the whole.
std::string Quote(std::string_view text);

// `value` as 0x and eight hexadecimal digits, as checksums are written.
std::string Hex32(uint32_t value);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_QUOTE_H_
