#include "io/checkpoint_writer.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/output_file.h"
#include "base/parallel.h"
#include "io/checkpoint_journal.h"
#include "io/crc32c.h"
#include "io/shard_file.h"

namespace lathe::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexFile = "model.safetensors.index.json";
constexpr size_t kWritePiece = size_t{8} << 20;
constexpr size_t kReadPiece = size_t{16} << 20;

/// True for model.safetensors, model-00001-of-00002.safetensors, their .partial forms and the
/// index.
bool is_checkpoint_file(std::string name) {
  if (name == kIndexFile) return true;
  if (name.ends_with(".partial")) name.resize(name.size() - 8);
  for (char& c : name) {
    if (c >= '0' && c <= '9') c = '0';
  }
  return name == "model.safetensors" || name == "model-00000-of-00000.safetensors";
}

std::vector<fs::path> checkpoint_files(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (is_checkpoint_file(entry.path().filename().string())) found.push_back(entry.path());
  }
  if (error) throw_user("{}: cannot list: {}", folder.string(), error.message());
  return found;
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) throw_user("{}: cannot remove: {}", path.string(), error.message());
}

void create_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder, error)) {
    throw_user("{}: cannot create the folder: {}", folder.string(),
               error ? error.message() : "a file has this name");
  }
}

/// Makes room for a new checkpoint. Leftovers of a run that died before it had a journal are no
/// checkpoint.
void clear_folder(const fs::path& folder, ExistingCheckpoint existing) {
  const fs::path journal = CheckpointJournal::path_in(folder);
  if (existing == ExistingCheckpoint::kRefuse && fs::exists(journal)) {
    throw_user("{}: holds an unfinished checkpoint: resume or replace it", folder.string());
  }
  for (const fs::path& file : checkpoint_files(folder)) {
    if (existing == ExistingCheckpoint::kRefuse && file.extension() != ".partial") {
      throw_user("{}: holds a checkpoint already ({})", folder.string(), file.filename().string());
    }
    remove_file(file);
  }
  remove_file(journal);
}

/// Begin to end of what write() was called with; merged where they meet.
using Pieces = std::map<size_t, size_t>;

/// How much of a tensor is written. Guarded by State::mutex. There may be a million of these.
struct TensorProgress {
  size_t written = 0;
  uint32_t checksum = 0;  // the sum of contributions; of a tensor of an earlier run the value
  bool earlier = false;   // an earlier run wrote it
  bool in_unit = false;
};

/// Adds [begin, end) to the pieces; false if a part of it is there already.
bool claim(Pieces& pieces, size_t begin, size_t end) {
  auto next = pieces.lower_bound(begin);
  if (next != pieces.end() && next->first < end) return false;
  if (next != pieces.begin()) {
    const auto before = std::prev(next);
    if (before->second > begin) return false;
    if (before->second == begin) {
      begin = before->first;
      pieces.erase(before);
    }
  }
  if (next != pieces.end() && next->first == end) {
    end = next->second;
    pieces.erase(next);
  }
  pieces.emplace(begin, end);
  return true;
}

/// A piece of a tensor, for reading tensors back in parallel.
struct ReadPiece {
  size_t tensor;
  size_t offset;
  size_t bytes;
};

}  // namespace

struct CheckpointWriter::State {
  State(fs::path folder, std::shared_ptr<const CheckpointLayout> planned);

  size_t find(std::string_view name) const;
  bool complete(size_t tensor) const {
    return progress[tensor].written == layout.tensors[tensor].bytes;
  }
  fs::path shard_path(size_t shard) const { return folder / layout.shards[shard].file_name; }

  void for_each_header_piece(
      const PlannedShard& shard,
      const std::function<void(size_t, std::span<const std::byte>)>& take) const;
  void create_shards();
  void reopen_shards();
  std::vector<uint32_t> read_checksums(const std::vector<size_t>& tensors) const;
  std::vector<JournalUnit> intact_units(std::vector<JournalUnit> units) const;
  void mark_written(size_t tensor, uint32_t checksum);
  uint32_t checksum(size_t tensor) const;
  void claim_piece(size_t tensor, size_t offset, size_t bytes);
  void write(size_t tensor, size_t offset, std::span<const std::byte> bytes);

