#include "io/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"
#include "io/byte_reader.h"

namespace lathe::io {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr int kMaxArrayDepth = 4;
constexpr uint32_t kMaxDimensions = 4;  // ggml has no more
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;
constexpr size_t kMinKeyValueBytes = 8 + 4 + 1;
constexpr size_t kMinTensorInfoBytes = 8 + 4 + 4 + 8;

using Values = std::map<std::string, GgufValue, std::less<>>;

/// GGUF's numbers of metadata types.
enum class ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

std::string read_string(ByteReader& reader) {
  const auto length = reader.read<uint64_t>();
  return std::string(reader.read_text(length));
}

bool read_bool(ByteReader& reader) {
  const auto value = reader.read<uint8_t>();
  if (value > 1)
    throw_data("{}: a boolean is {} at offset {}", reader.source_name(), value,
               reader.position() - 1);
  return value == 1;
}

/// Calls visit.template operator()<T>() with the C++ type of a scalar metadata type, GgufArray for
/// arrays.
template <typename Visit>
auto with_type(uint32_t type, const ByteReader& reader, const Visit& visit) {
  switch (static_cast<ValueType>(type)) {
    case ValueType::kU8:
      return visit.template operator()<uint8_t>();
    case ValueType::kI8:
      return visit.template operator()<int8_t>();
    case ValueType::kU16:
      return visit.template operator()<uint16_t>();
    case ValueType::kI16:
      return visit.template operator()<int16_t>();
    case ValueType::kU32:
      return visit.template operator()<uint32_t>();
    case ValueType::kI32:
      return visit.template operator()<int32_t>();
    case ValueType::kF32:
      return visit.template operator()<float>();
    case ValueType::kBool:
      return visit.template operator()<bool>();
    case ValueType::kString:
      return visit.template operator()<std::string>();
    case ValueType::kArray:
      return visit.template operator()<GgufArray>();
    case ValueType::kU64:
      return visit.template operator()<uint64_t>();
    case ValueType::kI64:
      return visit.template operator()<int64_t>();
    case ValueType::kF64:
      return visit.template operator()<double>();
  }
  throw_data("{}: unknown metadata type {} at offset {}", reader.source_name(), type,
             reader.position() - 4);
}

template <typename T>
constexpr size_t kMinBytes = sizeof(T);
template <>
constexpr size_t kMinBytes<std::string> = 8;
template <>
constexpr size_t kMinBytes<GgufArray> = 4 + 8;

GgufArray read_array(ByteReader& reader, int depth);

template <typename T>
T read_value(ByteReader& reader, int depth) {
  if constexpr (std::is_same_v<T, bool>) {
    return read_bool(reader);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return read_string(reader);
  } else if constexpr (std::is_same_v<T, GgufArray>) {
    return read_array(reader, depth + 1);
  } else {
    return reader.read<T>();
  }
}

GgufArray read_array(ByteReader& reader, int depth) {
  if (depth > kMaxArrayDepth) {
    throw_data("{}: arrays nested more than {} deep at offset {}", reader.source_name(),
               kMaxArrayDepth, reader.position());
  }
  const auto type = reader.read<uint32_t>();
  const auto count = reader.read<uint64_t>();
  return with_type(type, reader, [&]<typename T>() {
    if (count > reader.remaining() / kMinBytes<T>) {
      throw_data("{}: an array claims {} elements at offset {}, {} bytes are left",
                 reader.source_name(), count, reader.position(), reader.remaining());
    }
    std::vector<T> values;
    values.reserve(count);
    for (uint64_t i = 0; i < count; ++i) values.push_back(read_value<T>(reader, depth));
    return GgufArray{std::move(values)};
  });
}

Values read_metadata(ByteReader& reader, uint64_t count) {
  Values values;
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = read_string(reader);
    const auto type = reader.read<uint32_t>();
    GgufValue value = with_context("metadata key \"" + key + "\"", [&] {
      return with_type(type, reader,
                       [&]<typename T>() { return GgufValue(read_value<T>(reader, 0)); });
    });
    const auto [place, inserted] = values.emplace(std::move(key), std::move(value));
    if (!inserted)
      throw_data("{}: metadata key \"{}\" is given twice", reader.source_name(), place->first);
  }
  return values;
}

/// A tensor's description as the file has it: its offset counts from the start of the data.
GgufTensorInfo read_tensor_info(ByteReader& reader) {
  GgufTensorInfo tensor;
  tensor.name = read_string(reader);
  const std::string where = fmt::format("{}: tensor \"{}\"", reader.source_name(), tensor.name);
  const auto dimensions = reader.read<uint32_t>();
  if (dimensions > kMaxDimensions)
    throw_data("{}: {} dimensions, at most {} expected", where, dimensions, kMaxDimensions);
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto size = reader.read<uint64_t>();
    if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      throw_data("{}: a size of {}", where, size);
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
  }
  const auto type = reader.read<uint32_t>();
  const auto info = ggml_type_info(type);
  if (!info) throw_data("{}: type {} ({}) is not supported", where, ggml_type_name(type), type);
  tensor.type = info->type;
  tensor.offset = reader.read<uint64_t>();
  const auto numel = checked_numel(tensor.shape);
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (!numel || row % info->block_elements != 0) {
    throw_data("{}: shape [{}] does not fit type {}, which has blocks of {} elements", where,
               fmt::join(tensor.shape, ", "), info->name, info->block_elements);
  }
  const auto bytes = checked_mul<uint64_t>(static_cast<uint64_t>(*numel / info->block_elements),
                                           info->block_bytes);
  if (!bytes) throw_data("{}: shape [{}] is too large", where, fmt::join(tensor.shape, ", "));
  tensor.bytes = *bytes;
  return tensor;
}

