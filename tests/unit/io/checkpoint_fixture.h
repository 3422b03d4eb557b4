#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/checkpoint_writer.h"
#include "io/safetensors_reader.h"
#include "unit/io/hostile.h"
#include "unit/io/temporary_folder.h"

namespace lathe::io {

/// Six tensors of mixed dtypes in three shards, with contents that differ by tensor and place.
class CheckpointFixture : public testing::Test {
 protected:
  static std::vector<TensorSpec> specs() {
    return {{"l0.weight", DType::kU8, {64, 33}}, {"l0.scale", DType::kF32, {}},
            {"l1.weight", DType::kU8, {64, 33}}, {"l1.scale", DType::kF32, {}},
            {"head", DType::kBF16, {100}},       {"empty", DType::kF32, {0, 4}}};
  }
  static CheckpointLayout layout() { return plan_checkpoint(specs(), 2200); }
  static std::shared_ptr<const CheckpointLayout> shared(CheckpointLayout layout) {
    return std::make_shared<const CheckpointLayout>(std::move(layout));
  }
  static std::shared_ptr<const CheckpointLayout> shared_layout() { return shared(layout()); }

  static std::string content(const std::string& name) {
    const CheckpointLayout planned = layout();
    const auto tensor =
        std::find_if(planned.tensors.begin(), planned.tensors.end(),
                     [&](const PlannedTensor& candidate) { return candidate.name == name; });
    std::string bytes(tensor->bytes, '\0');
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<char>(i * 31 + name.size() * 7 + static_cast<unsigned char>(name[1]));
    return bytes;
  }

  static void write(CheckpointWriter& writer, const std::string& name) {
    writer.write(name, bytes_of(content(name)));
  }
  static void write_unit(CheckpointWriter& writer, const std::string& unit) {
    write(writer, unit + ".weight");
    write(writer, unit + ".scale");
    writer.finish_unit(unit, {unit + ".weight", unit + ".scale"});
  }
  static void write_all_tensors(CheckpointWriter& writer) {
    for (const TensorSpec& spec : specs()) write(writer, spec.name);
  }

  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::map<std::string, std::string> contents_of_folder() const {
    std::map<std::string, std::string> contents;
    for (const std::string& name : files()) contents[name] = read_file(folder_ / name);
    return contents;
  }
  void expect_complete_checkpoint() const {
    const auto checkpoint = SafetensorsCheckpoint::open(folder_.path());
    EXPECT_EQ(checkpoint.tensors().size(), specs().size());
    for (const TensorEntry& tensor : checkpoint.tensors()) {
      const std::string expected = content(tensor.name);
      EXPECT_TRUE(std::ranges::equal(tensor.data(), bytes_of(expected))) << tensor.name;
    }
  }
  /// Changes one byte of a file.
  void damage(const std::string& file, size_t offset) const {
    std::string bytes = read_file(folder_ / file);
    bytes.at(offset) = static_cast<char>(bytes[offset] ^ 1);
    write_file(folder_ / file, bytes);
  }

  TemporaryFolder folder_;
};

}  // namespace lathe::io
