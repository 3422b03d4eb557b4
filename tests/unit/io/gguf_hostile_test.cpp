#include "io/gguf_reader.h"
#include "unit/io/hostile.h"

namespace lathe::io {
namespace {

void parse(std::span<const std::byte> file) { parse_gguf(file, "evil.gguf"); }

std::string text(const std::string& value) { return raw<uint64_t>(value.size()) + value; }

std::string header(uint64_t tensors, uint64_t values, uint32_t version = 3) {
  return "GGUF" + raw<uint32_t>(version) + raw<uint64_t>(tensors) + raw<uint64_t>(values);
}

std::string key(const std::string& name, uint32_t type) { return text(name) + raw<uint32_t>(type); }

/// A file with one metadata value, whose bytes behind the type are `value`.
std::string with_value(uint32_t type, const std::string& value) {
  return header(0, 1) + key("k", type) + value;
}

std::string array(uint32_t type, uint64_t count, const std::string& elements = {}) {
  return raw<uint32_t>(type) + raw<uint64_t>(count) + elements;
}

std::string tensor(const std::string& name, const std::vector<uint64_t>& sizes, uint32_t type,
                   uint64_t offset) {
  std::string info = text(name) + raw<uint32_t>(static_cast<uint32_t>(sizes.size()));
  for (const uint64_t size : sizes) info += raw<uint64_t>(size);
  return info + raw<uint32_t>(type) + raw<uint64_t>(offset);
}

/// A file with these tensor descriptions and `data` bytes behind them.
std::string with_tensors(uint64_t count, const std::string& infos, size_t data) {
  std::string file = header(count, 0) + infos;
  file.resize((file.size() + 31) / 32 * 32);
  return file + std::string(data, '\0');
}

constexpr uint32_t kU8 = 0, kBool = 7, kString = 8, kArray = 9, kU32 = 4;
constexpr uint32_t kF32Tensor = 0, kQ4Tensor = 12;
constexpr uint64_t kHuge = ~uint64_t{0};

TEST(GgufHostile, Header) {
  expect_refused(
      {
          {"", "no GGUF file"},
          {"GGML" + raw<uint32_t>(3), "no GGUF file"},
          {header(0, 0, 1), "GGUF version 1, expected 2 or 3"},
          {header(0, 0, 4), "GGUF version 4"},
          {header(0, 0, 0), "GGUF version 0"},
          {header(0, 0, 0x03000000), "big-endian"},
          {header(kHuge, 0), "claims 18446744073709551615 tensors"},
          {header(0, kHuge), "claims 18446744073709551615 metadata values"},
          {header(0, 1), "claims 1 metadata values"},
      },
      parse);
}

TEST(GgufHostile, Metadata) {
  expect_refused(
      {
          {header(0, 1) + raw<uint64_t>(kHuge) + std::string(20, 'x'), "bytes expected"},
          {with_value(13, "xxxxxxxx"), "unknown metadata type 13"},
          {with_value(kHuge & 0xffffffff, "xxxxxxxx"), "unknown metadata type"},
          {with_value(kBool, "\x02"), "a boolean is 2"},
          {with_value(kString, raw<uint64_t>(kHuge)), "bytes expected"},
          {with_value(kArray, array(kU8, kHuge)), "claims 18446744073709551615 elements"},
          {with_value(kArray, array(kU8, 100, "short")), "claims 100 elements"},
          {with_value(kArray, array(kString, 1 << 30, std::string(100, 'x'))), "elements"},
          {with_value(kArray, array(kArray, kHuge / 12, std::string(100, 'x'))), "elements"},
          {with_value(kArray, array(kArray, 1, array(99, 1, "x"))), "unknown metadata type 99"},
          {header(0, 2) + key("k", kU8) + "1" + key("k", kU8) + "2",
           "metadata key \"k\" is given twice"},
          {header(0, 1) + key("general.alignment", kU32) + raw<uint32_t>(0),
           "general.alignment is 0"},
          {header(0, 1) + key("general.alignment", kU32) + raw<uint32_t>(48),
           "general.alignment is 48"},
          {header(0, 1) + key("general.alignment", kU32) + raw<uint32_t>(1u << 31),
           "general.alignment is"},
          {header(0, 1) + key("general.alignment", kString) + text("32"), "expected an integer"},
      },
      parse);
}

TEST(GgufHostile, NestedArrays) {
  std::string nested = array(kU8, 0);
  for (int i = 0; i < 10'000; ++i) nested = array(kArray, 1) + nested;
  expect_refused({{with_value(kArray, nested), "nested more than"}}, parse);
  parse(bytes_of(with_value(kArray, array(kArray, 1, array(kArray, 1, array(kU8, 1, "x"))))));
}

TEST(GgufHostile, Tensors) {
  const std::string good = tensor("a", {4}, kF32Tensor, 0);
  parse(bytes_of(with_tensors(1, good, 16)));
  expect_refused(
      {
          {with_tensors(1, good, 15), "beyond the end of the file"},
          {with_tensors(2, good, 16), "bytes expected"},
          {with_tensors(1, tensor("a", {4}, kF32Tensor, kHuge), 64), "beyond the end"},
          {with_tensors(1, tensor("a", {4}, kF32Tensor, kHuge - 31), 64), "beyond the end"},
          {with_tensors(1, tensor("a", {4}, kF32Tensor, 8), 64), "offset 8 is not aligned to 32"},
          {with_tensors(1, tensor("a", {1, 1, 1, 1, 1}, kF32Tensor, 0), 64), "5 dimensions"},
          {with_tensors(1, tensor("a", {kHuge}, kF32Tensor, 0), 64),
           "a size of 18446744073709551615"},
          {with_tensors(1, tensor("a", {1ull << 32, 1ull << 32}, kF32Tensor, 0), 64),
           "does not fit"},
          {with_tensors(1, tensor("a", {1ull << 62}, kF32Tensor, 0), 64), "too large"},
          {with_tensors(1, tensor("a", {128}, kQ4Tensor, 0), 256), "blocks of 256 elements"},
          {with_tensors(1, tensor("a", {256, 2}, kQ4Tensor, 0), 287), "beyond the end"},
          {with_tensors(1, tensor("a", {256}, 10, 0), 256), "type Q2_K (10) is not supported"},
          {with_tensors(1, tensor("a", {256}, 4, 0), 256), "type unknown (4) is not supported"},
          {with_tensors(2, good + good, 64), "tensor \"a\" is given twice"},
          {with_tensors(2, good + tensor("b", {4}, kF32Tensor, 0), 64), "\"a\" and \"b\" overlap"},
          {with_tensors(2, tensor("b", {4}, kF32Tensor, 32) + tensor("a", {9}, kF32Tensor, 0), 64),
           "overlap"},
      },
      parse);
}

TEST(GgufHostile, ErrorsNameFileAndTensor) {
  const std::string file = with_tensors(1, tensor("blk.0.weight", {256}, 10, 0), 256);
  const std::string message = data_error_of([&] { parse(bytes_of(file)); });
  EXPECT_NE(message.find("evil.gguf: tensor \"blk.0.weight\""), std::string::npos) << message;
}

TEST(GgufHostile, TruncationsAndMutations) {
  std::string file = read_file(golden("wheel.gguf"));
  EXPECT_GT(count_refused_mutations(file, parse), 300);
  const GgufHeader parsed = parse_gguf(bytes_of(file), "wheel.gguf");
  size_t end = 0;  // what follows the last tensor is padding
  for (const GgufTensorInfo& info : parsed.tensors) end = std::max(end, info.offset + info.bytes);
  file.resize(end);
  expect_truncations_refused(file, parse);
}

}  // namespace
}  // namespace lathe::io
