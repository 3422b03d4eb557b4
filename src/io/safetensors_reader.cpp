#include "io/safetensors_reader.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "io/json.h"

namespace lathe::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";

std::unordered_map<std::string_view, size_t> index_by_name(
    const std::vector<TensorEntry>& tensors) {
  std::unordered_map<std::string_view, size_t> index;
  index.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto [place, inserted] = index.emplace(tensors[i].name, i);
    if (!inserted) {
      throw_data("tensor \"{}\" is in both {} and {}", tensors[i].name,
                 tensors[place->second].file->path().string(), tensors[i].file->path().string());
    }
  }
  return index;
}

const TensorEntry* find_in(const std::vector<TensorEntry>& tensors,
                           const std::unordered_map<std::string_view, size_t>& index,
                           std::string_view name) {
  const auto place = index.find(name);
  return place == index.end() ? nullptr : &tensors[place->second];
}

/// A shard is a file of the checkpoint's own folder or one below it: nothing else may be opened
/// through the index.
void check_shard_name(const std::string& name, const fs::path& index_path) {
  bool plain = !name.empty() && name.back() != '/' &&
               name.find_first_of(std::string_view("\\\0", 2)) == std::string::npos;
  for (const fs::path& part : fs::path(name))
    plain &= part != "." && part != ".." && part != "/" && !part.empty();
  if (!plain)
    throw_data("{}: weight_map names the file \"{}\", which is no plain file name",
               index_path.string(), name);
}

/// Tensor name to file name.
std::map<std::string, std::string> read_weight_map(const fs::path& index_path) {
  const nlohmann::json index = read_json(index_path);
  const auto* map =
      index.is_object() && index.contains("weight_map") ? &index["weight_map"] : nullptr;
  if (map == nullptr || !map->is_object())
    throw_data("{}: no object \"weight_map\"", index_path.string());
  std::map<std::string, std::string> result;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string())
      throw_data("{}: weight_map of \"{}\" is no file name", index_path.string(), tensor);
    auto& name = result[tensor] = file.get<std::string>();
    check_shard_name(name, index_path);
  }
  return result;
}

std::vector<std::string> distinct_files(const std::map<std::string, std::string>& weight_map) {
  std::vector<std::string> files;
  for (const auto& [tensor, file] : weight_map) files.push_back(file);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

/// The one *.safetensors file of a folder that has neither of the usual names.
fs::path only_safetensors_file(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".safetensors") found.push_back(entry.path());
  }
  if (error) throw_user("{}: cannot list: {}", folder.string(), error.message());
  if (found.size() != 1) {
    throw_user(
        "{}: expected {}, {} or exactly one *.safetensors file, found {} *.safetensors files",
        folder.string(), kSingleFile, kIndexFile, found.size());
  }
  return found.front();
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const fs::path& path) {
  SafetensorsFile result = load(path);
  result.index_ = index_by_name(result.tensors_);
  return result;
}

SafetensorsFile SafetensorsFile::load(const fs::path& path) {
  SafetensorsFile result;
  result.file_ = MappedFile::open(path);
  SafetensorsHeader header = parse_safetensors_header(result.file_->bytes(), path.string());
  result.metadata_ = std::move(header.metadata);
  result.tensors_.reserve(header.tensors.size());
  for (auto& tensor : header.tensors) {
    result.tensors_.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape),
                               result.file_, tensor.offset, tensor.bytes});
  }
  return result;
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  return find_in(tensors_, index_, name);
}

const TensorEntry& SafetensorsFile::at(std::string_view name) const {
  const TensorEntry* tensor = find(name);
  if (tensor == nullptr) throw_data("{}: no tensor \"{}\"", path().string(), name);
  return *tensor;
}

SafetensorsCheckpoint SafetensorsCheckpoint::open(const fs::path& path) {
  SafetensorsCheckpoint result;
  result.path_ = path;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw_user("{}: no such file or folder", path.string());
  const fs::path index_path = path / kIndexFile;
  if (!fs::is_directory(status)) {
    result.add_file(SafetensorsFile::load(path));
  } else if (fs::exists(path / kSingleFile, error)) {
    result.add_file(SafetensorsFile::load(path / kSingleFile));
  } else if (fs::exists(index_path, error)) {
    const auto weight_map = read_weight_map(index_path);
    for (const auto& file : distinct_files(weight_map)) {
      result.add_file(
          with_context(index_path.string(), [&] { return SafetensorsFile::load(path / file); }));
    }
    result.build_index();
    result.check_against_index(weight_map);
    return result;
  } else {
    result.add_file(SafetensorsFile::load(only_safetensors_file(path)));
  }
  result.build_index();
  return result;
}

void SafetensorsCheckpoint::add_file(SafetensorsFile file) {
  if (files_.empty()) metadata_ = std::move(file.metadata_);
  files_.push_back(std::move(file.file_));
  for (const TensorEntry& tensor : file.tensors_) total_bytes_ += tensor.bytes;
  if (tensors_.empty()) {
    tensors_ = std::move(file.tensors_);
  } else {
    std::move(file.tensors_.begin(), file.tensors_.end(), std::back_inserter(tensors_));
  }
}

void SafetensorsCheckpoint::build_index() { index_ = index_by_name(tensors_); }

void SafetensorsCheckpoint::check_against_index(
    const std::map<std::string, std::string>& weight_map) {
  const std::string index_path = (path_ / kIndexFile).string();
  for (const auto& [name, file] : weight_map) {
    const TensorEntry* tensor = find(name);
    if (tensor == nullptr || tensor->file->path() != path_ / file) {
      throw_data("{}: tensor \"{}\" is not in {}, where weight_map has it", index_path, name, file);
    }
  }
  for (const TensorEntry& tensor : tensors_) {
    if (!weight_map.contains(tensor.name)) {
      throw_data("{}: tensor \"{}\" is not in weight_map of {}", tensor.file->path().string(),
                 tensor.name, index_path);
    }
  }
}

const TensorEntry* SafetensorsCheckpoint::find(std::string_view name) const {
  return find_in(tensors_, index_, name);
}

const TensorEntry& SafetensorsCheckpoint::at(std::string_view name) const {
  const TensorEntry* tensor = find(name);
  if (tensor == nullptr) throw_data("{}: no tensor \"{}\"", path_.string(), name);
  return *tensor;
}

}  // namespace lathe::io
