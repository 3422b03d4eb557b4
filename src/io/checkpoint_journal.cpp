#include "io/checkpoint_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/output_file.h"
#include "io/json.h"

namespace lathe::io {
namespace {

namespace fs = std::filesystem;

std::string header_line(uint64_t layout_hash) {
  return fmt::format("{{\"lathe_journal\":1,\"layout\":\"{:016x}\"}}\n", layout_hash);
}

std::string unit_line(const JournalUnit& unit) {
  const nlohmann::json line = {{"unit", unit.name}, {"tensors", unit.checksums}};
  return dump_json(line, -1) + "\n";
}

JournalUnit parse_unit(std::string_view line, const std::string& source_name) {
  const nlohmann::json json = parse_json(line, source_name);
  JournalUnit unit;
  if (!json.is_object() || !json.contains("unit") || !json["unit"].is_string() ||
      !json.contains("tensors") || !json["tensors"].is_object()) {
    throw_data("{}: no record of a unit", source_name);
  }
  unit.name = json["unit"].get<std::string>();
  for (const auto& [tensor, checksum] : json["tensors"].items()) {
    if (!checksum.is_number_unsigned() ||
        checksum.get<uint64_t>() > std::numeric_limits<uint32_t>::max()) {
      throw_data("{}: no checksum of \"{}\"", source_name, tensor);
    }
    unit.checksums[tensor] = checksum.get<uint32_t>();
  }
  return unit;
}

}  // namespace

fs::path CheckpointJournal::path_in(const fs::path& folder) {
  return folder / "lathe-export.journal";
}

std::vector<JournalUnit> CheckpointJournal::read(const fs::path& folder, uint64_t layout_hash) {
  const std::string source_name = path_in(folder).string();
  const std::string text = read_file(path_in(folder));
  const std::string header = header_line(layout_hash);
  if (!text.starts_with(header)) {
    throw_user(
        "{}: the interrupted run had other tensors, options or shards; it cannot be resumed with "
        "these",
        source_name);
  }
  std::vector<JournalUnit> units;
  std::string_view rest = std::string_view(text).substr(header.size());
  for (size_t end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    try {
      units.push_back(parse_unit(line, source_name));
    } catch (const DataError&) {
      if (!rest.empty()) throw;  // the last line: torn, so its unit is not finished
    }
  }
  return units;
}

CheckpointJournal::CheckpointJournal(const fs::path& folder, uint64_t layout_hash,
                                     const std::vector<JournalUnit>& units)
    : path_(path_in(folder)) {
  std::string text = header_line(layout_hash);
  for (const JournalUnit& unit : units) text += unit_line(unit);
  write_file(path_, text);
  sync_folder(folder);
  fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd_ < 0) throw_user("{}: cannot open: {}", path_.string(), std::strerror(errno));
}

CheckpointJournal::~CheckpointJournal() {
  if (fd_ >= 0) ::close(fd_);
}

void CheckpointJournal::append(const JournalUnit& unit) {
  const std::string line = unit_line(unit);
  write_all(fd_, std::as_bytes(std::span(line)), path_);
  if (::fdatasync(fd_) != 0)
    throw_user("{}: cannot sync: {}", path_.string(), std::strerror(errno));
}

void CheckpointJournal::remove() {
  std::error_code error;
  if (!fs::remove(path_, error))
    throw_user("{}: cannot remove: {}", path_.string(), error.message());
}

}  // namespace lathe::io
