#include "io/npy.h"

#include <cstring>

#include "unit/io/hostile.h"

namespace lathe::io {
namespace {

using namespace std::string_literals;

void parse(std::span<const std::byte> file) { parse_npy(file, "evil.npy"); }

/// A version 1.0 file with this header text and `data` zero bytes.
std::string file_of(const std::string& header, size_t data) {
  return "\x93NUMPY\x01"s + '\0' + raw(static_cast<uint16_t>(header.size())) + header +
         std::string(data, '\0');
}

TEST(Npy, ReadsWhatNumpyWrote) {
  const NpyArray array = read_npy(golden("f32.npy"));
  EXPECT_EQ(array.dtype, DType::kF32);
  EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 3}));
  float values[6];
  ASSERT_EQ(array.data.size(), sizeof values);
  std::memcpy(values, array.data.data(), sizeof values);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(values[i], static_cast<float>(i));

  const NpyArray scalar = read_npy(golden("scalar.npy"));
  EXPECT_EQ(scalar.dtype, DType::kI64);
  EXPECT_TRUE(scalar.shape.empty());
  EXPECT_EQ(static_cast<int>(scalar.data[0]), 0xfc);
}

TEST(Npy, ReadsStoredAndDeflatedArchives) {
  const std::map<std::string, DType> expected = {
      {"bool", DType::kBool},   {"int8", DType::kI8},     {"uint8", DType::kU8},
      {"int16", DType::kI16},   {"int32", DType::kI32},   {"int64", DType::kI64},
      {"float16", DType::kF16}, {"float32", DType::kF32}, {"float64", DType::kF64}};
  const auto stored = read_npz(golden("stored.npz"));
  const auto deflated = read_npz(golden("deflated.npz"));
  EXPECT_EQ(stored.size(), expected.size());
  EXPECT_EQ(deflated.size(), expected.size());
  for (const auto& [name, dtype] : expected) {
    const NpyArray& array = stored.at(name);
    EXPECT_EQ(array.dtype, dtype);
    EXPECT_EQ(array.shape, (std::vector<int64_t>{1, 2}));
    EXPECT_TRUE(std::ranges::equal(array.data, deflated.at(name).data)) << name;
  }
  int64_t values[2];
  std::memcpy(values, stored.at("int64").data.data(), sizeof values);
  EXPECT_EQ(values[1], 1);
}

TEST(Npy, RefusesWhatLatheDoesNotHave) {
  EXPECT_NE(data_error_of([] { read_npy(golden("fortran.npy")); }).find("Fortran order"),
            std::string::npos);
  EXPECT_NE(data_error_of([] { read_npy(golden("big_endian.npy")); }).find("big-endian"),
            std::string::npos);
  data_error_of([] { read_npy(golden("structured.npy")); });
  error_of(ErrorKind::kUser, [] { read_npy("/nonexistent.npy"); });
}

TEST(Npy, HostileHeaders) {
  const auto shaped = [](const std::string& shape, size_t data) {
    return file_of("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }", data);
  };
  parse(bytes_of(shaped("(2,)", 8)));
  parse(bytes_of(file_of("{\"shape\":(),\"fortran_order\":True,\"descr\":\"|b1\"}\n", 1)));
  expect_refused(
      {
          {"", "no .npy file"},
          {"\x93NUMPX\x01\0\0\0"s, "no .npy file"},
          {"\x93NUMPY\x04\0\0\0"s, "format 4.0"},
          {"\x93NUMPY\x01\x01\0\0"s, "format 1.1"},
          {"\x93NUMPY\x02\0\xff\xff\xff\xff"s, "a header of 4294967295 bytes"},
          {"\x93NUMPY\x01\0\xff\xff{}"s, "bytes expected"},
          {file_of("", 0), "'{' expected"},
          {file_of("{}", 0), "a key that is missing"},
          {file_of("{'descr': '<f4', 'shape': ()}", 4), "a key that is missing"},
          {file_of("{'descr': '<f4', 'descr': '<f4'}", 4), "unknown or given twice"},
          {file_of("{'x': 1}", 4), "unknown or given twice"},
          {file_of("{'descr", 4), "a string without end"},
          {file_of("{'descr': ", 4), "a string expected"},
          {file_of("{'descr': [('a', '<i4')]}", 4), "a string expected"},
          {file_of("{'fortran_order': maybe}", 4), "True or False expected"},
          {file_of("{'descr': '<c8', 'fortran_order': False, 'shape': ()}", 8),
           "dtype \"<c8\" is not supported"},
          {file_of("{'descr': '', 'fortran_order': False, 'shape': ()}", 8),
           "dtype \"\" is not supported"},
          {file_of("{'descr': '>f4', 'fortran_order': False, 'shape': ()}", 4), "big-endian"},
          {file_of("{'descr': '|O', 'fortran_order': False, 'shape': ()}", 8),
           "dtype \"|O\" is not supported"},
          {file_of("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", 4),
           "text after the dictionary"},
          {shaped("(-1,)", 4), "a size expected"},
          {shaped("(1.0,)", 4), "')' expected"},
          {shaped("(99999999999999999999,)", 4), "a size expected"},
          {shaped("(4294967296, 4294967296)", 4), "does not fit the 4 bytes"},
          {shaped("(4611686018427387904,)", 4), "does not fit the 4 bytes"},
          {shaped("(2,)", 4), "does not fit the 4 bytes"},
          {shaped("(2,)", 9), "does not fit the 9 bytes"},
          {shaped("2", 8), "'(' expected"},
          {shaped("(((", 8), "a size expected"},
      },
      parse);
}

TEST(Npy, TruncationsAndMutations) {
  const std::string file = read_file(golden("f32.npy"));
  expect_truncations_refused(file, parse);
  EXPECT_GT(count_refused_mutations(file, parse), 100);
  const std::string archive = read_file(golden("deflated.npz"));
  const auto parse_archive = [](std::span<const std::byte> bytes) { parse_npz(bytes, "evil.npz"); };
  expect_truncations_refused(archive, parse_archive);
  EXPECT_GT(count_refused_mutations(archive, parse_archive), 1000);
}

TEST(Npy, ArchiveLimit) {
  EXPECT_NE(data_error_of([] { read_npz(golden("stored.npz"), 1000); }).find("above the limit"),
            std::string::npos);
}

}  // namespace
}  // namespace lathe::io
