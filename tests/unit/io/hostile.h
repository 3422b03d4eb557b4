#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/output_file.h"
#include "unit/io/allocation_watch.h"

namespace lathe::io {

/// Path of a file in golden/.
inline std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(LATHE_SOURCE_DIR) / "tests/unit/io/golden" / name;
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// The bytes of a number, little endian.
template <typename T>
std::string raw(T value) {
  std::string text(sizeof value, '\0');
  std::memcpy(text.data(), &value, sizeof value);
  return text;
}

/// The message of the Error of kind `kind` that the function must throw; a test failure if it
/// throws none.
inline std::string error_of(ErrorKind kind, const std::function<void()>& function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return {};
}

inline std::string data_error_of(const std::function<void()>& function) {
  return error_of(ErrorKind::kData, function);
}

using ParseBytes = std::function<void(std::span<const std::byte>)>;

/// Bytes that a parser must refuse, and a part of the message.
struct HostileCase {
  std::string bytes;
  std::string message;
};

/// Every case is a DataError with its message, and none makes a large allocation on the way.
inline void expect_refused(const std::vector<HostileCase>& cases, const ParseBytes& parse) {
  for (const HostileCase& hostile : cases) {
    SCOPED_TRACE(hostile.message);
    const AllocationWatch watch;
    const std::string message = data_error_of([&] { parse(bytes_of(hostile.bytes)); });
    EXPECT_LT(watch.largest(), size_t{1} << 20);
    EXPECT_NE(message.find(hostile.message), std::string::npos) << message;
  }
}

/// A file cut off anywhere is a DataError.
inline void expect_truncations_refused(const std::string& file, const ParseBytes& parse) {
  for (size_t size = 0; size < file.size(); ++size) {
    SCOPED_TRACE(size);
    const std::string cut =
        file.substr(0, size);  // a buffer of its own, so that reading behind it is seen
    data_error_of([&] { parse(bytes_of(cut)); });
  }
}

/// A file with one byte changed is read or refused with a DataError; nothing else happens. Returns
/// how many were refused.
inline int count_refused_mutations(const std::string& file, const ParseBytes& parse) {
  int refused = 0;
  for (size_t at = 0; at < file.size(); ++at) {
    for (const unsigned flip : {0x01u, 0x80u, 0xffu}) {
      std::string changed = file;
      changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ flip);
      try {
        parse(bytes_of(changed));
      } catch (const DataError&) {
        ++refused;
      }
    }
  }
  return refused;
}

}  // namespace lathe::io
