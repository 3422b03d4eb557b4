#include "io/safetensors_reader.h"

#include <cstring>

#include "unit/io/hostile.h"
#include "unit/io/temporary_folder.h"

namespace lathe::io {
namespace {

TEST(SafetensorsReader, ReadsWhatTheWheelWrote) {
  const SafetensorsFile file = SafetensorsFile::open(golden("wheel.safetensors"));
  std::vector<std::string> names;
  for (const TensorEntry& tensor : file.tensors()) names.push_back(tensor.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a.int64", "b.float32", "c.scalar", "d.bfloat16",
                                             "e.\u00fc \"quoted\"", "f.empty"}));
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));

  const TensorEntry& matrix = file.at("b.float32");
  EXPECT_EQ(matrix.dtype, DType::kF32);
  EXPECT_EQ(matrix.shape, (std::vector<int64_t>{2, 3}));
  ASSERT_EQ(matrix.bytes, 24u);
  float values[6];
  std::memcpy(values, matrix.data().data(), sizeof values);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(values[i], static_cast<float>(i));

  EXPECT_EQ(file.at("c.scalar").shape, std::vector<int64_t>{});
  EXPECT_EQ(file.at("f.empty").bytes, 0u);
  EXPECT_EQ(file.find("b.float3"), nullptr);
}

TEST(SafetensorsReader, KnowsEveryDtypeOfTheWheel) {
  const SafetensorsFile file = SafetensorsFile::open(golden("dtypes.safetensors"));
  EXPECT_EQ(file.tensors().size(), 15u);
  for (const TensorEntry& tensor : file.tensors()) {
    EXPECT_EQ(tensor.name, dtype_name(tensor.dtype));
    EXPECT_EQ(tensor.bytes, 2 * dtype_size(tensor.dtype));
  }
}

TEST(SafetensorsReader, SurvivesAMove) {
  SafetensorsFile first = SafetensorsFile::open(golden("wheel.safetensors"));
  const SafetensorsFile second = std::move(first);
  EXPECT_EQ(second.at("c.scalar").bytes, 4u);
}

TEST(SafetensorsReader, NamesFileAndTensorThatIsMissing) {
  const SafetensorsFile file = SafetensorsFile::open(golden("wheel.safetensors"));
  const std::string message = data_error_of([&] { file.at("lm_head.weight"); });
  EXPECT_NE(message.find("wheel.safetensors"), std::string::npos) << message;
  EXPECT_NE(message.find("lm_head.weight"), std::string::npos) << message;
}

TEST(SafetensorsReader, MissingFileIsTheUsersError) {
  error_of(ErrorKind::kUser, [] { SafetensorsFile::open("/nonexistent/model.safetensors"); });
}

/// A header as large models of many experts have: 200,000 tensors.
TEST(SafetensorsReader, ReadsManyTensors) {
  constexpr int kCount = 200'000;
  std::string json = "{";
  for (int i = 0; i < kCount; ++i) {
    json += fmt::format(
        R"({}"model.layers.{}.mlp.experts.{}.weight":{{"dtype":"U8","shape":[1],"data_offsets":[{},{}]}})",
        i == 0 ? "" : ",", i / 1000, i % 1000, i, i + 1);
  }
  json += '}';
  const std::string file = raw<uint64_t>(json.size()) + json + std::string(kCount, 'x');
  const SafetensorsHeader header = parse_safetensors_header(bytes_of(file), "many");
  ASSERT_EQ(header.tensors.size(), static_cast<size_t>(kCount));
  EXPECT_EQ(header.tensors.back().name, "model.layers.199.mlp.experts.999.weight");
  EXPECT_EQ(header.tensors.back().offset, file.size() - 1);
}

}  // namespace
}  // namespace lathe::io