  fs::path folder;
  std::shared_ptr<const CheckpointLayout> shared_layout;
  const CheckpointLayout& layout = *shared_layout;
  std::vector<ShardFile> shards;
  std::optional<CheckpointJournal> journal;
  bool finished = false;

  mutable std::mutex mutex;
  std::vector<TensorProgress> progress;
  std::unordered_map<size_t, Pieces> partial;  // of tensors that are written in part
  std::vector<std::string> units;
  std::unordered_set<std::string> unit_names;
};

CheckpointWriter::State::State(fs::path folder_path,
                               std::shared_ptr<const CheckpointLayout> planned)
    : folder(std::move(folder_path)), shared_layout(std::move(planned)) {
  progress.resize(layout.tensors.size());
}

size_t CheckpointWriter::State::find(std::string_view name) const {
  const PlannedTensor* tensor = layout.find(name);
  check_internal(tensor != nullptr, "{}: tensor \"{}\" is not planned", folder.string(), name);
  return static_cast<size_t>(tensor - layout.tensors.data());
}

void CheckpointWriter::State::for_each_header_piece(
    const PlannedShard& shard,
    const std::function<void(size_t, std::span<const std::byte>)>& take) const {
  size_t offset = 0;
  layout.make_header(shard, [&](std::string_view piece) {
    take(offset, std::as_bytes(std::span(piece)));
    offset += piece.size();
  });
}

void CheckpointWriter::State::create_shards() {
  size_t needed = 0;
  for (const PlannedShard& shard : layout.shards) needed += shard.file_bytes;
  check_disk_space(folder, needed);
  try {
    for (size_t i = 0; i < layout.shards.size(); ++i) {
      const PlannedShard& shard = layout.shards[i];
      const ShardFile& file =
          shards.emplace_back(ShardFile::create(shard_path(i), shard.file_bytes));
      for_each_header_piece(shard,
                            [&](size_t offset, const auto& bytes) { file.write(offset, bytes); });
    }
  } catch (const Error&) {
    for (size_t i = 0; i < layout.shards.size(); ++i)
      remove_file(ShardFile::partial_path(shard_path(i)));
    throw;
  }
}

void CheckpointWriter::State::reopen_shards() {
  for (size_t i = 0; i < layout.shards.size(); ++i) {
    const PlannedShard& shard = layout.shards[i];
    const ShardFile& file = shards.emplace_back(ShardFile::reopen(shard_path(i), shard.file_bytes));
    for_each_header_piece(shard,
                          [&](size_t offset, const auto& bytes) { file.expect(offset, bytes); });
  }
}

/// Reads tensors from the files; one checksum for each.
std::vector<uint32_t> CheckpointWriter::State::read_checksums(
    const std::vector<size_t>& tensors) const {
  std::vector<ReadPiece> pieces;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const size_t bytes = layout.tensors[tensors[i]].bytes;
    for (size_t offset = 0; offset < bytes; offset += kReadPiece) {
      pieces.push_back({i, offset, std::min(kReadPiece, bytes - offset)});
    }
  }
  std::vector<std::shared_ptr<const MappedFile>> files;
  for (const ShardFile& shard : shards) files.push_back(MappedFile::open(shard.current_path()));

  std::vector<std::atomic<uint32_t>> sums(tensors.size());
  parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    size_t resident = 0;  // bytes read since pages were released
    for (int64_t i = begin; i < end; ++i) {
      const ReadPiece& piece = pieces[static_cast<size_t>(i)];
      const PlannedTensor& tensor = layout.tensors[tensors[piece.tensor]];
      const MappedFile& file = *files[tensor.shard];
      const size_t offset = tensor.offset + piece.offset;
      const auto bytes = file.bytes().subspan(offset, piece.bytes);
      sums[piece.tensor] ^= PiecewiseCrc32c(tensor.bytes).contribution(piece.offset, bytes);
      resident += piece.bytes;
      if (resident < kReadPiece) continue;
      file.release(0, file.size());
      resident = 0;
    }
  });
  std::vector<uint32_t> result;
  for (size_t i = 0; i < tensors.size(); ++i) {
    PiecewiseCrc32c crc(layout.tensors[tensors[i]].bytes);
    crc.add(sums[i]);
    result.push_back(crc.value());
  }
  return result;
}

