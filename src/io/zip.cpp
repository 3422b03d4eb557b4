#include "io/zip.h"

#include <zip.h>

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/mapped_file.h"
#include "io/zip_directory.h"

namespace lathe::io {
namespace {

constexpr size_t kStreamPiece = size_t{1} << 20;
constexpr uint64_t kMaxDeflateRatio = 1032;  // of zlib: more is no deflate stream

struct ArchiveCloser {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct FileCloser {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using ArchiveHandle = std::unique_ptr<zip_t, ArchiveCloser>;
using FileHandle = std::unique_ptr<zip_file_t, FileCloser>;

std::string take_message(zip_error_t& error) {
  std::string message = zip_error_strerror(&error);
  zip_error_fini(&error);
  return message;
}

ArchiveHandle open_archive(std::span<const std::byte> bytes, const std::string& source_name) {
  if (bytes.empty())
    throw_data("{}: no valid zip archive: an empty file", source_name);  // libzip takes it for one
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  if (source == nullptr)
    throw_data("{}: cannot read zip archive: {}", source_name, take_message(error));
  ArchiveHandle archive(zip_open_from_source(source, ZIP_RDONLY, &error));
  if (!archive) {
    zip_source_free(source);
    throw_data("{}: no valid zip archive: {}", source_name, take_message(error));
  }
  zip_error_fini(&error);
  return archive;
}

ZipEntry describe(zip_t* archive, size_t index, size_t archive_bytes,
                  const std::string& source_name) {
  constexpr uint64_t kNeeded =
      ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat_index(archive, index, ZIP_FL_ENC_RAW, &stat) != 0 ||
      (stat.valid & kNeeded) != kNeeded) {
    throw_data("{}: damaged zip archive: entry {}", source_name, index);
  }
  const bool stored = stat.comp_method == ZIP_CM_STORE;
  if (stat.comp_size > archive_bytes || (stored && stat.size > stat.comp_size) ||
      stat.size / kMaxDeflateRatio > stat.comp_size) {
    throw_data("{}: entry \"{}\" claims {} bytes in {}", source_name, stat.name, stat.size,
               stat.comp_size);
  }
  return {.name = stat.name,
          .index = index,
          .bytes = stat.size,
          .compressed_bytes = stat.comp_size,
          .stored = stored && stat.encryption_method == ZIP_EM_NONE};
}

}  // namespace

struct ZipArchive::State {
  std::string source_name;
  std::shared_ptr<const MappedFile> file;
  std::span<const std::byte> bytes;
  ArchiveHandle handle;
  std::vector<ZipEntry> entries;
  std::unordered_map<std::string_view, size_t> index;
  mutable std::vector<ZipDirectoryEntry> directory;  // read when a slice is first asked for

  void list_entries() {
    const zip_int64_t count = zip_get_num_entries(handle.get(), 0);
    for (size_t i = 0; i < static_cast<size_t>(std::max<zip_int64_t>(count, 0)); ++i) {
      entries.push_back(describe(handle.get(), i, bytes.size(), source_name));
    }
    for (const ZipEntry& entry : entries) {
      if (!index.emplace(entry.name, entry.index).second) {
        throw_data("{}: entry \"{}\" is there twice", source_name, entry.name);
      }
    }
  }
};

ZipArchive::ZipArchive(std::unique_ptr<State> state) : state_(std::move(state)) {}
ZipArchive::~ZipArchive() = default;
ZipArchive::ZipArchive(ZipArchive&&) noexcept = default;
ZipArchive& ZipArchive::operator=(ZipArchive&&) noexcept = default;

ZipArchive ZipArchive::open(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  ZipArchive archive = from_bytes(file->bytes(), path.string());
  archive.state_->file = std::move(file);
  return archive;
}

ZipArchive ZipArchive::from_bytes(std::span<const std::byte> bytes, std::string source_name) {
  auto state = std::make_unique<State>();
  state->source_name = std::move(source_name);
  state->bytes = bytes;
  state->handle = open_archive(bytes, state->source_name);
  state->list_entries();
  return ZipArchive(std::move(state));
}

const std::string& ZipArchive::source_name() const { return state_->source_name; }
const std::vector<ZipEntry>& ZipArchive::entries() const { return state_->entries; }
std::shared_ptr<const void> ZipArchive::owner() const { return state_->file; }

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto place = state_->index.find(name);
  return place == state_->index.end() ? nullptr : &state_->entries[place->second];
}

void ZipArchive::stream(const ZipEntry& entry, size_t limit,
                        const std::function<void(std::span<const std::byte>)>& consume) const {
  const std::string where = fmt::format("{}: entry \"{}\"", state_->source_name, entry.name);
  if (entry.bytes > limit)
    throw_data("{} has {} bytes, above the limit of {}", where, entry.bytes, limit);
  const FileHandle file(zip_fopen_index(state_->handle.get(), entry.index, 0));
  if (!file) throw_data("{}: {}", where, zip_strerror(state_->handle.get()));
  std::vector<std::byte> piece(std::min<uint64_t>(kStreamPiece, entry.bytes + 1));
  uint64_t total = 0;
  while (true) {
    const zip_int64_t count = zip_fread(file.get(), piece.data(), piece.size());
    if (count < 0) throw_data("{}: {}", where, zip_file_strerror(file.get()));
    if (count == 0) break;
    total += static_cast<uint64_t>(count);
    if (total > entry.bytes) break;
    consume(std::span(piece).first(static_cast<size_t>(count)));
  }
  if (total != entry.bytes)
    throw_data("{}: its data are not the {} bytes that are claimed", where, entry.bytes);
}

std::vector<std::byte> ZipArchive::read(const ZipEntry& entry, size_t limit) const {
  std::vector<std::byte> bytes;
  bytes.reserve(std::min<uint64_t>(entry.bytes, limit));
  stream(entry, limit, [&](std::span<const std::byte> piece) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  });
  return bytes;
}

std::optional<std::span<const std::byte>> ZipArchive::stored_bytes(const ZipEntry& entry) const {
  if (!entry.stored) return std::nullopt;
  auto& directory = state_->directory;
  if (directory.empty()) directory = read_zip_directory(state_->bytes, state_->source_name);
  if (entry.index >= directory.size() || directory[entry.index].name != entry.name) {
    throw_data("{}: damaged zip archive: entry \"{}\" is not in the directory", state_->source_name,
               entry.name);
  }
  const size_t offset = zip_data_offset(state_->bytes, directory[entry.index], state_->source_name);
  if (entry.bytes > state_->bytes.size() - offset) {
    throw_data("{}: entry \"{}\" is beyond the end of the archive", state_->source_name,
               entry.name);
  }
  return state_->bytes.subspan(offset, entry.bytes);
}

}  // namespace lathe::io
