#include "io/saved_tensors.h"

#include <array>
#include <unordered_map>

#include "base/checked.h"
#include "base/error.h"
#include "io/pickle.h"

namespace lathe::io {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kLargestPickle = size_t{1} << 28;
constexpr size_t kLargestCopy = size_t{1} << 36;

struct NamedDType {
  std::string_view name;
  DType dtype;
};
constexpr auto kStorages = std::to_array<NamedDType>({
    {"FloatStorage", DType::kF32},
    {"DoubleStorage", DType::kF64},
    {"HalfStorage", DType::kF16},
    {"BFloat16Storage", DType::kBF16},
    {"LongStorage", DType::kI64},
    {"IntStorage", DType::kI32},
    {"ShortStorage", DType::kI16},
    {"CharStorage", DType::kI8},
    {"ByteStorage", DType::kU8},
    {"BoolStorage", DType::kBool},
});

std::string_view kind_name(Kind kind) {
  constexpr std::array<std::string_view, 11> names = {
      "None",   "a bool", "an integer", "a float", "a string",       "a tuple",
      "a list", "a dict", "a class",    "a call",  "a persistent id"};
  return names[static_cast<size_t>(kind)];
}

/// Turns the pickle's values to views of the archive's storages.
class TensorReader {
 public:
  TensorReader(const ZipArchive& archive, const Bytes& file)
      : archive_(archive), file_(file), prefix_(find_prefix()) {}

  std::vector<StoredView> read() {
    const ZipEntry& entry = entry_at("data.pkl");
    const auto bytes = archive_.read(entry, kLargestPickle);
    const Pickle pickle = Pickle::parse(bytes, source());
    std::vector<StoredView> views;
    const PickleValue& root = pickle.root();
    if (const auto pairs = dict_items(root)) {
      for (size_t i = 0; i + 1 < pairs->size(); i += 2)
        views.push_back(tensor(*(*pairs)[i + 1], expect(*(*pairs)[i], Kind::kString).text));
    } else {
      views.push_back(tensor(root, ""));
    }
    return views;
  }

 private:
  const std::string& source() const { return archive_.source_name(); }

  /// All entries lie in one folder, whose name depends on the file's.
  std::string find_prefix() const {
    for (const ZipEntry& entry : archive_.entries()) {
      if (entry.name == "data.pkl" || entry.name.ends_with("/data.pkl"))
        return entry.name.substr(0, entry.name.size() - std::string_view("data.pkl").size());
    }
    throw_data("{}: no file of torch.save: it has no data.pkl", source());
  }

  const ZipEntry& entry_at(const std::string& name) const {
    const ZipEntry* entry = archive_.find(prefix_ + name);
    if (entry == nullptr) throw_data("{}: has no entry {}{}", source(), prefix_, name);
    return *entry;
  }

  const PickleValue& expect(const PickleValue& value, Kind kind) const {
    if (value.kind != kind) {
      throw_data("{}: pickle: expected {}, found {}", source(), kind_name(kind),
                 kind_name(value.kind));
    }
    return value;
  }

  /// The items of a dict or an OrderedDict.
  std::optional<std::vector<const PickleValue*>> dict_items(const PickleValue& value) const {
    if (value.kind == Kind::kDict) return value.items;
    if (value.kind != Kind::kCall || value.items[0]->kind != Kind::kGlobal ||
        value.items[0]->text != "collections.OrderedDict") {
      return std::nullopt;
    }
    return std::vector<const PickleValue*>(value.items.begin() + 2, value.items.end());
  }

  /// _rebuild_parameter(tensor, requires_grad, hooks)
  StoredView parameter(const std::vector<const PickleValue*>& arguments, std::string name) {
    StoredView view = tensor(*arguments[0], std::move(name), true);
    if (arguments.size() > 1) view.requires_grad = expect(*arguments[1], Kind::kBool).integer != 0;
    return view;
  }

  StoredView tensor(const PickleValue& value, std::string name, bool is_parameter = false) {
    const PickleValue& call = expect(value, Kind::kCall);
    const std::string& function = expect(*call.items[0], Kind::kGlobal).text;
    const auto& arguments = expect(*call.items[1], Kind::kTuple).items;
    if (function == "torch._utils._rebuild_parameter" && !arguments.empty() && !is_parameter)
      return parameter(arguments, std::move(name));
    const bool untyped = function == "torch._utils._rebuild_tensor_v3";
    if (!untyped && function != "torch._utils._rebuild_tensor_v2")
      throw_data("{}: {} is made by {}, which is not read", source(), name, function);
    if (arguments.size() < (untyped ? 7 : 6))
      throw_data("{}: {}: {} has {} arguments", source(), name, function, arguments.size());
    StoredView view{.name = std::move(name), .file = source(), .dtype = DType::kU8};
    read_storage(*arguments[0], untyped ? arguments[6] : nullptr, view);
    view.offset = expect(*arguments[1], Kind::kInt).integer;
    view.sizes = integers(*arguments[2]);
    view.strides = integers(*arguments[3]);
    view.is_parameter = is_parameter;
    view.requires_grad = expect(*arguments[4], Kind::kBool).integer != 0;
    check_view(view);
    return view;
  }

