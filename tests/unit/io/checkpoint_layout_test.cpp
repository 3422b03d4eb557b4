#include "io/checkpoint_layout.h"

#include "io/json.h"
#include "unit/io/hostile.h"

namespace lathe::io {
namespace {

TensorSpec bytes_tensor(const std::string& name, int64_t size) {
  return {name, DType::kU8, {size}};
}

std::vector<std::string> file_names(const CheckpointLayout& layout) {
  std::vector<std::string> names;
  for (const PlannedShard& shard : layout.shards) names.push_back(shard.file_name);
  return names;
}

TEST(CheckpointLayout, OneShardHasNoIndex) {
  const CheckpointLayout layout = plan_checkpoint({bytes_tensor("a", 3), bytes_tensor("b", 4)}, 7);
  EXPECT_EQ(file_names(layout), std::vector<std::string>{"model.safetensors"});
  EXPECT_EQ(layout.index_json(), "");
  EXPECT_EQ(layout.total_bytes, 7u);
  EXPECT_EQ(layout.shards[0].file_bytes, layout.shards[0].header_bytes + 7);
  EXPECT_EQ(layout.shards[0].header_bytes % 8, 0u);
}

TEST(CheckpointLayout, FillsShardsInOrder) {
  const CheckpointLayout layout =
      plan_checkpoint({bytes_tensor("a", 3), bytes_tensor("b", 3), bytes_tensor("c", 3),
                       bytes_tensor("d", 9), bytes_tensor("e", 1), bytes_tensor("empty", 0)},
                      6);
  EXPECT_EQ(file_names(layout),
            (std::vector<std::string>{
                "model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
                "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors"}));
  std::vector<size_t> shards;
  for (const PlannedTensor& tensor : layout.tensors) shards.push_back(tensor.shard);
  EXPECT_EQ(shards,
            (std::vector<size_t>{0, 0, 1, 2, 3, 3}));  // d is larger than a shard: it has its own

  const nlohmann::json index = parse_json(layout.index_json(), "index");
  EXPECT_EQ(index["metadata"]["total_size"], 19);
  EXPECT_EQ(index["weight_map"].size(), 6u);
  EXPECT_EQ(index["weight_map"]["d"], "model-00003-of-00004.safetensors");
}

TEST(CheckpointLayout, AlignsTensorsInsideAShard) {
  const CheckpointLayout layout = plan_checkpoint({bytes_tensor("a", 3),
                                                   {"b", DType::kBF16, {1}},
                                                   {"c", DType::kF32, {}},
                                                   {"d", DType::kI64, {2}}},
                                                  100);
  for (const PlannedTensor& tensor : layout.tensors)
    EXPECT_EQ(tensor.offset % dtype_size(tensor.dtype), 0u);
}

TEST(CheckpointLayout, HashSeesEveryChange) {
  const std::vector<TensorSpec> tensors = {bytes_tensor("a", 3), {"b", DType::kBF16, {2, 3}}};
  const uint64_t hash = plan_checkpoint(tensors, 100).hash();
  EXPECT_EQ(plan_checkpoint(tensors, 100).hash(), hash);
  EXPECT_NE(plan_checkpoint(tensors, 1).hash(), hash);
  EXPECT_NE(plan_checkpoint({tensors[1], tensors[0]}, 1).hash(),
            plan_checkpoint(tensors, 1).hash());
  auto changed = tensors;
  changed[1].shape = {3, 2};
  EXPECT_NE(plan_checkpoint(changed, 100).hash(), hash);
  changed = tensors;
  changed[1].dtype = DType::kF16;
  EXPECT_NE(plan_checkpoint(changed, 100).hash(), hash);
  changed = tensors;
  changed[0].name = "A";
  EXPECT_NE(plan_checkpoint(changed, 100).hash(), hash);
  CheckpointLayout layout = plan_checkpoint(tensors, 100);
  layout.fingerprint = "int4";
  EXPECT_NE(layout.hash(), hash);
}

TEST(CheckpointLayout, RefusesNonsense) {
  error_of(ErrorKind::kUser, [] { plan_checkpoint({bytes_tensor("a", 1)}, 0); });
  error_of(ErrorKind::kInternal, [] {
    plan_checkpoint({bytes_tensor("a", 1), bytes_tensor("a", 1)}, 9);
  });
  error_of(ErrorKind::kInternal, [] { plan_checkpoint({bytes_tensor("a", -1)}, 9); });
  error_of(ErrorKind::kInternal, [] {
    plan_checkpoint({{"a", DType::kF64, {int64_t{1} << 61}}}, 9);
  });
}

}  // namespace
}  // namespace lathe::io