std::vector<GgufTensorInfo> read_tensor_infos(ByteReader& reader, uint64_t count) {
  std::vector<GgufTensorInfo> tensors;
  tensors.reserve(count);
  for (uint64_t i = 0; i < count; ++i) tensors.push_back(read_tensor_info(reader));
  return tensors;
}

void check_count(const ByteReader& reader, std::string_view what, uint64_t count,
                 size_t min_bytes) {
  if (count > reader.remaining() / min_bytes) {
    throw_data("{}: claims {} {}, but has only {} bytes", reader.source_name(), count, what,
               reader.remaining());
  }
}

uint64_t read_alignment(const GgufMetadata& metadata, std::string_view source_name) {
  const uint64_t alignment = metadata.find_u64("general.alignment").value_or(kDefaultAlignment);
  if (!std::has_single_bit(alignment) || alignment > kMaxAlignment) {
    throw_data("{}: general.alignment is {}, expected a power of two", source_name, alignment);
  }
  return alignment;
}

/// Makes offsets count from the start of the file; the tensors must be aligned, lie in it and not
/// overlap.
void place_tensors(std::vector<GgufTensorInfo>& tensors, size_t infos_end, size_t alignment,
                   size_t file_size, std::string_view source_name) {
  const size_t data_begin = (infos_end + alignment - 1) / alignment * alignment;
  for (GgufTensorInfo& tensor : tensors) {
    const auto begin = checked_add(tensor.offset, data_begin);
    const auto end = begin ? checked_add(*begin, tensor.bytes) : std::nullopt;
    if (!end || *end > file_size) {
      throw_data(
          "{}: tensor \"{}\": {} bytes at {} of the data are beyond the end of the file (truncated "
          "file?)",
          source_name, tensor.name, tensor.bytes, tensor.offset);
    }
    if (tensor.offset % alignment != 0) {
      throw_data("{}: tensor \"{}\": offset {} is not aligned to {}", source_name, tensor.name,
                 tensor.offset, alignment);
    }
    tensor.offset = *begin;
  }
  std::vector<const GgufTensorInfo*> by_offset;
  for (const GgufTensorInfo& tensor : tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) {
    return std::pair(a->offset, a->bytes) < std::pair(b->offset, b->bytes);
  });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    if (by_offset[i - 1]->offset + by_offset[i - 1]->bytes > by_offset[i]->offset) {
      throw_data("{}: tensors \"{}\" and \"{}\" overlap", source_name, by_offset[i - 1]->name,
                 by_offset[i]->name);
    }
  }
}

void check_names(const std::vector<GgufTensorInfo>& tensors, std::string_view source_name) {
  std::vector<std::string_view> names;
  for (const GgufTensorInfo& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) throw_data("{}: tensor \"{}\" is given twice", source_name, *twice);
}

uint32_t read_version(ByteReader& reader) {
  const std::string_view source = reader.source_name();
  if (reader.remaining() < 8 || reader.read<uint32_t>() != kMagic)
    throw_data("{}: no GGUF file", source);
  const auto version = reader.read<uint32_t>();
  if (version != 0 && (version & 0xffffu) == 0)
    throw_data("{}: a big-endian GGUF file, which is not supported", source);
  if (version != 2 && version != 3)
    throw_data("{}: GGUF version {}, expected 2 or 3", source, version);
  return version;
}

}  // namespace

GgufHeader parse_gguf(std::span<const std::byte> file, std::string_view source_name) {
  ByteReader reader(file, source_name);
  const uint32_t version = read_version(reader);
  const auto tensor_count = reader.read<uint64_t>();
  const auto value_count = reader.read<uint64_t>();
  check_count(reader, "metadata values", value_count, kMinKeyValueBytes);
  GgufMetadata metadata(std::string(source_name), read_metadata(reader, value_count));
  const uint64_t alignment = read_alignment(metadata, source_name);
  check_count(reader, "tensors", tensor_count, kMinTensorInfoBytes);
  std::vector<GgufTensorInfo> tensors = read_tensor_infos(reader, tensor_count);
  check_names(tensors, source_name);
  place_tensors(tensors, reader.position(), alignment, file.size(), source_name);
  return {version, alignment, std::move(metadata), std::move(tensors)};
}

GgufFile::GgufFile(std::shared_ptr<const MappedFile> file, GgufHeader header)
    : file_(std::move(file)), header_(std::move(header)) {
  for (size_t i = 0; i < header_.tensors.size(); ++i) index_.emplace(header_.tensors[i].name, i);
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  GgufHeader header = parse_gguf(file->bytes(), path.string());
  return GgufFile(std::move(file), std::move(header));
}

const GgufTensorInfo* GgufFile::find(std::string_view name) const {
  const auto place = index_.find(name);
  return place == index_.end() ? nullptr : &header_.tensors[place->second];
}

const GgufTensorInfo& GgufFile::at(std::string_view name) const {
  const GgufTensorInfo* tensor = find(name);
  if (tensor == nullptr) throw_data("{}: no tensor \"{}\"", path().string(), name);
  return *tensor;
}

std::span<const std::byte> GgufFile::data(const GgufTensorInfo& tensor) const {
  return file_->bytes().subspan(tensor.offset, tensor.bytes);
}

}  // namespace lathe::io
