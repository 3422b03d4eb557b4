#include "export/torch_export/archive_writer.h"

#include <map>
#include <unordered_map>

#include "base/checked.h"
#include "base/error.h"
#include "io/json.h"
#include "io/json_field.h"
#include "io/saved_tensors.h"
#include "io/saved_tensors_writer.h"

namespace lathe::exporting {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr size_t kLargestList = size_t{1} << 31;
constexpr size_t kLargestEntry = size_t{1} << 40;

std::string where(const SourceArchive& source, const std::string& entry) {
  return fmt::format("{} ({})", source.zip.source_name(), entry);
}

const io::ZipEntry& entry_of(const SourceArchive& source, const std::string& name) {
  const io::ZipEntry* entry = source.zip.find(name);
  if (entry == nullptr) throw_data("{}: has no entry {}", source.zip.source_name(), name);
  return *entry;
}

uint64_t bytes_of(const TensorSource& source) {
  const auto numel = checked_numel(source.shape);
  const auto bytes =
      numel ? checked_mul(*numel, static_cast<int64_t>(dtype_size(source.dtype))) : std::nullopt;
  check_internal(bytes.has_value(), "a tensor with too many elements");
  return static_cast<uint64_t>(*bytes);
}

// torch 2.8 and later: an entry for each storage, and a list of the tensors

struct ListedTensor {
  std::string name;
  std::string path;  // in the folder of weights
  OrderedJson json;
};

std::vector<ListedTensor> read_list(const SourceArchive& source) {
  const std::string& name = source.layout.weights;
  const auto bytes = source.zip.read(entry_of(source, name), kLargestList);
  const std::string place = where(source, name);
  const OrderedJson json =
      io::parse_ordered_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, place);
  if (!json.is_object() || !json.contains("config") || !json["config"].is_object())
    throw_data("{}: expected {{\"config\": {{...}}}}", place);
  std::vector<ListedTensor> tensors;
  for (const auto& [tensor, item] : json["config"].items()) {
    const Json plain = item;
    const io::JsonField field(plain, fmt::format("{}: {}", place, tensor));
    tensors.push_back({tensor, field.at("path_name").string(), item});
    entry_of(source, source.layout.weights_folder + tensors.back().path);
  }
  return tensors;
}

/// What becomes of the weights' entries.
class PayloadPlan {
 public:
  PayloadPlan(const SourceArchive& source, const EditedProgram& program) : source_(source) {
    std::map<std::string, const StoredTensor*> stored;
    for (const StoredTensor& tensor : program.tensors) stored.emplace(tensor.name, &tensor);
    const std::vector<ListedTensor> listed = read_list(source);
    for (const ListedTensor& tensor : listed) {
      known_.insert(tensor.path);
      if (!stored.contains(tensor.name) && !program.removed.contains(tensor.name))
        kept_.insert(tensor.path);
    }
    OrderedJson config = OrderedJson::object();
    for (const ListedTensor& tensor : listed) {
      if (program.removed.contains(tensor.name)) continue;
      const auto found = stored.find(tensor.name);
      config[tensor.name] =
          found == stored.end() ? tensor.json : write_at(tensor.path, *found->second);
      if (found != stored.end()) stored.erase(found);
    }
    for (const StoredTensor& tensor : program.tensors) {
      if (stored.contains(tensor.name)) config[tensor.name] = write_at(fresh_path(), tensor);
    }
    list_ = OrderedJson{{"config", std::move(config)}};
  }

  const OrderedJson& list() const { return list_; }
  /// The tensor that is written under a path; null if there is none.
  const StoredTensor* written(const std::string& path) const {
    const auto found = written_.find(path);
    return found == written_.end() ? nullptr : found->second;
  }
  bool is_dropped(const std::string& path) const {
    return known_.contains(path) && !kept_.contains(path);
  }
  /// Paths that the source has not.
  const std::vector<std::string>& new_paths() const { return fresh_; }

