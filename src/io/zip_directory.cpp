#include "io/zip_directory.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "io/byte_reader.h"

namespace lathe::io {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryEntry = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kZip64End = 0x06064b50;
constexpr uint32_t kZip64Locator = 0x07064b50;
constexpr size_t kEndBytes = 22;
constexpr size_t kLocatorBytes = 20;
constexpr size_t kMaxComment = 0xffff;
constexpr size_t kMinEntryBytes = 46;
constexpr uint32_t kIn64 = 0xffffffff;  // the value is in the zip64 record

struct Directory {
  uint64_t count;
  uint64_t offset;
};

uint32_t u32_at(std::span<const std::byte> archive, size_t offset) {
  uint32_t value = 0;
  std::memcpy(&value, archive.data() + offset, sizeof value);
  return value;
}

ByteReader reader_at(std::span<const std::byte> archive, uint64_t offset,
                     std::string_view source_name) {
  if (offset > archive.size())
    throw_data("{}: a zip record at {} is beyond the end", source_name, offset);
  return {archive.subspan(offset), source_name};
}

void expect_signature(ByteReader& reader, uint32_t signature) {
  const auto found = reader.read<uint32_t>();
  if (found != signature) {
    throw_data("{}: damaged zip archive: record {:08x}, expected {:08x}", reader.source_name(),
               found, signature);
  }
}

/// The record at the archive's end, before a comment.
size_t find_end(std::span<const std::byte> archive, std::string_view source_name) {
  for (size_t back = kEndBytes; back <= std::min(archive.size(), kEndBytes + kMaxComment); ++back) {
    if (u32_at(archive, archive.size() - back) == kEnd) return archive.size() - back;
  }
  throw_data("{}: no zip archive: no end record", source_name);
}

Directory read_zip64_end(std::span<const std::byte> archive, size_t end,
                         std::string_view source_name) {
  ByteReader locator = reader_at(archive, end - kLocatorBytes, source_name);
  locator.take(8);  // signature, disk
  ByteReader record = reader_at(archive, locator.read<uint64_t>(), source_name);
  expect_signature(record, kZip64End);
  record.take(8 + 2 + 2 + 4 + 4 + 8);  // size, versions, disks, entries on this disk
  const auto count = record.read<uint64_t>();
  record.take(8);  // size of the directory
  return {count, record.read<uint64_t>()};
}

Directory read_end(std::span<const std::byte> archive, std::string_view source_name) {
  const size_t end = find_end(archive, source_name);
  if (end >= kLocatorBytes && u32_at(archive, end - kLocatorBytes) == kZip64Locator) {
    return read_zip64_end(archive, end, source_name);
  }
  ByteReader record = reader_at(archive, end, source_name);
  record.take(4 + 2 + 2 + 2);  // signature, disks, entries on this disk
  const auto count = record.read<uint16_t>();
  record.take(4);  // size of the directory
  return {count, record.read<uint32_t>()};
}

/// The local header's offset in the zip64 extra field, behind the sizes that are there too.
uint64_t read_zip64_offset(std::span<const std::byte> extra, size_t sizes_before,
                           std::string_view source_name) {
  ByteReader reader(extra, source_name);
  while (reader.remaining() >= 4) {
    const auto id = reader.read<uint16_t>();
    const auto field = reader.take(reader.read<uint16_t>());
    if (id != 1) continue;
    ByteReader values(field, source_name);
    values.take(8 * sizes_before);
    return values.read<uint64_t>();
  }
  throw_data("{}: damaged zip archive: no zip64 field", source_name);
}

ZipDirectoryEntry read_entry(ByteReader& reader) {
  expect_signature(reader, kDirectoryEntry);
  reader.take(2 + 2 + 2 + 2 + 2 + 2 + 4);  // versions, flags, method, time, date, CRC
  const size_t compressed_in_64 = reader.read<uint32_t>() == kIn64;
  const size_t size_in_64 = reader.read<uint32_t>() == kIn64;
  const auto name_bytes = reader.read<uint16_t>();
  const auto extra_bytes = reader.read<uint16_t>();
  const auto comment_bytes = reader.read<uint16_t>();
  reader.take(2 + 2 + 4);  // disk, attributes
  const auto offset = reader.read<uint32_t>();
  ZipDirectoryEntry entry{reader.read_text(name_bytes), offset};
  const auto extra = reader.take(extra_bytes);
  reader.take(comment_bytes);
  if (offset == kIn64) {
    entry.header_offset =
        read_zip64_offset(extra, compressed_in_64 + size_in_64, reader.source_name());
  }
  return entry;
}

}  // namespace

std::vector<ZipDirectoryEntry> read_zip_directory(std::span<const std::byte> archive,
                                                  std::string_view source_name) {
  const Directory directory = read_end(archive, source_name);
  ByteReader reader = reader_at(archive, directory.offset, source_name);
  if (directory.count > reader.remaining() / kMinEntryBytes) {
    throw_data("{}: damaged zip archive: {} entries claimed", source_name, directory.count);
  }
  std::vector<ZipDirectoryEntry> entries;
  entries.reserve(directory.count);
  for (uint64_t i = 0; i < directory.count; ++i) entries.push_back(read_entry(reader));
  return entries;
}

size_t zip_data_offset(std::span<const std::byte> archive, const ZipDirectoryEntry& entry,
                       std::string_view source_name) {
  ByteReader reader = reader_at(archive, entry.header_offset, source_name);
  expect_signature(reader, kLocalHeader);
  reader.take(2 + 2 + 2 + 2 + 2 + 4 + 4 + 4);  // version, flags, method, time, date, CRC, sizes
  const auto name_bytes = reader.read<uint16_t>();
  const auto extra_bytes = reader.read<uint16_t>();
  if (reader.read_text(name_bytes) != entry.name) {
    throw_data("{}: damaged zip archive: entry \"{}\" has another name in its header", source_name,
               entry.name);
  }
  reader.take(extra_bytes);
  return entry.header_offset + reader.position();
}

}  // namespace lathe::io
