#include "io/safetensors_reader.h"
#include "unit/io/hostile.h"

namespace lathe::io {
namespace {

using namespace std::string_literals;

void parse(std::span<const std::byte> file) { parse_safetensors_header(file, "evil.safetensors"); }

/// A file with this header and `data` zero bytes.
std::string file_of(const std::string& json, size_t data = 0) {
  return raw<uint64_t>(json.size()) + json + std::string(data, '\0');
}

/// A header whose one tensor "t" has this body.
std::string one(const std::string& body) { return "{\"t\":{" + body + "}}"; }

TEST(SafetensorsHostile, HeaderLength) {
  expect_refused(
      {
          {"", "no safetensors file"},
          {"\x02\0\0"s, "no safetensors file"},
          {raw<uint64_t>(100) + "{}", "claims 100 bytes, but only 2"},
          {raw<uint64_t>(100'000'001) + "{}", "above the format's limit"},
          {raw<uint64_t>(~uint64_t{0}) + "{}", "above the format's limit"},
          {raw<uint64_t>(~uint64_t{0} - 7) + "{}", "above the format's limit"},
          {raw<uint64_t>(0), "not valid JSON"},
      },
      parse);
}

TEST(SafetensorsHostile, Structure) {
  expect_refused(
      {
          {file_of("[]"), "no JSON object but an array"},
          {file_of("1"), "no JSON object but a number"},
          {file_of("\"x\""), "no JSON object but a string"},
          {file_of("null"), "no JSON object but null"},
          {file_of("{"), "not valid JSON"},
          {file_of("{}{}"), "not valid JSON"},
          {file_of("{} x"), "not valid JSON"},
          {file_of("{}\0{}"s), "NUL"},
          {file_of("{\"a\xff\":{}}"), "not valid JSON"},
          {file_of("{\"t\":1}"), "must not be a number"},
          {file_of("{\"t\":[]}"), "must not be an array"},
          {file_of("{\"t\":{}}"), "\"dtype\" is missing"},
          {file_of(one(R"("dtype":"U8","shape":[])")), "\"data_offsets\" is missing"},
          {file_of(one(R"("dtype":"U8","data_offsets":[0,0])")), "\"shape\" is missing"},
          {file_of(one(R"("dtype":"U8","shape":[],"data_offsets":[0,1],"x":1)"), 1),
           "unknown key \"x\""},
          {file_of(one(R"("dtype":{}, "shape":[],"data_offsets":[0,1])"), 1),
           "must not be an object"},
          {file_of(one(R"("dtype":"U8","shape":[[1]],"data_offsets":[0,1])"), 1),
           "must not be an array"},
          {file_of(one(R"("dtype":"U8","shape":"1","data_offsets":[0,1])"), 1),
           "must not be a string"},
          {file_of(one(R"("dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1])"), 1),
           "\"dtype\" is given twice"},
          {file_of(one(R"("dtype":"U8","shape":[],"shape":[],"data_offsets":[0,1])"), 1),
           "\"shape\" is given twice"},
          {file_of(one(R"("dtype":"U8","shape":[],"data_offsets":[0,1],"data_offsets":[0,1])"), 1),
           "given twice"},
          {file_of(R"({"__metadata__":{"a":1}})"), "\"a\" must not be a number"},
          {file_of(R"({"__metadata__":{"a":{}}})"), "must not be an object"},
          {file_of(R"({"__metadata__":{"a":"","a":""}})"), "twice"},
          {file_of(R"({"__metadata__":{},"__metadata__":{}})"), "__metadata__ is given twice"},
          {file_of(std::string(100'000, '[')), "array"},
          {file_of("{\"t\":" + std::string(100'000, '[')), "array"},
      },
      parse);
}

TEST(SafetensorsHostile, DtypesAndShapes) {
  expect_refused(
      {
          {file_of(one(R"("dtype":"F4","shape":[2],"data_offsets":[0,1])"), 1), "packed U8"},
          {file_of(one(R"("dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3])"), 3), "packed U8"},
          {file_of(one(R"("dtype":"C64","shape":[1],"data_offsets":[0,8])"), 8),
           "dtype \"C64\" is not supported"},
          {file_of(one(R"("dtype":"f32","shape":[1],"data_offsets":[0,4])"), 4),
           "dtype \"f32\" is not supported"},
          {file_of(one(R"("dtype":"U8","shape":[-1],"data_offsets":[0,1])"), 1),
           "must not be a negative number"},
          {file_of(one(R"("dtype":"U8","shape":[1.0],"data_offsets":[0,1])"), 1),
           "must not be a fraction"},
          {file_of(one(R"("dtype":"U8","shape":[1e2],"data_offsets":[0,1])"), 1),
           "must not be a fraction"},
          {file_of(one(R"("dtype":"U8","shape":[true],"data_offsets":[0,1])"), 1),
           "must not be a boolean"},
          {file_of(one(R"("dtype":"U8","shape":[null],"data_offsets":[0,1])"), 1),
           "must not be null"},
          {file_of(one(R"("dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1])"), 1),
           "above 2^64"},
          {file_of(one(R"("dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1])"), 1),
           "above 2^63"},
          {file_of(one(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0])")),
           "too large"},
          {file_of(one(R"("dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0])")),
           "too large"},
          {file_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4),
           "needs 8 bytes, data_offsets give it 4"},
          {file_of(one(R"("dtype":"F32","shape":[1],"data_offsets":[0,8])"), 8),
           "needs 4 bytes, data_offsets give it 8"},
          {file_of(one(R"("dtype":"U8","shape":[],"data_offsets":[0,0])")), "needs 1 bytes"},
      },
      parse);
}

TEST(SafetensorsHostile, Offsets) {
  const auto two = [](const std::string& first, const std::string& second) {
    return fmt::format(
        R"({{"a":{{"dtype":"U8","shape":[2],"data_offsets":{}}},"b":{{"dtype":"U8","shape":[2],"data_offsets":{}}}}})",
        first, second);
  };
  expect_refused(
      {
          {file_of(one(R"("dtype":"U8","shape":[1],"data_offsets":[0])"), 1), "has 1 numbers"},
          {file_of(one(R"("dtype":"U8","shape":[1],"data_offsets":[0,1,2])"), 1),
           "must not be a number"},
          {file_of(one(R"("dtype":"U8","shape":[1],"data_offsets":[1,0])"), 1), "run backwards"},
          {file_of(one(R"("dtype":"U8","shape":[1],"data_offsets":[-1,0])"), 1),
           "must not be a negative number"},
          {file_of(one(R"("dtype":"U8","shape":[2],"data_offsets":[0,2])"), 1),
           "beyond the 1 bytes of data"},
          {file_of(
               one(R"("dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615])"),
               1),
           "beyond the 1 bytes"},
          {file_of(one(R"("dtype":"U8","shape":[1],"data_offsets":[0,1])"), 3),
           "2 bytes follow the last tensor"},
          {file_of("{}", 1), "1 bytes follow the last tensor"},
          {file_of(two("[0,2]", "[1,3]"), 3), "overlap"},
          {file_of(two("[0,2]", "[0,2]"), 2), "overlap"},
          {file_of(two("[0,2]", "[3,5]"), 5), "leave a hole"},
          {file_of(two("[1,3]", "[3,5]"), 5), "leave a hole"},
      },
      parse);
}

TEST(SafetensorsHostile, DuplicateNames) {
  const std::string body = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  expect_refused(
      {{file_of("{\"t\":" + body + ",\"t\":" + body + "}"), "tensor \"t\" is given twice"}}, parse);
}

TEST(SafetensorsHostile, ErrorsNameFileAndTensor) {
  const std::string file = file_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4);
  const std::string message = data_error_of([&] { parse(bytes_of(file)); });
  EXPECT_NE(message.find("evil.safetensors: tensor \"t\""), std::string::npos) << message;
}

TEST(SafetensorsHostile, TruncationsAndMutations) {
  const std::string file = read_file(golden("wheel.safetensors"));
  expect_truncations_refused(file, parse);
  EXPECT_GT(count_refused_mutations(file, parse), 300);
}

TEST(SafetensorsHostile, AcceptsWhatTheFormatAllows) {
  parse(bytes_of(file_of("{}")));
  parse(bytes_of(file_of("{}      ")));
  // Misaligned, in another order than the header's, empty tensors between.
  parse(bytes_of(file_of(
      R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},"z":{"dtype":"F32","shape":[0,9],)"
      R"("data_offsets":[1,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      5)));
}

}  // namespace
}  // namespace lathe::io
