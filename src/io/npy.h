#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/dtype.h"

namespace lathe::io {

/// An array of NumPy: row-major, little endian, not necessarily aligned to the element.
struct NpyArray {
  DType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
  std::shared_ptr<const void> owner;  // keeps `data` alive: a mapped file or a buffer
};

/// Parses the bytes of a .npy file (format 1.0, 2.0 or 3.0; bool, integers, float16 to float64).
/// `data` is a slice of `file`, which the caller keeps alive. DataError if it is malformed,
/// big-endian, in Fortran order or of a dtype that Lathe does not have.
NpyArray parse_npy(std::span<const std::byte> file, std::string_view source_name);

/// A .npy file, mapped.
NpyArray read_npy(const std::filesystem::path& path);

/// The arrays of a .npz archive, by name without ".npy"; together at most `limit` bytes (DataError
/// above).
std::map<std::string, NpyArray> read_npz(const std::filesystem::path& path,
                                         size_t limit = size_t{1} << 36);
std::map<std::string, NpyArray> parse_npz(std::span<const std::byte> file,
                                          std::string_view source_name,
                                          size_t limit = size_t{1} << 36);

}  // namespace lathe::io
