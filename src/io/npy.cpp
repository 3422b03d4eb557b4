#include "io/npy.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "io/byte_reader.h"
#include "io/zip.h"

namespace lathe::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeader = 1 << 16;

struct NpyType {
  std::string_view descr;  // without byte order
  DType dtype;
};

constexpr NpyType kTypes[] = {{"b1", DType::kBool}, {"i1", DType::kI8},  {"u1", DType::kU8},
                              {"i2", DType::kI16},  {"u2", DType::kU16}, {"i4", DType::kI32},
                              {"u4", DType::kU32},  {"i8", DType::kI64}, {"u8", DType::kU64},
                              {"f2", DType::kF16},  {"f4", DType::kF32}, {"f8", DType::kF64}};

struct NpyHeader {
  std::optional<DType> dtype;
  std::optional<bool> fortran_order;
  std::optional<std::vector<int64_t>> shape;
};

/// The header is a Python dictionary literal with three known keys:
/// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view source_name)
      : rest_(text), source_name_(source_name) {}

  NpyHeader parse() {
    NpyHeader header;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !header.dtype) {
        header.dtype = dtype(quoted());
      } else if (key == "fortran_order" && !header.fortran_order) {
        header.fortran_order = boolean();
      } else if (key == "shape" && !header.shape) {
        header.shape = tuple();
      } else {
        fail("a key that is unknown or given twice");
      }
      if (accept(',')) continue;
      expect('}');
      break;
    }
    skip_space();
    if (!rest_.empty()) fail("text after the dictionary");
    if (!header.dtype || !header.fortran_order || !header.shape) fail("a key that is missing");
    return header;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw_data("{}: malformed .npy header: {}, at \"{}\"", source_name_, what, rest_.substr(0, 20));
  }

  void skip_space() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n\t\r"), rest_.size()));
  }

  bool accept(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(fmt::format("'{}' expected", c));
  }

  bool accept_word(std::string_view word) {
    skip_space();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::string_view quoted() {
    skip_space();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) fail("a string expected");
    const size_t end = rest_.find(rest_[0], 1);
    if (end == rest_.npos) fail("a string without end");
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }

  bool boolean() {
    if (accept_word("True")) return true;
    if (!accept_word("False")) fail("True or False expected");
    return false;
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      sizes.push_back(integer());
      if (accept(',')) continue;
      expect(')');
      break;
    }
    return sizes;
  }

  int64_t integer() {
    skip_space();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc() || value < 0) fail("a size expected");
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }

  DType dtype(std::string_view descr) const {
    const std::string_view type = descr.substr(std::min<size_t>(descr.size(), 1));
    for (const NpyType& known : kTypes) {
      if (known.descr != type) continue;
      if (descr[0] == '<' || descr[0] == '=' || (descr[0] == '|' && dtype_size(known.dtype) == 1)) {
        return known.dtype;
      }
      if (descr[0] == '>')
        throw_data("{}: big-endian dtype \"{}\" is not supported", source_name_, descr);
    }
    throw_data("{}: dtype \"{}\" is not supported", source_name_, descr);
  }

  std::string_view rest_;
  std::string_view source_name_;
};

std::string_view read_header_text(ByteReader& reader) {
  const std::string_view source = reader.source_name();
  if (reader.remaining() < 8 || reader.read_text(kMagic.size()) != kMagic)
    throw_data("{}: no .npy file", source);
  const auto major = reader.read<uint8_t>();
  const auto minor = reader.read<uint8_t>();
  if (major < 1 || major > 3 || minor != 0) {
    throw_data("{}: .npy format {}.{}, expected 1.0, 2.0 or 3.0", source, major, minor);
  }
  const size_t length = major == 1 ? reader.read<uint16_t>() : reader.read<uint32_t>();
  if (length > kMaxHeader)
    throw_data("{}: a header of {} bytes, at most {} expected", source, length, kMaxHeader);
  return reader.read_text(length);
}

/// Inflated bytes that an NpyArray refers to.
using Buffer = std::vector<std::byte>;

/// The arrays of an archive, each in a buffer of its own.
std::map<std::string, NpyArray> read_arrays(const ZipArchive& archive, size_t limit) {
  std::map<std::string, NpyArray> arrays;
  size_t left = limit;
  for (const ZipEntry& entry : archive.entries()) {
    const std::string source = archive.source_name() + ":" + entry.name;
    if (!entry.name.ends_with(".npy")) throw_data("{}: no array in a .npz archive", source);
    auto buffer = std::make_shared<const Buffer>(archive.read(entry, left));
    left -= buffer->size();
    NpyArray array = parse_npy(*buffer, source);
    array.owner = buffer;
    arrays.emplace(entry.name.substr(0, entry.name.size() - 4), std::move(array));
  }
  return arrays;
}

}  // namespace

NpyArray parse_npy(std::span<const std::byte> file, std::string_view source_name) {
  ByteReader reader(file, source_name);
  const NpyHeader header = HeaderParser(read_header_text(reader), source_name).parse();
  const auto numel = checked_numel(*header.shape);
  const auto bytes =
      numel ? checked_mul<uint64_t>(static_cast<uint64_t>(*numel), dtype_size(*header.dtype))
            : std::nullopt;
  if (!bytes || *bytes != reader.remaining()) {
    throw_data("{}: {} of shape ({}) does not fit the {} bytes of data", source_name,
               dtype_name(*header.dtype), fmt::join(*header.shape, ", "), reader.remaining());
  }
  if (*header.fortran_order && header.shape->size() > 1) {
    throw_data("{}: an array in Fortran order, C order is expected (numpy.ascontiguousarray)",
               source_name);
  }
  return {.dtype = *header.dtype,
          .shape = *header.shape,
          .data = reader.take(reader.remaining()),
          .owner = nullptr};
}

NpyArray read_npy(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  NpyArray array = parse_npy(file->bytes(), path.string());
  array.owner = std::move(file);
  return array;
}

std::map<std::string, NpyArray> read_npz(const std::filesystem::path& path, size_t limit) {
  return read_arrays(ZipArchive::open(path), limit);
}

std::map<std::string, NpyArray> parse_npz(std::span<const std::byte> file,
                                          std::string_view source_name, size_t limit) {
  return read_arrays(ZipArchive::from_bytes(file, std::string(source_name)), limit);
}

}  // namespace lathe::io