/// Those whose tensors' bytes in the files are what the journal says.
std::vector<JournalUnit> CheckpointWriter::State::intact_units(
    std::vector<JournalUnit> recorded) const {
  std::vector<size_t> tensors;
  for (const JournalUnit& unit : recorded) {
    for (const auto& [name, checksum] : unit.checksums) {
      if (layout.find(name) == nullptr)
        throw_data("{}: unknown tensor \"{}\"", CheckpointJournal::path_in(folder).string(), name);
      tensors.push_back(find(name));
    }
  }
  const std::vector<uint32_t> found = read_checksums(tensors);
  auto next = found.begin();
  std::erase_if(recorded, [&](const JournalUnit& unit) {
    bool intact = true;
    for (const auto& [name, checksum] : unit.checksums) intact &= *next++ == checksum;
    return !intact;
  });
  return recorded;
}

void CheckpointWriter::State::mark_written(size_t tensor, uint32_t checksum) {
  const size_t bytes = layout.tensors[tensor].bytes;
  if (progress[tensor].in_unit) {
    throw_data("{}: tensor \"{}\" is in two units", CheckpointJournal::path_in(folder).string(),
               layout.tensors[tensor].name);
  }
  progress[tensor] = {.written = bytes, .checksum = checksum, .earlier = true, .in_unit = true};
}

uint32_t CheckpointWriter::State::checksum(size_t tensor) const {
  if (progress[tensor].earlier) return progress[tensor].checksum;
  PiecewiseCrc32c crc(layout.tensors[tensor].bytes);
  crc.add(progress[tensor].checksum);
  return crc.value();
}

/// Each byte is written once.
void CheckpointWriter::State::claim_piece(size_t tensor, size_t offset, size_t bytes) {
  const std::lock_guard lock(mutex);
  const bool free = progress[tensor].written < layout.tensors[tensor].bytes &&
                    claim(partial[tensor], offset, offset + bytes);
  check_internal(free, "tensor \"{}\": {} bytes at {} are written twice",
                 layout.tensors[tensor].name, bytes, offset);
}

CheckpointWriter::CheckpointWriter(fs::path folder, std::shared_ptr<const CheckpointLayout> layout,
                                   ExistingCheckpoint existing)
    : state_(std::make_unique<State>(std::move(folder), std::move(layout))) {
  create_folder(state_->folder);
  clear_folder(state_->folder, existing);
  state_->create_shards();
  state_->journal.emplace(state_->folder, state_->layout.hash(), std::vector<JournalUnit>{});
}

CheckpointWriter::CheckpointWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
CheckpointWriter::~CheckpointWriter() = default;
CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;
CheckpointWriter& CheckpointWriter::operator=(CheckpointWriter&&) noexcept = default;

bool CheckpointWriter::can_resume(const fs::path& folder) {
  std::error_code error;
  return fs::exists(CheckpointJournal::path_in(folder), error);
}

CheckpointWriter CheckpointWriter::resume(fs::path folder,
                                          std::shared_ptr<const CheckpointLayout> layout) {
  if (!can_resume(folder)) return CheckpointWriter(std::move(folder), std::move(layout));
  auto state = std::make_unique<State>(std::move(folder), std::move(layout));
  const uint64_t hash = state->layout.hash();
  std::vector<JournalUnit> recorded = CheckpointJournal::read(state->folder, hash);
  state->reopen_shards();
  const std::vector<JournalUnit> intact = state->intact_units(std::move(recorded));
  for (const JournalUnit& unit : intact) {
    for (const auto& [name, checksum] : unit.checksums)
      state->mark_written(state->find(name), checksum);
    state->units.push_back(unit.name);
    state->unit_names.insert(unit.name);
  }
  state->journal.emplace(state->folder, hash, intact);
  return CheckpointWriter(std::move(state));
}

const CheckpointLayout& CheckpointWriter::layout() const { return state_->layout; }

void CheckpointWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  const size_t tensor = state_->find(name);
  const size_t planned = state_->layout.tensors[tensor].bytes;
  check_internal(bytes.size() == planned, "{}: tensor \"{}\" has {} bytes, {} are planned",
                 state_->folder.string(), name, bytes.size(), planned);
  state_->write(tensor, 0, bytes);
}

void CheckpointWriter::write(std::string_view name, size_t offset,
                             std::span<const std::byte> bytes) {
  state_->write(state_->find(name), offset, bytes);
}

