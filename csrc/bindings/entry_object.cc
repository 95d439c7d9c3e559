#include "bindings/entry_object.h"

#include <structmember.h>

#include <cstddef>
#include <string>
#include <utility>

#include "bindings/numpy_view.h"
#include "bindings/text.h"
#include "tensorbundle/slice.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// Not tracked by the garbage collector: it refers to strings, and tuples of numbers and slices, which make no cycles.
struct EntryObject {
  PyObject_HEAD PyObject* name;
  PyObject* shape;
  PyObject* slices;
  unsigned long long size_bytes;
  unsigned long long offset_in_shard;
  int32_t shard;  // -1: stored in slices, and neither offset nor checksum means anything.
  uint32_t crc32c;
  DType dtype;
  bool aligned;
};

PyTypeObject* g_entry_type = nullptr;  // Lives as long as the module, which is for good.

EntryObject* Self(PyObject* object) { return reinterpret_cast<EntryObject*>(object); }

void Dealloc(PyObject* object) {
  PyTypeObject* const type = Py_TYPE(object);
  Py_XDECREF(Self(object)->name);
  Py_XDECREF(Self(object)->shape);
  Py_XDECREF(Self(object)->slices);
  type->tp_free(object);
  Py_DECREF(type);
}

// Runs `body`, which may throw what pybind11 throws, for a caller that is C.
template <typename Body>
PyObject* Guarded(const Body& body) {
  try {
    return body();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* GetDType(PyObject* self, void*) {
  return Guarded([&] { return NumpyDType(Self(self)->dtype).inc_ref().ptr(); });
}

PyObject* GetTfDType(PyObject* self, void*) {
  const DTypeInfo* const info = FindDTypeInfo(Self(self)->dtype);
  if (info != nullptr) return PyUnicode_InternFromString(info->name);
  return PyUnicode_FromFormat("unknown_%d", static_cast<int>(Self(self)->dtype));
}

PyObject* GetShard(PyObject* self, void*) {
  if (Self(self)->shard < 0) Py_RETURN_NONE;
  return PyLong_FromLong(Self(self)->shard);
}

PyObject* GetOffset(PyObject* self, void*) {
  if (Self(self)->shard < 0) Py_RETURN_NONE;
  return PyLong_FromUnsignedLongLong(Self(self)->offset_in_shard);
}

PyObject* GetCrc32c(PyObject* self, void*) {
  if (Self(self)->shard < 0) Py_RETURN_NONE;
  return PyLong_FromUnsignedLong(Self(self)->crc32c);
}

PyObject* GetAligned(PyObject* self, void*) { return PyBool_FromLong(Self(self)->aligned); }

// All that makes an entry what it is, without NumPy. Slices come as text: they can't be hashed before Python 3.12.
py::tuple Values(PyObject* self) {
  const EntryObject* const entry = Self(self);
  return py::make_tuple(py::handle(entry->name), static_cast<int32_t>(entry->dtype), py::handle(entry->shape),
                        entry->size_bytes, entry->shard, entry->offset_in_shard, entry->crc32c,
                        py::repr(py::handle(entry->slices)), entry->aligned);
}

PyObject* Repr(PyObject* self) {
  return Guarded([&] {
    const auto field = [&](const char* name) { return std::string(py::repr(py::handle(self).attr(name))); };
    std::string text = "Entry(name=" + field("name") + ", tf_dtype=" + field("tf_dtype") + ", shape=" + field("shape") +
                       ", nbytes=" + field("nbytes") + ", shard=" + field("shard") + ", offset=" + field("offset") +
                       ", crc32c=" + field("crc32c");
    if (PyTuple_GET_SIZE(Self(self)->slices) > 0) text += ", slices=" + field("slices");
    text += ", aligned=" + field("aligned") + ")";
    return NameToPython(text).release().ptr();
  });
}

PyObject* RichCompare(PyObject* self, PyObject* other, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || Py_TYPE(other) != g_entry_type) Py_RETURN_NOTIMPLEMENTED;
  return Guarded([&] {
    const bool equal = Values(self).equal(Values(other));
    return PyBool_FromLong(equal == (operation == Py_EQ));
  });
}

Py_hash_t Hash(PyObject* self) {
  PyObject* const values = Guarded([&] { return Values(self).release().ptr(); });
  if (values == nullptr) return -1;
  const Py_hash_t hash = PyObject_Hash(values);
  Py_DECREF(values);
  return hash;
}

// Entries travel between processes as the numbers they consist of; tensorbundle._core._entry puts them together again.
PyObject* Reduce(PyObject* self, PyObject*) {
  return Guarded([&] {
    const EntryObject* const entry = Self(self);
    const py::object make = py::module_::import("tensorbundle._core").attr("_entry");
    return py::make_tuple(make, py::make_tuple(py::handle(entry->name), static_cast<int32_t>(entry->dtype),
                                               py::handle(entry->shape), py::handle(entry->slices), entry->size_bytes,
                                               entry->shard, entry->offset_in_shard, entry->crc32c, entry->aligned))
        .release()
        .ptr();
  });
}

PyMemberDef kMembers[] = {
    {"name", T_OBJECT_EX, offsetof(EntryObject, name), READONLY,
     "Name; bytes that are not UTF-8 are surrogate-escaped."},
    {"shape", T_OBJECT_EX, offsetof(EntryObject, shape), READONLY, "Size of each dimension; () for a scalar."},
    {"slices", T_OBJECT_EX, offsetof(EntryObject, slices), READONLY,
     "The pieces that it is stored in, each a tuple of slice objects; () if it is stored whole."},
    {"nbytes", T_ULONGLONG, offsetof(EntryObject, size_bytes), READONLY,
     "Bytes stored in the data files; of the V1 format, of the array, and 0 for strings."},
    {nullptr, 0, 0, 0, nullptr}};

PyGetSetDef kGetters[] = {
    {"dtype", GetDType, nullptr, "The array's numpy.dtype; NumPy is imported when this is asked for.", nullptr},
    {"tf_dtype", GetTfDType, nullptr, "TensorFlow's name of the dtype, such as 'float32', 'qint8' or 'string'.",
     nullptr},
    {"shard", GetShard, nullptr, "Number of the data file; None if stored in slices, or in the V1 format.", nullptr},
    {"offset", GetOffset, nullptr, "Of its first byte in the data file; None like shard.", nullptr},
    {"crc32c", GetCrc32c, nullptr, "CRC-32C of the stored bytes, not masked; None like shard.", nullptr},
    {"aligned", GetAligned, nullptr,
     "Whether its offset fits its dtype, so that a view of it is aligned; False in the V1 format.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMethodDef kMethods[] = {{"__reduce__", Reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};

constexpr char kDoc[] =
    "What the index of a checkpoint says of one tensor. Immutable; equal and hashed by value.\n\n"
    "Made by Checkpoint.entry and Checkpoint.entries, from the index alone. In the V1 format a tensor has no bytes and "
    "no\n"
    "checksum of its own: it is encoded in a block of a table.";

PyType_Slot kSlots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(Dealloc)},
                        {Py_tp_repr, reinterpret_cast<void*>(Repr)},
                        {Py_tp_richcompare, reinterpret_cast<void*>(RichCompare)},
                        {Py_tp_hash, reinterpret_cast<void*>(Hash)},
                        {Py_tp_members, kMembers},
                        {Py_tp_getset, kGetters},
                        {Py_tp_methods, kMethods},
                        {Py_tp_doc, const_cast<char*>(kDoc)},
                        {0, nullptr}};

PyType_Spec kSpec = {"tensorbundle.Entry", sizeof(EntryObject), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, kSlots};

py::tuple SliceTuple(const Slice& slice, const std::vector<int64_t>& shape) {
  py::tuple extents(slice.extents.size());
  for (size_t d = 0; d < slice.extents.size(); ++d) {
    const Extent& extent = slice.extents[d];
    // A damaged record may have extents beyond its shape; it can be shown all the same.
    const int64_t length = extent.length != kWholeDimension ? extent.length : d < shape.size() ? shape[d] : 0;
    const auto stop = static_cast<int64_t>(static_cast<uint64_t>(extent.start) + static_cast<uint64_t>(length));
    extents[d] = py::slice(py::int_(extent.start), py::int_(stop), py::none());
  }
  return extents;
}

}  // namespace

