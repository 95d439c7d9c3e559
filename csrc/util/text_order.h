// The order of many texts by their bytes.

#ifndef TENSORBUNDLE_UTIL_TEXT_ORDER_H_
#define TENSORBUNDLE_UTIL_TEXT_ORDER_H_

#include <cstddef>
#include <string_view>
#include <vector>

namespace tensorbundle {

// The positions of `texts` in the order of their bytes, a text after those that it begins with. Equal ones are next to
// each other in no particular order.
//
// Looks at each byte about once, whatever the texts have in common: names of tensors share long beginnings, which
// comparing two at a time goes through again and again.
std::vector<size_t> SortedOrder(const std::vector<std::string_view>& texts);

}  // namespace tensorbundle

#endif  // TENSORBUNDLE_UTIL_TEXT_ORDER_H_
