#pragma once

#include <stdlib.h>

#include <filesystem>
#include <map>
#include <string>

#include "base/error.h"
#include "base/output_file.h"

namespace lathe::testing {

/// A new folder that is removed with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lathe-export-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw_internal("no scratch folder {}", name);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;  // a destructor must not throw; the folder is in /tmp
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The contents of all files of a folder, by name.
inline std::map<std::string, std::string> folder_contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    contents[entry.path().filename().string()] = read_file(entry.path());
  }
  return contents;
}

}  // namespace lathe::testing
