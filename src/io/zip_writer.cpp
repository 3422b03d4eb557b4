#include "io/zip_writer.h"

#include <zlib.h>

#include <algorithm>

#include "base/error.h"

namespace lathe::io {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kIn64 = 0xffffffff;  // and above: in a zip64 field
constexpr uint16_t kFlags = 0x0808;     // checksum and sizes follow the data; names are UTF-8
constexpr uint32_t kDate = 0x00210000;  // 1980-01-01 00:00
constexpr uint16_t kVersion = 45;       // zip64
constexpr uint16_t kPaddingField = 0x4246;
constexpr size_t kMaxPiece = size_t{1} << 30;  // of zlib's 32-bit lengths

/// Little-endian records.
class Record {
 public:
  template <typename T>
  Record& put(T value) {
    for (size_t i = 0; i < sizeof(T); ++i)
      text_ += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
    return *this;
  }
  Record& put_text(std::string_view text) {
    text_ += text;
    return *this;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

uint32_t low32(uint64_t value) { return static_cast<uint32_t>(std::min(value, kIn64)); }
uint16_t low16(uint64_t value) { return static_cast<uint16_t>(std::min<uint64_t>(value, 0xffff)); }

}  // namespace

void ZipWriter::put(std::string_view record) {
  sink_(std::as_bytes(std::span(record)));
  offset_ += record.size();
}

/// PKWARE APPNOTE 4.3.7. The padding field makes the data begin at a multiple of 64.
std::string ZipWriter::local_header(const Entry& entry) const {
  constexpr uint64_t kFixed = 30, kWideField = 20, kFieldHeader = 4;
  const uint64_t before = entry.header_offset + kFixed + entry.name.size() +
                          (entry.wide ? kWideField : 0) + kFieldHeader;
  const uint64_t padding = (kAlignment - before % kAlignment) % kAlignment;
  const uint64_t extra = (entry.wide ? kWideField : 0) + kFieldHeader + padding;
  const uint32_t size = entry.wide ? static_cast<uint32_t>(kIn64) : 0;
  Record record;
  record.put<uint32_t>(0x04034b50).put(kVersion).put(kFlags).put<uint16_t>(0).put(kDate);
  record.put<uint32_t>(0).put(size).put(size);
  record.put(static_cast<uint16_t>(entry.name.size())).put(static_cast<uint16_t>(extra));
  record.put_text(entry.name);
  if (entry.wide) record.put<uint16_t>(1).put<uint16_t>(16).put<uint64_t>(0).put<uint64_t>(0);
  record.put(kPaddingField).put(static_cast<uint16_t>(padding));
  return record.put_text(std::string(padding, 'Z')).take();
}

void ZipWriter::begin(std::string_view name, std::optional<uint64_t> bytes) {
  check_internal(name.size() <= 0xffff, "a zip entry's name of {} bytes", name.size());
  end_entry();
  entries_.push_back({std::string(name), offset_, 0, 0, !bytes || *bytes >= kIn64});
  expected_ = bytes;
  open_ = true;
  put(local_header(entries_.back()));
}

void ZipWriter::write(std::span<const std::byte> bytes) {
  check_internal(open_, "bytes outside of a zip entry");
  Entry& entry = entries_.back();
  entry.bytes += bytes.size();
  offset_ += bytes.size();
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kMaxPiece));
    entry.crc = static_cast<uint32_t>(::crc32(
        entry.crc, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(piece.size())));
    sink_(piece);
    bytes = bytes.subspan(piece.size());
  }
}

void ZipWriter::add(std::string_view name, std::span<const std::byte> bytes) {
  begin(name, bytes.size());
  write(bytes);
}

void ZipWriter::add(std::string_view name, std::string_view text) {
  add(name, std::as_bytes(std::span(text)));
}

/// The data descriptor, PKWARE APPNOTE 4.3.9.
void ZipWriter::end_entry() {
  if (!open_) return;
  open_ = false;
  const Entry& entry = entries_.back();
  if (expected_ && *expected_ != entry.bytes) {
    throw_internal("zip entry {}: {} bytes were written, {} were planned", entry.name, entry.bytes,
                   *expected_);
  }
  Record record;
  record.put<uint32_t>(0x08074b50).put(entry.crc);
  if (entry.wide) {
    record.put(entry.bytes).put(entry.bytes);
  } else {
    record.put(low32(entry.bytes)).put(low32(entry.bytes));
  }
  put(record.take());
}

/// PKWARE APPNOTE 4.3.12, 4.3.14 to 4.3.16.
void ZipWriter::finish() {
  end_entry();
  const uint64_t directory = offset_;
  for (const Entry& entry : entries_) {
    Record wide;
    if (entry.bytes >= kIn64) wide.put(entry.bytes).put(entry.bytes);
    if (entry.header_offset >= kIn64) wide.put(entry.header_offset);
    const std::string values = wide.take();
    const size_t extra = values.empty() ? 0 : 4 + values.size();
    Record record;
    record.put<uint32_t>(0x02014b50).put(kVersion).put(kVersion).put(kFlags).put<uint16_t>(0);
    record.put(kDate).put(entry.crc).put(low32(entry.bytes)).put(low32(entry.bytes));
    record.put(static_cast<uint16_t>(entry.name.size())).put(static_cast<uint16_t>(extra));
    record.put<uint16_t>(0).put<uint16_t>(0).put<uint16_t>(0).put<uint32_t>(0);
    record.put(low32(entry.header_offset)).put_text(entry.name);
    if (!values.empty())
      record.put<uint16_t>(1).put(static_cast<uint16_t>(values.size())).put_text(values);
    put(record.take());
  }
  const uint64_t end = offset_;
  const uint64_t count = entries_.size();
  Record record;
  if (count >= 0xffff || end - directory >= kIn64 || directory >= kIn64) {
    record.put<uint32_t>(0x06064b50).put<uint64_t>(44).put(kVersion).put(kVersion);
    record.put<uint32_t>(0).put<uint32_t>(0).put(count).put(count).put(end - directory);
    record.put(directory);
    record.put<uint32_t>(0x07064b50).put<uint32_t>(0).put(end).put<uint32_t>(1);
  }
  record.put<uint32_t>(0x06054b50).put<uint16_t>(0).put<uint16_t>(0);
  record.put(low16(count)).put(low16(count)).put(low32(end - directory)).put(low32(directory));
  put(record.put<uint16_t>(0).take());
}

}  // namespace lathe::io
