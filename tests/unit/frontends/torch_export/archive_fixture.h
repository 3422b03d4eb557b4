#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace lathe::frontends::torch_export {

/// The entries of an archive, to be changed and written again.
using Entries = std::map<std::string, std::string>;

/// Of an archive below tests/golden/torch_export ("v2_11/resnet").
Entries golden_entries(const std::string& name);

/// A zip archive of these entries, uncompressed.
std::string zip_bytes(const Entries& entries);

/// The entry whose name ends with `suffix`.
std::string& entry_ending(Entries& entries, const std::string& suffix);

/// Changes the JSON of such an entry.
void edit_json(Entries& entries, const std::string& suffix,
               const std::function<void(nlohmann::ordered_json&)>& edit);

/// The node of the program's JSON with this name.
nlohmann::ordered_json& node_named(nlohmann::ordered_json& program, const std::string& name);

/// A file with these bytes, removed with the object.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const std::string& bytes);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace lathe::frontends::torch_export
