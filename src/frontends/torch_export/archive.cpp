#include "frontends/torch_export/archive.h"

#include <unordered_map>

#include "base/error.h"
#include "io/json.h"
#include "io/json_field.h"
#include "io/pt2_layout.h"
#include "io/zip.h"

namespace lathe::frontends::torch_export {
namespace {

using io::Bytes;
using io::JsonField;

constexpr size_t kLargestJson = size_t{1} << 31;
constexpr size_t kLargestTensor = size_t{1} << 36;

std::string text_of(const io::ZipArchive& zip, const io::ZipEntry& entry) {
  const auto bytes = zip.read(entry, kLargestJson);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string where(const io::ZipArchive& zip, const std::string& entry) {
  return fmt::format("{} ({})", zip.source_name(), entry);
}

int64_t fixed_size(const JsonField& field) { return field.at("as_int").integer(); }

std::vector<int64_t> fixed_sizes(const JsonField& field) {
  std::vector<int64_t> sizes;
  for (const JsonField& size : field.items()) sizes.push_back(fixed_size(size));
  return sizes;
}

/// Reads the tensors of an archive of torch 2.8 and later.
class NewLayout {
 public:
  explicit NewLayout(const io::ZipArchive& zip) : zip_(zip) {}

  /// `config_path` lists the tensors, whose bytes are in `data_folder`.
  std::vector<StoredView> tensors(const std::string& data_folder, const std::string& config_path) {
    const io::ZipEntry* entry = zip_.find(config_path);
    if (entry == nullptr) throw_data("{}: has no entry {}", zip_.source_name(), config_path);
    const std::string place = where(zip_, config_path);
    const nlohmann::ordered_json ordered = io::parse_ordered_json(text_of(zip_, *entry), place);
    std::vector<StoredView> views;
    if (!ordered.is_object() || !ordered.contains("config") || !ordered["config"].is_object())
      throw_data("{}: expected {{\"config\": {{...}}}}", place);
    for (const auto& [name, item] : ordered["config"].items()) {
      const nlohmann::json plain = item;
      const JsonField field(plain, fmt::format("{}: {}", place, name));
      if (field.at("use_pickle").boolean()) {
        read_pickled(data_folder, name, field, views);
      } else {
        views.push_back(raw_tensor(data_folder, name, field));
      }
    }
    return views;
  }

 private:
  Bytes payload(const std::string& path, const JsonField& field) {
    const io::ZipEntry* entry = zip_.find(path);
    if (entry == nullptr) throw_data("{}: the archive has no entry {}", field.where(), path);
    return io::entry_bytes(zip_, *entry, kLargestTensor);
  }

  StoredView raw_tensor(const std::string& data_folder, const std::string& name,
                        const JsonField& field) {
    const JsonField meta = field.at("tensor_meta");
    const std::string path = data_folder + field.at("path_name").string();
    const auto [storage, is_new] = storages_.try_emplace(path);
    if (is_new) storage->second = {payload(path, field), storages_.size() - 1};
    const auto dtype = io::dtype_of_pt2_code(meta.at("dtype").integer());
    if (!dtype) meta.at("dtype").fail("a dtype that Lathe reads");
    StoredView view{.name = name,
                    .file = where(zip_, path),
                    .dtype = *dtype,
                    .sizes = fixed_sizes(meta.at("sizes")),
                    .strides = fixed_sizes(meta.at("strides")),
                    .offset = fixed_size(meta.at("storage_offset")),
                    .storage = storage->second.bytes,
                    .storage_id = storage->second.id,
                    .is_parameter = field.at("is_param").boolean()};
    check_view(view);
    return view;
  }

  /// A tensor of a subclass, or an object of a class, which the program may never use.
  void read_pickled(const std::string& data_folder, const std::string& name, const JsonField& field,
                    std::vector<StoredView>& views) {
    if (!field.has("tensor_meta") || field.at("tensor_meta").is_null()) return;
    const std::string path = data_folder + field.at("path_name").string();
    for (StoredView& view : io::read_saved_tensors(payload(path, field), where(zip_, path))) {
      view.name = name;
      view.storage_id = storages_.size();
      storages_.try_emplace(path + "#" + name);
      views.push_back(std::move(view));
    }
  }

  struct Storage {
    Bytes bytes;
    size_t id = 0;
  };

  const io::ZipArchive& zip_;
  std::unordered_map<std::string, Storage> storages_;
};

std::vector<StoredView> old_tensors(const io::ZipArchive& zip, const std::string& path) {
  const io::ZipEntry* entry = zip.find(path);
  if (entry == nullptr) throw_data("{}: has no entry {}", zip.source_name(), path);
  const Bytes file = io::entry_bytes(zip, *entry, kLargestTensor);
  if (file.view.empty()) return {};  // nothing to save
  return io::read_saved_tensors(file, where(zip, path));
}

void read_pickled_layout(const io::ZipArchive& zip, const io::Pt2Layout& layout, Archive& archive) {
  archive.weights = old_tensors(zip, layout.weights);
  archive.constants = old_tensors(zip, layout.constants);
  for (StoredView& constant : archive.constants) constant.storage_id += size_t{1} << 32;
}

Archive read_zip(const io::ZipArchive& zip) {
  const io::Pt2Layout layout = io::find_pt2_layout(zip);
  Archive archive{.source_name = zip.source_name()};
  archive.program =
      parse_program(text_of(zip, *zip.find(layout.program)), where(zip, layout.program));
  if (layout.pickled) {
    read_pickled_layout(zip, layout, archive);
  } else {
    NewLayout reader(zip);
    archive.weights = reader.tensors(layout.weights_folder, layout.weights);
    archive.constants = reader.tensors(layout.constants_folder, layout.constants);
  }
  return archive;
}

}  // namespace

const StoredView* Archive::find(const std::string& name) const {
  for (const auto* list : {&weights, &constants}) {
    for (const StoredView& view : *list) {
      if (view.name == name) return &view;
    }
  }
  return nullptr;
}

Archive read_archive(const std::filesystem::path& path) {
  return read_zip(io::ZipArchive::open(path));
}

Archive read_archive(std::span<const std::byte> bytes, const std::string& source_name) {
  return read_zip(io::ZipArchive::from_bytes(bytes, source_name));
}

}  // namespace lathe::frontends::torch_export