 private:
  OrderedJson write_at(std::string path, const StoredTensor& tensor) {
    if (kept_.contains(path) || written_.contains(path)) path = fresh_path();
    written_[path] = &tensor;
    OrderedJson meta = tensor.meta;
    return {{"path_name", path},
            {"is_param", tensor.is_parameter},
            {"use_pickle", false},
            {"tensor_meta", std::move(meta)}};
  }

  std::string fresh_path() {
    std::string path;
    do {
      path = fmt::format("weight_{}", next_++);
    } while (source_.zip.find(source_.layout.weights_folder + path) != nullptr);
    fresh_.push_back(path);
    return path;
  }

  const SourceArchive& source_;
  std::set<std::string> known_;
  std::set<std::string> kept_;  // paths that a tensor still needs
  std::map<std::string, const StoredTensor*> written_;
  std::vector<std::string> fresh_;
  size_t next_ = 0;
  OrderedJson list_;
};

class Writer {
 public:
  Writer(const SourceArchive& source, const EditedProgram& program, io::ZipWriter& zip,
         const std::function<void(size_t)>& progress)
      : source_(source), program_(program), zip_(zip), progress_(progress) {}

  size_t write() {
    if (source_.layout.pickled) {
      write_pickled();
    } else {
      write_payloads();
    }
    return weight_bytes_;
  }

 private:
  void advance(size_t bytes) {
    weight_bytes_ += bytes;
    if (progress_) progress_(bytes);
  }

  void copy(const io::ZipEntry& entry, bool is_tensor) {
    zip_.begin(entry.name, entry.bytes);
    source_.zip.stream(entry, kLargestEntry, [&](std::span<const std::byte> bytes) {
      zip_.write(bytes);
      if (is_tensor) advance(bytes.size());
    });
  }

  void write_tensor(const std::string& path, const StoredTensor& tensor) {
    zip_.begin(source_.layout.weights_folder + path, bytes_of(tensor.source));
    tensor.source.write([&](std::span<const std::byte> bytes) {
      zip_.write(bytes);
      advance(bytes.size());
    });
  }

  /// "weight_3" for an entry of the weights' folder; "" for others.
  std::string weight_path(const std::string& entry) const {
    const std::string& folder = source_.layout.weights_folder;
    return entry.starts_with(folder) && entry != source_.layout.weights
               ? entry.substr(folder.size())
               : std::string();
  }

  void write_payloads() {
    const PayloadPlan plan(source_, program_);
    for (const io::ZipEntry& entry : source_.zip.entries()) {
      const std::string path = weight_path(entry.name);
      if (entry.name == source_.layout.program) {
        zip_.add(entry.name, io::dump_json(program_.json, -1));
      } else if (entry.name == source_.layout.weights) {
        for (const std::string& added : plan.new_paths()) write_tensor(added, *plan.written(added));
        zip_.add(entry.name, io::dump_json(plan.list(), -1));
      } else if (const StoredTensor* tensor = plan.written(path); tensor != nullptr) {
        write_tensor(path, *tensor);
      } else if (path.empty() || !plan.is_dropped(path)) {
        copy(entry, !path.empty() || entry.name.starts_with(source_.layout.constants_folder));
      }
    }
  }

  // torch 2.6 and 2.7: a file of torch.save

  void write_pickled() {
    for (const io::ZipEntry& entry : source_.zip.entries()) {
      if (entry.name == source_.layout.program) {
        zip_.add(entry.name, io::dump_json(program_.json, -1));
      } else if (entry.name == source_.layout.weights) {
        write_state_dict(entry);
      } else {
        copy(entry, entry.name == source_.layout.constants);
      }
    }
  }

  io::StorageToSave reported(uint64_t bytes, std::function<void(const ByteSink&)> write) {
    return {bytes, [this, write = std::move(write)](const io::ByteSink& sink) {
              write([&](std::span<const std::byte> piece) {
                sink(piece);
                advance(piece.size());
              });
            }};
  }