  std::vector<int64_t> integers(const PickleValue& tuple) const {
    std::vector<int64_t> numbers;
    for (const PickleValue* item : expect(tuple, Kind::kTuple).items)
      numbers.push_back(expect(*item, Kind::kInt).integer);
    return numbers;
  }

  /// ("storage", class, key, device, elements)
  void read_storage(const PickleValue& value, const PickleValue* dtype, StoredView& view) {
    const PickleValue& id = *expect(value, Kind::kPersistent).items[0];
    const auto& fields = expect(id, Kind::kTuple).items;
    if (fields.size() < 5) throw_data("{}: {}: a storage of unknown form", source(), view.name);
    view.dtype = dtype != nullptr ? dtype_of(*dtype) : storage_dtype(*fields[1]);
    const std::string& key = expect(*fields[2], Kind::kString).text;
    view.device = expect(*fields[3], Kind::kString).text;
    const auto [found, is_new] = storages_.try_emplace(key);
    if (is_new) {
      found->second = {entry_bytes(archive_, entry_at("data/" + key), kLargestCopy),
                       storages_.size() - 1};
      if (!found->second.bytes.owner) found->second.bytes.owner = file_.owner;
    }
    view.storage = found->second.bytes;
    view.storage_id = found->second.id;
  }

  DType storage_dtype(const PickleValue& type) const {
    constexpr std::string_view kPrefix = "torch.";
    const std::string& name = expect(type, Kind::kGlobal).text;
    for (const NamedDType& storage : kStorages) {
      if (name.starts_with(kPrefix) && name.substr(kPrefix.size()) == storage.name)
        return storage.dtype;
    }
    throw_data("{}: storages of type {} are not read", source(), name);
  }

  DType dtype_of(const PickleValue& type) const {
    const std::string& name = expect(type, Kind::kGlobal).text;
    constexpr std::string_view kPrefix = "torch.";
    const auto dtype = name.starts_with(kPrefix)
                           ? dtype_from_torch_name(std::string_view(name).substr(kPrefix.size()))
                           : std::nullopt;
    if (!dtype) throw_data("{}: tensors of dtype {} are not read", source(), name);
    return *dtype;
  }

  struct Storage {
    Bytes bytes;
    size_t id = 0;
  };

  const ZipArchive& archive_;
  const Bytes& file_;
  std::string prefix_;
  std::unordered_map<std::string, Storage> storages_;
};

}  // namespace

Bytes entry_bytes(const ZipArchive& archive, const ZipEntry& entry, size_t limit) {
  if (const auto slice = archive.stored_bytes(entry)) return {*slice, archive.owner()};
  auto copy = std::make_shared<const std::vector<std::byte>>(archive.read(entry, limit));
  return {*copy, copy};
}

void check_view(const StoredView& view) {
  const auto fail = [&](std::string_view why) {
    throw_data("{}: {} {}[{}] with strides [{}], offset {}, in {} bytes: {}", view.file, view.name,
               dtype_name(view.dtype), fmt::join(view.sizes, ", "), fmt::join(view.strides, ", "),
               view.offset, view.storage.view.size(), why);
  };
  if (view.sizes.size() != view.strides.size()) fail("sizes and strides differ in number");
  const auto numel = checked_numel(view.sizes);
  if (!numel || view.offset < 0) fail("a size or the offset is out of range");
  if (*numel == 0) return;
  std::optional<int64_t> last = view.offset;
  for (size_t i = 0; i < view.sizes.size() && last; ++i) {
    if (view.strides[i] < 0) fail("a stride is negative");
    const auto reach = checked_mul(view.sizes[i] - 1, view.strides[i]);
    last = reach ? checked_add(*last, *reach) : std::nullopt;
  }
  const auto elements = last ? checked_add<int64_t>(*last, 1) : std::nullopt;
  const auto bytes = elements ? checked_mul(*elements, static_cast<int64_t>(dtype_size(view.dtype)))
                              : std::nullopt;
  if (!bytes || static_cast<uint64_t>(*bytes) > view.storage.view.size())
    fail("the tensor needs more bytes than there are");
}

std::string_view torch_storage_type(DType dtype) {
  for (const NamedDType& storage : kStorages) {
    if (storage.dtype == dtype) return storage.name;
  }
  return {};
}

std::vector<StoredView> read_saved_tensors(const Bytes& file, const std::string& source_name) {
  const ZipArchive archive = ZipArchive::from_bytes(file.view, source_name);
  return TensorReader(archive, file).read();
}

}  // namespace lathe::io