py::object MakeEntryType() {
  PyObject* const type = PyType_FromSpec(&kSpec);
  if (type == nullptr) throw py::error_already_set();
  g_entry_type = reinterpret_cast<PyTypeObject*>(type);
  return py::reinterpret_borrow<py::object>(type);
}

py::object EntryMaker::Make(const Entry& entry, bool aligned) {
  py::tuple slices(entry.slices.size());  // Python keeps one empty tuple.
  for (size_t i = 0; i < entry.slices.size(); ++i) slices[i] = SliceTuple(entry.slices[i], entry.shape);
  py::object name = NameToPython(entry.name);
  py::object shape = ShapeTuple(entry.shape);
  auto* const made = reinterpret_cast<EntryObject*>(g_entry_type->tp_alloc(g_entry_type, 0));
  if (made == nullptr) throw py::error_already_set();
  made->name = name.release().ptr();
  made->shape = shape.release().ptr();
  made->slices = slices.release().ptr();
  made->size_bytes = entry.size_bytes;
  made->offset_in_shard = entry.offset_in_shard;
  made->shard = entry.shard;
  made->crc32c = entry.crc32c;
  made->dtype = entry.dtype;
  made->aligned = aligned;
  return py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(made));
}

py::object EntryMaker::ShapeTuple(const std::vector<int64_t>& shape) {
  if (!last_shape_tuple_ || shape != last_shape_) {
    py::tuple tuple(shape.size());
    for (size_t d = 0; d < shape.size(); ++d) tuple[d] = py::int_(shape[d]);
    last_shape_tuple_ = std::move(tuple);
    last_shape_ = shape;
  }
  return last_shape_tuple_;
}

}  // namespace tensorbundle::bindings
