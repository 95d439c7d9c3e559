// Names and paths between bytes and Python's str. Both may be any bytes; what is not UTF-8 goes through
// surrogateescape.

#ifndef TENSORBUNDLE_BINDINGS_TEXT_H_
#define TENSORBUNDLE_BINDINGS_TEXT_H_

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>

namespace tensorbundle::bindings {

pybind11::object NameToPython(std::string_view name);
std::string NameFromPython(pybind11::handle name);

// As os.fsdecode and os.fsencode do it.
pybind11::object PathToPython(std::string_view path);
std::string PathFromPython(pybind11::handle path);

}  // namespace tensorbundle::bindings

#endif  // TENSORBUNDLE_BINDINGS_TEXT_H_
