#include "io/gguf_reader.h"

#include "unit/io/hostile.h"

namespace lathe::io {
namespace {

class GgufReader : public testing::Test {
 protected:
  GgufFile file_ = GgufFile::open(golden("wheel.gguf"));
  const GgufMetadata& metadata_ = file_.metadata();
};

TEST_F(GgufReader, Metadata) {
  EXPECT_EQ(file_.version(), 3u);
  EXPECT_EQ(metadata_.get_string("general.architecture"), "llama");
  EXPECT_EQ(metadata_.get_u64("llama.block_count"), 2u);
  EXPECT_EQ(metadata_.get_u64("t.u8"), 200u);
  EXPECT_EQ(metadata_.get_i64("t.i8"), -5);
  EXPECT_EQ(metadata_.get_u64("t.u16"), 60000u);
  EXPECT_EQ(metadata_.get_i64("t.i16"), -30000);
  EXPECT_EQ(metadata_.get_i64("t.i32"), -7);
  EXPECT_EQ(metadata_.get_u64("t.u64"), (uint64_t{1} << 63) + 1);
  EXPECT_EQ(metadata_.get_i64("t.i64"), -(int64_t{1} << 40));
  EXPECT_EQ(metadata_.get_f64("t.f32"), 0.5);
  EXPECT_EQ(metadata_.get_f64("t.f64"), 0.1);
  EXPECT_TRUE(metadata_.get_bool("t.bool"));
  EXPECT_EQ(metadata_.get_string("t.string"), "gr\u00fc\u00dfe");
  EXPECT_EQ(metadata_.get_ints("t.ints"), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(metadata_.get_floats("t.floats"), (std::vector<float>{0.25f, -1.0f}));
  EXPECT_EQ(metadata_.get_strings("t.strings"), (std::vector<std::string>{"a", "", "bc"}));
}

TEST_F(GgufReader, NestedArrays) {
  const auto& nested = std::get<GgufArray>(metadata_.values().at("t.nested"));
  EXPECT_EQ(nested.size(), 2u);
  const auto& rows = std::get<std::vector<GgufArray>>(nested.values);
  EXPECT_EQ(rows[0].size(), 2u);
  EXPECT_EQ(rows[1].size(), 1u);
}

TEST_F(GgufReader, AbsentKeys) {
  EXPECT_EQ(metadata_.find_u64("none"), std::nullopt);
  EXPECT_EQ(metadata_.find_i64("none"), std::nullopt);
  EXPECT_EQ(metadata_.find_f64("none"), std::nullopt);
  EXPECT_EQ(metadata_.find_bool("none"), std::nullopt);
  EXPECT_EQ(metadata_.find_string("none"), std::nullopt);
  EXPECT_EQ(metadata_.find_ints("none"), std::nullopt);
  EXPECT_EQ(metadata_.find_floats("none"), std::nullopt);
  EXPECT_EQ(metadata_.find_u64("t.u8"), 200u);
  const std::string message = data_error_of([&] { metadata_.get_u64("llama.head_count"); });
  EXPECT_NE(message.find("wheel.gguf: no metadata \"llama.head_count\""), std::string::npos)
      << message;
}

TEST_F(GgufReader, WrongTypes) {
  EXPECT_NE(data_error_of([&] {
              metadata_.get_u64("t.string");
            }).find("expected an integer, found a string"),
            std::string::npos);
  data_error_of([&] { metadata_.get_u64("t.i8"); });   // negative
  data_error_of([&] { metadata_.get_i64("t.u64"); });  // above 2^63
  data_error_of([&] { metadata_.get_u64("t.bool"); });
  data_error_of([&] { metadata_.get_u64("t.f32"); });
  data_error_of([&] { metadata_.get_f64("t.u8"); });
  data_error_of([&] { metadata_.get_bool("t.u8"); });
  data_error_of([&] { metadata_.get_string("t.ints"); });
  data_error_of([&] { metadata_.get_ints("t.u8"); });
  data_error_of([&] { metadata_.get_ints("t.floats"); });
  data_error_of([&] { metadata_.get_floats("t.ints"); });
  data_error_of([&] { metadata_.get_strings("t.ints"); });
  data_error_of([&] { metadata_.find_u64("t.string"); });
}

TEST_F(GgufReader, TensorsAreRowMajor) {
  ASSERT_EQ(file_.tensors().size(), 3u);
  const GgufTensorInfo& matrix = file_.at("blk.0.weight");
  EXPECT_EQ(matrix.type, GgmlType::kF32);
  EXPECT_EQ(matrix.shape, (std::vector<int64_t>{2, 3}));
  std::vector<float> values(6);
  dequantize(matrix.type, file_.data(matrix), values);
  EXPECT_EQ(values, (std::vector<float>{0, 1, 2, 3, 4, 5}));

  const GgufTensorInfo& packed = file_.at("blk.1.weight");
  EXPECT_EQ(packed.type, GgmlType::kQ8_0);
  EXPECT_EQ(packed.shape, (std::vector<int64_t>{2, 64}));
  EXPECT_EQ(packed.bytes, 4 * 34u);
  std::vector<float> row(128);
  dequantize(packed.type, file_.data(packed), row);
  for (int i = 0; i < 128; ++i) EXPECT_NEAR(row[i], i, 0.6);

  EXPECT_EQ(file_.at("bias").shape, std::vector<int64_t>{3});
  EXPECT_EQ(file_.find("none"), nullptr);
  data_error_of([&] { file_.at("none"); });
}

TEST(GgufReaderFile, MissingFileIsTheUsersError) {
  error_of(ErrorKind::kUser, [] { GgufFile::open("/nonexistent.gguf"); });
}

}  // namespace
}  // namespace lathe::io
