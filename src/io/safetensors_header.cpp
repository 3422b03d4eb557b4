#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "base/checked.h"
#include "base/error.h"
#include "io/json_text.h"
#include "io/safetensors_reader.h"

namespace lathe::io {
namespace {

using Json = nlohmann::json;
using Tensor = SafetensorsHeader::Tensor;

/// Reads the header's fixed structure from parse events: no document of a million nodes is built,
/// and a name that is given twice is seen.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view source_name)
      : text_(text), source_name_(source_name) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool null() { return refuse("null"); }
  bool boolean(bool) { return refuse("a boolean"); }
  bool number_integer(Json::number_integer_t) { return refuse("a negative number"); }
  bool number_float(Json::number_float_t, const std::string&) {
    return refuse("a fraction or a number above 2^64");
  }
  bool binary(Json::binary_t&) { return refuse("binary data"); }

  bool number_unsigned(Json::number_unsigned_t value) {
    if (state_ == State::kShape) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        throw_data("{}: a size in shape is {}, above 2^63 - 1", where(), value);
      }
      tensor_.shape.push_back(static_cast<int64_t>(value));
    } else if (state_ == State::kOffsets && offset_count_ < 2) {
      offsets_[offset_count_++] = value;
    } else {
      return refuse("a number");
    }
    return true;
  }

  bool string(std::string& value) {
    if (state_ == State::kMetadata) {
      if (!header_.metadata.emplace(key_, std::move(value)).second) {
        throw_data("{}: __metadata__ has the key \"{}\" twice", source_name_, key_);
      }
      return true;
    }
    if (state_ != State::kTensor || key_ != "dtype") return refuse("a string");
    if (has_dtype_) throw_data("{}: \"dtype\" is given twice", where());
    has_dtype_ = true;
    tensor_.dtype = parse_dtype(value);
    return true;
  }

  bool key(std::string& name) {
    key_ = std::move(name);
    if (state_ == State::kTensor && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") {
      throw_data("{}: unknown key \"{}\"", where(), key_);
    }
    return true;
  }

  bool start_object(size_t) {
    if (state_ == State::kStart) {
      state_ = State::kTop;
    } else if (state_ == State::kTop && key_ == "__metadata__") {
      if (has_metadata_) throw_data("{}: __metadata__ is given twice", source_name_);
      has_metadata_ = true;
      state_ = State::kMetadata;
    } else if (state_ == State::kTop) {
      state_ = State::kTensor;
      tensor_ = Tensor{
          .name = std::move(key_), .dtype = DType::kU8, .shape = {}, .offset = 0, .bytes = 0};
      has_dtype_ = has_shape_ = has_offsets_ = false;
      key_.clear();
    } else {
      return refuse("an object");
    }
    return true;
  }

  bool end_object() {
    if (state_ == State::kTensor) finish_tensor();
    state_ = state_ == State::kTop ? State::kEnd : State::kTop;
    return true;
  }

  bool start_array(size_t) {
    if (state_ != State::kTensor || (key_ != "shape" && key_ != "data_offsets"))
      return refuse("an array");
    bool& seen = key_ == "shape" ? has_shape_ : has_offsets_;
    if (seen) throw_data("{}: \"{}\" is given twice", where(), key_);
    seen = true;
    state_ = key_ == "shape" ? State::kShape : State::kOffsets;
    offset_count_ = 0;
    return true;
  }

  bool end_array() {
    if (state_ == State::kOffsets && offset_count_ != 2) {
      throw_data("{}: data_offsets has {} numbers, expected 2", where(), offset_count_);
    }
    state_ = State::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    throw_json_error(text_, source_name_, position, error.what());
  }

 private:
  enum class State { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };

  void finish_tensor() {
    if (!has_dtype_ || !has_shape_ || !has_offsets_) {
      throw_data("{}: \"{}\" is missing", where(),
                 !has_dtype_   ? "dtype"
                 : !has_shape_ ? "shape"
                               : "data_offsets");
    }
    const auto [begin, end] = offsets_;
    if (begin > end) throw_data("{}: data_offsets [{}, {}] run backwards", where(), begin, end);
    check_size(end - begin);
    tensor_.offset = begin;
    tensor_.bytes = end - begin;
    header_.tensors.push_back(std::move(tensor_));
  }

  void check_size(uint64_t bytes) const {
    const auto numel = checked_numel(tensor_.shape);
    const auto expected =
        numel ? checked_mul<uint64_t>(static_cast<uint64_t>(*numel), dtype_size(tensor_.dtype))
              : std::nullopt;
    if (!expected)
      throw_data("{}: shape [{}] is too large", where(), fmt::join(tensor_.shape, ", "));
    if (*expected != bytes) {
      throw_data("{}: {} of shape [{}] needs {} bytes, data_offsets give it {}", where(),
                 dtype_name(tensor_.dtype), fmt::join(tensor_.shape, ", "), *expected, bytes);
    }
  }

  DType parse_dtype(const std::string& name) const {
    const auto dtype = dtype_from_name(name);
    if (!dtype) {
      const bool packed = name.starts_with("F4") || name.starts_with("F6_");
      throw_data("{}: dtype \"{}\" is not supported{}", where(), name,
                 packed ? ": elements smaller than a byte are read as packed U8" : "");
    }
    return *dtype;
  }

  bool refuse(std::string_view found) const {
    if (state_ == State::kStart)
      throw_data("{}: the header is no JSON object but {}", source_name_, found);
    throw_data("{}: \"{}\" must not be {}", where(), key_, found);
  }

  std::string where() const {
    const bool in_tensor =
        state_ == State::kTensor || state_ == State::kShape || state_ == State::kOffsets;
    return in_tensor ? fmt::format("{}: tensor \"{}\"", source_name_, tensor_.name)
                     : std::string(source_name_);
  }

  std::string_view text_;
  std::string_view source_name_;
  SafetensorsHeader header_;
  State state_ = State::kStart;
  std::string key_;
  Tensor tensor_;
  std::array<uint64_t, 2> offsets_{};
  size_t offset_count_ = 0;
  bool has_metadata_ = false;
  bool has_dtype_ = false;
  bool has_shape_ = false;
  bool has_offsets_ = false;
};

