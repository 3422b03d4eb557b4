#include "archive_fixture.h"

#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "io/zip.h"

namespace lathe::frontends::torch_export {
namespace {

/// CRC-32 as zip has it (IEEE 802.3, reflected).
uint32_t crc32(const std::string& data) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : data) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

std::string little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i & 0xFF);
  return text;
}

/// What the local and the central header of an entry have in common.
std::string entry_fields(const std::string& name, const std::string& data) {
  return little(20, 2) + little(0, 2) + little(0, 2) + little(0, 4) + little(crc32(data), 4) +
         little(data.size(), 4) + little(data.size(), 4) + little(name.size(), 2) + little(0, 2);
}

}  // namespace

Entries golden_entries(const std::string& name) {
  const auto path = std::filesystem::path(LATHE_GOLDEN_DIR) / "torch_export" / (name + ".pt2");
  const io::ZipArchive archive = io::ZipArchive::open(path);
  Entries entries;
  for (const io::ZipEntry& entry : archive.entries()) {
    const auto bytes = archive.read(entry, size_t{1} << 24);
    entries[entry.name].assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return entries;
}

std::string zip_bytes(const Entries& entries) {
  std::string file;
  std::string directory;
  for (const auto& [name, data] : entries) {
    directory += "PK\x01\x02" + little(20, 2) + entry_fields(name, data) + little(0, 2) +
                 little(0, 2) + little(0, 2) + little(0, 4) + little(file.size(), 4) + name;
    file += "PK\x03\x04" + entry_fields(name, data) + name + data;
  }
  const std::string end = "PK\x05\x06" + little(0, 4) + little(entries.size(), 2) +
                          little(entries.size(), 2) + little(directory.size(), 4) +
                          little(file.size(), 4) + little(0, 2);
  return file + directory + end;
}

std::string& entry_ending(Entries& entries, const std::string& suffix) {
  for (auto& [name, data] : entries) {
    if (name.ends_with(suffix)) return data;
  }
  throw std::logic_error("no entry ends with " + suffix);
}

void edit_json(Entries& entries, const std::string& suffix,
               const std::function<void(nlohmann::ordered_json&)>& edit) {
  std::string& text = entry_ending(entries, suffix);
  auto json = nlohmann::ordered_json::parse(text);
  edit(json);
  text = json.dump();
}

nlohmann::ordered_json& node_named(nlohmann::ordered_json& program, const std::string& name) {
  for (nlohmann::ordered_json& node : program["graph_module"]["graph"]["nodes"]) {
    for (const auto& output : node["outputs"]) {
      if (output.contains("as_tensor") && output["as_tensor"]["name"] == name) return node;
    }
  }
  throw std::logic_error("no node computes " + name);
}

TemporaryFile::TemporaryFile(const std::string& name, const std::string& bytes)
    : path_(std::filesystem::temp_directory_path() /
            ("lathe_pt2_" + std::to_string(getpid()) + "_" + name)) {
  std::ofstream(path_, std::ios::binary) << bytes;
}

TemporaryFile::~TemporaryFile() { std::filesystem::remove(path_); }

}  // namespace lathe::frontends::torch_export
