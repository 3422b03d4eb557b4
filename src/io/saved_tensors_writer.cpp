#include "io/saved_tensors_writer.h"

#include <fmt/format.h>

#include <limits>

#include "io/saved_tensors.h"

namespace lathe::io {
namespace {

/// Opcodes of pickle protocol 2.
class PickleWriter {
 public:
  PickleWriter& op(char code) {
    text_ += code;
    return *this;
  }
  PickleWriter& number(int64_t value) {
    const bool is_small = value >= 0 && value <= std::numeric_limits<int32_t>::max();
    op(is_small ? 'J' : '\x8a');
    if (!is_small) op(8);
    return little(static_cast<uint64_t>(value), is_small ? 4 : 8);
  }
  PickleWriter& boolean(bool value) { return op(value ? '\x88' : '\x89'); }
  PickleWriter& string(std::string_view value) {
    op('X').little(value.size(), 4);
    text_ += value;
    return *this;
  }
  PickleWriter& global(std::string_view module, std::string_view name) {
    text_ += fmt::format("c{}\n{}\n", module, name);
    return *this;
  }
  PickleWriter& numbers(const std::vector<int64_t>& values) {
    op('(');
    for (int64_t value : values) number(value);
    return op('t');
  }
  /// collections.OrderedDict()
  PickleWriter& no_hooks() { return global("collections", "OrderedDict").op(')').op('R'); }
  std::string take() { return std::move(text_); }

 private:
  PickleWriter& little(uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) text_ += static_cast<char>(value >> (8 * i));
    return *this;
  }
  std::string text_;
};

/// ("storage", class, key, device, elements) as a persistent id.
void put_storage(PickleWriter& pickle, const TensorToSave& tensor, uint64_t bytes,
                 std::string_view storage_type) {
  const bool typed = !storage_type.empty();
  pickle.op('(').string("storage");
  pickle.global(typed ? "torch" : "torch.storage", typed ? storage_type : "UntypedStorage");
  pickle.string(std::to_string(tensor.storage)).string(tensor.device);
  pickle.number(static_cast<int64_t>(typed ? bytes / dtype_size(tensor.dtype) : bytes));
  pickle.op('t').op('Q');
}

void put_tensor(PickleWriter& pickle, const TensorToSave& tensor, uint64_t storage_bytes) {
  const std::string_view storage_type = torch_storage_type(tensor.dtype);
  if (tensor.is_parameter) pickle.global("torch._utils", "_rebuild_parameter").op('(');
  pickle.global("torch._utils", storage_type.empty() ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
  pickle.op('(');
  put_storage(pickle, tensor, storage_bytes, storage_type);
  pickle.number(tensor.offset).numbers(tensor.sizes).numbers(tensor.strides);
  pickle.boolean(!tensor.is_parameter && tensor.requires_grad).no_hooks();
  if (storage_type.empty()) pickle.global("torch", dtype_torch_name(tensor.dtype));
  pickle.op('t').op('R');
  if (tensor.is_parameter) pickle.boolean(tensor.requires_grad).no_hooks().op('t').op('R');
}

}  // namespace

void write_saved_tensors(const std::vector<TensorToSave>& tensors,
                         const std::vector<StorageToSave>& storages, const ByteSink& sink) {
  PickleWriter pickle;
  pickle.op('\x80').op(2).op('}').op('(');
  for (const TensorToSave& tensor : tensors) {
    pickle.string(tensor.name);
    put_tensor(pickle, tensor, storages.at(tensor.storage).bytes);
  }
  pickle.op('u').op('.');
  ZipWriter zip(sink);
  zip.add("archive/data.pkl", pickle.take());
  zip.add("archive/byteorder", "little");
  for (size_t i = 0; i < storages.size(); ++i) {
    zip.begin(fmt::format("archive/data/{}", i), storages[i].bytes);
    storages[i].write([&](std::span<const std::byte> bytes) { zip.write(bytes); });
  }
  zip.add("archive/version", "3\n");
  zip.finish();
}

}  // namespace lathe::io
