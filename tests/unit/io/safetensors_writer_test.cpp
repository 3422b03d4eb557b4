#include "io/safetensors_writer.h"

#include "io/safetensors_reader.h"
#include "unit/io/hostile.h"
#include "unit/io/temporary_folder.h"

namespace lathe::io {
namespace {

/// The file that the safetensors wheel wrote, read by Lathe and written again, has the same bytes.
TEST(SafetensorsWriter, WritesTheBytesOfTheWheel) {
  const SafetensorsFile source = SafetensorsFile::open(golden("wheel.safetensors"));
  std::vector<TensorToWrite> tensors;
  for (const TensorEntry& tensor : source.tensors()) {
    tensors.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.data()});
  }
  const TemporaryFolder folder;
  write_safetensors(folder / "copy.safetensors", tensors, source.metadata());
  EXPECT_EQ(read_file(folder / "copy.safetensors"), read_file(golden("wheel.safetensors")));
}

TEST(SafetensorsWriter, AlignsEveryTensorToItsElement) {
  const std::string data(64, 'x');
  const auto bytes = [&](size_t count) { return bytes_of(data).first(count); };
  const TemporaryFolder folder;
  write_safetensors(folder / "t", {{"u8", DType::kU8, {3}, bytes(3)},
                                   {"f32", DType::kF32, {1}, bytes(4)},
                                   {"bf16", DType::kBF16, {3}, bytes(6)},
                                   {"i64", DType::kI64, {2}, bytes(16)}});
  const SafetensorsFile file = SafetensorsFile::open(folder / "t");
  EXPECT_EQ(file.tensors().front().name, "i64");
  for (const TensorEntry& tensor : file.tensors())
    EXPECT_EQ(tensor.offset % dtype_size(tensor.dtype), 0u);
}

TEST(SafetensorsWriter, RefusesWrongSizesAndDuplicates) {
  const std::string data(8, 'x');
  const TemporaryFolder folder;
  error_of(ErrorKind::kInternal, [&] {
    write_safetensors(folder / "t", {{"a", DType::kF32, {1}, bytes_of(data)}});
  });
  error_of(ErrorKind::kInternal, [&] {
    write_safetensors(folder / "t", {{"a", DType::kI64, {1}, bytes_of(data)},
                                     {"a", DType::kI64, {1}, bytes_of(data)}});
  });
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace lathe::io