  void keep(const io::StoredView& view) {
    const auto [found, is_new] = storages_.try_emplace(view.storage_id, to_save_.size());
    if (is_new) {
      to_save_.push_back(
          reported(view.storage.view.size(),
                   [bytes = view.storage](const ByteSink& sink) { sink(bytes.view); }));
    }
    tensors_.push_back({view.name, view.dtype, view.sizes, view.strides, view.offset, found->second,
                        view.is_parameter, view.requires_grad, view.device});
  }

  void store(const StoredTensor& tensor) {
    std::vector<int64_t> strides;
    for (const Json& stride : tensor.meta["strides"]) strides.push_back(stride["as_int"]);
    const Json& device = tensor.meta["device"];
    std::string place = device.value("type", "cpu");
    if (device.contains("index") && device["index"].is_number_integer())
      place += fmt::format(":{}", device["index"].get<int64_t>());
    tensors_.push_back({tensor.name, tensor.source.dtype, tensor.source.shape, std::move(strides),
                        0, to_save_.size(), tensor.is_parameter,
                        tensor.meta["requires_grad"] == true, std::move(place)});
    to_save_.push_back(reported(bytes_of(tensor.source), tensor.source.write));
  }

  void write_state_dict(const io::ZipEntry& entry) {
    const io::Bytes file = io::entry_bytes(source_.zip, entry, kLargestEntry);
    std::map<std::string, const StoredTensor*> stored;
    for (const StoredTensor& tensor : program_.tensors) stored.emplace(tensor.name, &tensor);
    if (!file.view.empty()) {
      for (const io::StoredView& view : io::read_saved_tensors(file, where(source_, entry.name))) {
        const auto found = stored.find(view.name);
        if (found != stored.end()) {
          store(*found->second);
          stored.erase(found);
        } else if (!program_.removed.contains(view.name)) {
          keep(view);
        }
      }
    }
    for (const StoredTensor& tensor : program_.tensors) {
      if (stored.contains(tensor.name)) store(tensor);
    }
    zip_.begin(entry.name, std::nullopt);
    io::write_saved_tensors(tensors_, to_save_,
                            [&](std::span<const std::byte> bytes) { zip_.write(bytes); });
  }

  const SourceArchive& source_;
  const EditedProgram& program_;
  io::ZipWriter& zip_;
  const std::function<void(size_t)>& progress_;
  size_t weight_bytes_ = 0;
  std::vector<io::TensorToSave> tensors_;
  std::vector<io::StorageToSave> to_save_;
  std::unordered_map<size_t, size_t> storages_;  // of the source: index in to_save_
};

std::set<std::string> weight_names(const SourceArchive& source) {
  std::set<std::string> names;
  if (source.layout.pickled) {
    const io::ZipEntry& entry = entry_of(source, source.layout.weights);
    const io::Bytes file = io::entry_bytes(source.zip, entry, kLargestEntry);
    if (file.view.empty()) return names;
    for (const io::StoredView& view : io::read_saved_tensors(file, where(source, entry.name)))
      names.insert(view.name);
  } else {
    for (const ListedTensor& tensor : read_list(source)) names.insert(tensor.name);
  }
  return names;
}

}  // namespace

void check_weights(const SourceArchive& source, const ProgramJson& program) {
  const std::set<std::string> names = weight_names(source);
  for (const auto& [name, input] : program.saved()) {
    if (!names.contains(name))
      throw_data("{}: has no tensor {}, which the program reads",
                 where(source, source.layout.weights), name);
  }
}

size_t write_archive(const SourceArchive& source, const EditedProgram& program, io::ZipWriter& zip,
                     const std::function<void(size_t)>& progress) {
  return Writer(source, program, zip, progress).write();
}

}  // namespace lathe::exporting
