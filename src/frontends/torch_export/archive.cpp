#include "frontends/torch_export/archive.h"

#include <unordered_map>

#include "base/error.h"
#include "frontends/torch_export/json_fields.h"
#include "io/json.h"
#include "io/zip.h"

namespace lathe::frontends::torch_export {
namespace {

constexpr size_t kLargestJson = size_t{1} << 31;
constexpr size_t kLargestTensor = size_t{1} << 36;
constexpr const char* kOldProgram = "serialized_exported_program.json";

std::string text_of(const io::ZipArchive& zip, const io::ZipEntry& entry) {
  const auto bytes = zip.read(entry, kLargestJson);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string where(const io::ZipArchive& zip, const std::string& entry) {
  return fmt::format("{} ({})", zip.source_name(), entry);
}

/// The folder that all entries lie in, "net/"; "" for none.
std::string common_folder(const io::ZipArchive& zip, std::string_view marker) {
  for (const io::ZipEntry& entry : zip.entries()) {
    const size_t at = entry.name.find(marker);
    if (at == 0 || (at != std::string::npos && entry.name[at - 1] == '/'))
      return entry.name.substr(0, at);
  }
  throw_data("{}: no archive of torch.export: it has neither a models folder nor {}",
             zip.source_name(), kOldProgram);
}

int64_t fixed_size(const JsonField& field) { return field.at("as_int").integer(); }

std::vector<int64_t> fixed_sizes(const JsonField& field) {
  std::vector<int64_t> sizes;
  for (const JsonField& size : field.items()) sizes.push_back(fixed_size(size));
  return sizes;
}

/// The archive of torch 2.8 and later.
class NewLayout {
 public:
  NewLayout(const io::ZipArchive& zip, std::string folder)
      : zip_(zip), folder_(std::move(folder)) {}

  Archive read() {
    const std::string model = model_name();
    Archive archive{.source_name = zip_.source_name()};
    const std::string entry = fmt::format("{}models/{}.json", folder_, model);
    archive.program = parse_program(text_of(zip_, *zip_.find(entry)), where(zip_, entry));
    archive.weights = tensors("data/weights/", model + "_weights_config.json");
    archive.constants = tensors("data/constants/", model + "_constants_config.json");
    return archive;
  }

 private:
  std::string model_name() const {
    const std::string prefix = folder_ + "models/";
    std::vector<std::string> names;
    for (const io::ZipEntry& entry : zip_.entries()) {
      if (!entry.name.starts_with(prefix) || !entry.name.ends_with(".json")) continue;
      names.push_back(entry.name.substr(prefix.size(), entry.name.size() - prefix.size() - 5));
    }
    if (names.size() != 1) {
      throw_data("{}: expected one model, found {} ({})", zip_.source_name(), names.size(),
                 fmt::join(names, ", "));
    }
    return names.front();
  }

  std::vector<StoredView> tensors(const std::string& data_folder, const std::string& config_name) {
    const std::string config_path = folder_ + data_folder + config_name;
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

  Bytes payload(const std::string& path, const JsonField& field) {
    const io::ZipEntry* entry = zip_.find(path);
    if (entry == nullptr) throw_data("{}: the archive has no entry {}", field.where(), path);
    return entry_bytes(zip_, *entry, kLargestTensor);
  }

  StoredView raw_tensor(const std::string& data_folder, const std::string& name,
                        const JsonField& field) {
    const JsonField meta = field.at("tensor_meta");
    const std::string path = folder_ + data_folder + field.at("path_name").string();
    const auto [storage, is_new] = storages_.try_emplace(path);
    if (is_new) storage->second = {payload(path, field), storages_.size() - 1};
    const auto dtype = dtype_of_code(meta.at("dtype").integer());
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
    const std::string path = folder_ + data_folder + field.at("path_name").string();
    for (StoredView& view : read_saved_tensors(payload(path, field), where(zip_, path))) {
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
  std::string folder_;
  std::unordered_map<std::string, Storage> storages_;
};

std::vector<StoredView> old_tensors(const io::ZipArchive& zip, const std::string& path) {
  const io::ZipEntry* entry = zip.find(path);
  if (entry == nullptr) throw_data("{}: has no entry {}", zip.source_name(), path);
  const Bytes file = entry_bytes(zip, *entry, kLargestTensor);
  if (file.view.empty()) return {};  // nothing to save
  return read_saved_tensors(file, where(zip, path));
}

/// The archive of torch 2.6 and 2.7.
Archive read_old_layout(const io::ZipArchive& zip) {
  const std::string folder = common_folder(zip, kOldProgram);
  Archive archive{.source_name = zip.source_name()};
  const std::string entry = folder + kOldProgram;
  archive.program = parse_program(text_of(zip, *zip.find(entry)), where(zip, entry));
  archive.weights = old_tensors(zip, folder + "serialized_state_dict.pt");
  archive.constants = old_tensors(zip, folder + "serialized_constants.pt");
  for (StoredView& constant : archive.constants) constant.storage_id += size_t{1} << 32;
  return archive;
}

Archive read_zip(const io::ZipArchive& zip) {
  for (const io::ZipEntry& entry : zip.entries()) {
    if (entry.name == kOldProgram || entry.name.ends_with(std::string("/") + kOldProgram))
      return read_old_layout(zip);
  }
  return NewLayout(zip, common_folder(zip, "models/")).read();
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
