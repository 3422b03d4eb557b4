#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace lathe::io {

/// Reads little-endian numbers and strings from bytes, one after the other; DataError, with the
/// source's name, where they end too early.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string_view source_name)
      : bytes_(bytes), source_name_(source_name) {}

  std::string_view source_name() const { return source_name_; }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(size_t count) {
    if (count > remaining()) {
      throw_data("{}: {} bytes expected at offset {}, {} left (truncated file?)", source_name_,
                 count, position_, remaining());
    }
    position_ += count;
    return bytes_.subspan(position_ - count, count);
  }

  template <typename T>
  requires std::is_arithmetic_v<T> T read() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view read_text(size_t count) {
    const auto bytes = take(count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  std::span<const std::byte> bytes_;
  std::string_view source_name_;
  size_t position_ = 0;
};

}  // namespace lathe::io