void CheckpointWriter::State::write(size_t number, size_t offset,
                                    std::span<const std::byte> bytes) {
  const PlannedTensor& tensor = layout.tensors[number];
  check_internal(!finished, "tensor \"{}\" is written after the checkpoint was finished",
                 tensor.name);
  check_internal(offset <= tensor.bytes && bytes.size() <= tensor.bytes - offset,
                 "tensor \"{}\": {} bytes at {} do not fit its {}", tensor.name, bytes.size(),
                 offset, tensor.bytes);
  if (bytes.empty()) return;
  claim_piece(number, offset, bytes.size());
  const PiecewiseCrc32c crc(tensor.bytes);
  uint32_t contributions = 0;
  for (size_t done = 0; done < bytes.size(); done += kWritePiece) {
    const auto piece = bytes.subspan(done, std::min(kWritePiece, bytes.size() - done));
    contributions ^= crc.contribution(offset + done, piece);
    shards[tensor.shard].write(tensor.offset + offset + done, piece);
  }
  const std::lock_guard lock(mutex);
  progress[number].checksum ^= contributions;
  progress[number].written += bytes.size();
  if (complete(number)) partial.erase(number);
}

void CheckpointWriter::finish_unit(const std::string& unit,
                                   const std::vector<std::string_view>& tensor_names) {
  check_internal(!unit_finished(unit), "unit \"{}\" is finished twice", unit);
  JournalUnit record{.name = unit, .checksums = {}};
  std::set<size_t> touched;
  {
    const std::lock_guard lock(state_->mutex);
    for (const std::string_view name : tensor_names) {
      const size_t tensor = state_->find(name);
      TensorProgress& progress = state_->progress[tensor];
      check_internal(state_->complete(tensor), "unit \"{}\" is finished before its tensor \"{}\"",
                     unit, name);
      check_internal(!std::exchange(progress.in_unit, true), "tensor \"{}\" is in two units", name);
      record.checksums.emplace(name, state_->checksum(tensor));
      touched.insert(state_->layout.tensors[tensor].shard);
    }
  }
  for (const size_t shard : touched) state_->shards[shard].sync();
  const std::lock_guard lock(state_->mutex);
  state_->journal->append(record);
  state_->units.push_back(unit);
  state_->unit_names.insert(unit);
}

const std::vector<std::string>& CheckpointWriter::finished_units() const { return state_->units; }

bool CheckpointWriter::unit_finished(std::string_view unit) const {
  const std::lock_guard lock(state_->mutex);
  return state_->unit_names.contains(std::string(unit));
}

bool CheckpointWriter::tensor_written(std::string_view name) const {
  const size_t tensor = state_->find(name);
  const std::lock_guard lock(state_->mutex);
  return state_->complete(tensor);
}

void CheckpointWriter::finish() {
  check_internal(!state_->finished, "{}: finished twice", state_->folder.string());
  for (size_t i = 0; i < state_->layout.tensors.size(); ++i) {
    check_internal(state_->complete(i), "{}: tensor \"{}\" is not written ({} of {} bytes)",
                   state_->folder.string(), state_->layout.tensors[i].name,
                   state_->progress[i].written, state_->layout.tensors[i].bytes);
  }
  for (ShardFile& shard : state_->shards) shard.finish();
  const std::string index = state_->layout.index_json();
  if (!index.empty()) write_file(state_->folder / kIndexFile, index);
  sync_folder(state_->folder);
  state_->journal->remove();
  state_->finished = true;
}

void CheckpointWriter::verify() const {
  std::vector<size_t> written;
  for (size_t i = 0; i < state_->layout.tensors.size(); ++i) {
    if (state_->complete(i)) written.push_back(i);
  }
  const std::vector<uint32_t> found = state_->read_checksums(written);
  for (size_t i = 0; i < written.size(); ++i) {
    const PlannedTensor& tensor = state_->layout.tensors[written[i]];
    const uint32_t expected = state_->checksum(written[i]);
    if (found[i] == expected) continue;
    throw_data(
        "{}: tensor \"{}\" was not written as it should be: checksum {:08x}, expected {:08x}",
        state_->shards[tensor.shard].current_path().string(), tensor.name, found[i], expected);
  }
}

}  // namespace lathe::io