std::string_view header_text(std::span<const std::byte> file, std::string_view source_name) {
  uint64_t length = 0;
  if (file.size() < sizeof length)
    throw_data("{}: {} bytes are no safetensors file", source_name, file.size());
  std::memcpy(&length, file.data(), sizeof length);
  static_assert(std::endian::native == std::endian::little);
  if (length > kMaxSafetensorsHeader) {
    throw_data("{}: the header claims {} bytes, above the format's limit of {}", source_name,
               length, kMaxSafetensorsHeader);
  }
  if (length > file.size() - sizeof length) {
    throw_data("{}: the header claims {} bytes, but only {} follow (truncated file?)", source_name,
               length, file.size() - sizeof length);
  }
  return {reinterpret_cast<const char*>(file.data()) + sizeof length, static_cast<size_t>(length)};
}

void check_names(const std::vector<Tensor>& tensors, std::string_view source_name) {
  std::unordered_set<std::string_view> names;
  names.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw_data("{}: tensor \"{}\" is given twice", source_name, tensor.name);
    }
  }
}

/// Sorts by offset; the tensors must follow one another from 0 to the end of the data.
void sort_and_check_cover(std::vector<Tensor>& tensors, size_t data_bytes,
                          std::string_view source_name) {
  const auto place = [](const Tensor& tensor) { return std::tie(tensor.offset, tensor.bytes); };
  if (!std::is_sorted(tensors.begin(), tensors.end(),
                      [&](const Tensor& a, const Tensor& b) { return place(a) < place(b); })) {
    std::stable_sort(tensors.begin(), tensors.end(),
                     [&](const Tensor& a, const Tensor& b) { return place(a) < place(b); });
  }
  size_t covered = 0;
  for (const Tensor& tensor : tensors) {
    const size_t end = tensor.offset + tensor.bytes;
    if (end > data_bytes) {
      throw_data(
          "{}: tensor \"{}\": data_offsets [{}, {}] are beyond the {} bytes of data (truncated "
          "file?)",
          source_name, tensor.name, tensor.offset, end, data_bytes);
    }
    if (tensor.offset != covered) {
      throw_data("{}: tensor \"{}\" begins at byte {} of the data, expected {}: tensors {}",
                 source_name, tensor.name, tensor.offset, covered,
                 tensor.offset < covered ? "overlap" : "leave a hole");
    }
    covered = end;
  }
  if (covered != data_bytes) {
    throw_data("{}: {} bytes follow the last tensor", source_name, data_bytes - covered);
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           std::string_view source_name) {
  const std::string_view text = header_text(file, source_name);
  check_no_nul(text, source_name);
  HeaderParser parser(text, source_name);
  Json::sax_parse(text, &parser);
  SafetensorsHeader header = parser.take();
  check_names(header.tensors, source_name);
  const size_t data_begin = sizeof(uint64_t) + text.size();
  sort_and_check_cover(header.tensors, file.size() - data_begin, source_name);
  for (Tensor& tensor : header.tensors) tensor.offset += data_begin;
  return header;
}

}  // namespace lathe::io
