#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

/// The files of data/, written by make_golden.py.
namespace lathe::tokenizer::golden {

inline std::filesystem::path data_path(const std::string& name) {
  return std::filesystem::path(LATHE_SOURCE_DIR) / "tests/unit/tokenizer/data" / name;
}

inline std::string read_gzip(const std::string& name) {
  const std::string path = data_path(name).string();
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error("cannot open " + path);
  std::string result;
  std::vector<char> buffer(1 << 16);
  int count = 0;
  while ((count = gzread(file, buffer.data(), static_cast<unsigned>(buffer.size()))) > 0) {
    result.append(buffer.data(), static_cast<size_t>(count));
  }
  gzclose(file);
  if (count < 0) throw std::runtime_error("cannot read " + path);
  return result;
}

inline uint32_t u32_at(const std::string& bytes, size_t offset) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

inline std::vector<std::string> read_corpus() {
  const std::string bytes = read_gzip("corpus.bin.gz");
  std::vector<std::string> texts;
  for (size_t offset = 0; offset < bytes.size();) {
    const size_t size = u32_at(bytes, offset);
    texts.push_back(bytes.substr(offset + 4, size));
    offset += 4 + size;
  }
  return texts;
}

/// digest() of make_golden.py.
inline uint32_t digest(const Tokenizer& tokenizer, const std::string& text) {
  std::string data;
  const auto append_ids = [&](const std::vector<int64_t>& ids) {
    data.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int64_t));
  };
  append_ids(tokenizer.encode(text, false));
  const auto ids = tokenizer.encode(text, true);
  data += '|';
  append_ids(ids);
  for (bool skip : {false, true}) data += "|" + tokenizer.decode(ids, skip);
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size())));
}

}  // namespace lathe::tokenizer::golden
