#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"

namespace lathe::formats {

inline std::string golden_path(const std::string& name) {
  return std::string(LATHE_SOURCE_DIR) + "/tests/unit/formats/golden/" + name;
}

inline std::string read_golden(const std::string& name) {
  std::ifstream file(golden_path(name), std::ios::binary);
  if (!file) throw_data("golden file {} is missing", golden_path(name));
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

/// A golden file as an array of T.
template <class T>
std::vector<T> read_golden_array(const std::string& name) {
  const std::string bytes = read_golden(name);
  std::vector<T> array(bytes.size() / sizeof(T));
  std::memcpy(array.data(), bytes.data(), array.size() * sizeof(T));
  return array;
}

/// The hexadecimal words of the line of elements.txt that starts with "element what".
inline std::vector<uint32_t> read_golden_element(const std::string& element,
                                                 const std::string& what) {
  std::istringstream lines(read_golden("elements.txt"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::string kind;
    words >> name >> kind;
    if (name != element || kind != what) continue;
    std::vector<uint32_t> values;
    for (std::string word; words >> word;) {
      values.push_back(static_cast<uint32_t>(std::stoul(word, nullptr, 16)));
    }
    return values;
  }
  throw_data("elements.txt has no {} of {}", what, element);
}

}  // namespace lathe::formats
