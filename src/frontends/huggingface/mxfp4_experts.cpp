#include "frontends/huggingface/mxfp4_experts.h"

#include "base/error.h"
#include "frontends/huggingface/expert_weights.h"
#include "frontends/huggingface/packed_weight.h"
#include "frontends/huggingface/weights.h"
#include "frontends/problem_list.h"

namespace lathe::frontends {
namespace {

constexpr std::string_view kBlocks = "_blocks";
constexpr std::string_view kScales = "_scales";
constexpr int64_t kBlock = 32;

/// Two tensors that hold all experts of one projection.
struct FusedExperts {
  std::string path;  // "model.layers.0.mlp.experts"
  std::string name;  // "gate_up_proj"
  StoredTensor blocks;
  StoredTensor scales;

  int64_t count() const { return blocks.shape[0]; }
  int64_t rows() const { return blocks.shape[1]; }
  int64_t cols() const { return blocks.shape[2] * kBlock; }
  std::string own_path(int64_t expert) const { return fmt::format("{}.{}.{}", path, expert, name); }
};

PackedMatrix packed_expert(const FusedExperts& fused, int64_t expert) {
  return {.format = formats::kMxfp4,
          .packing = formats::Packing::kNibbles,
          .rows = fused.rows(),
          .cols = fused.cols(),
          .codes = [blocks = fused.blocks.read,
                    expert] { return blocks(at::kByte).select(0, expert).contiguous(); },
          .scales =
              [scales = fused.scales.read, expert] {
                const at::Tensor own = scales(at::kByte).select(0, expert).contiguous();
                const auto* codes = own.const_data_ptr<uint8_t>();
                return formats::Scales{.kind = formats::ScaleKind::kE8M0,
                                       .values = {},
                                       .codes = {codes, codes + own.numel()}};
              }};
}

class Mxfp4Reader {
 public:
  Mxfp4Reader(const ConfigReader& section, TensorStore& store, at::ScalarType dtype)
      : section_(section), store_(store), dtype_(dtype) {}

  QuantizedSource read() {
    QuantizedSource source{.method = "mxfp4", .quant_algo = "mxfp4"};
    if (const auto names = section_.find_texts("modules_to_not_convert")) {
      source.exclude_modules = *names;
    }
    std::vector<std::string> fused;  // reading one changes the store
    for (const StoredTensor* tensor : store_.tensors()) {
      if (tensor->name.ends_with(kBlocks)) fused.push_back(tensor->name);
    }
    for (const std::string& name : fused) read_experts(*store_.find(name), source);
    if (problems_.empty()) return source;
    throw_data("{}: the tensors do not fit quant_method \"mxfp4\":{}", section_.source_name(),
               problem_list(problems_));
  }

 private:
  void fail(const StoredTensor& tensor, const std::string& what) {
    problems_.push_back(fmt::format("{}: {} {}", tensor.file, tensor.name, what));
  }

  bool check(const StoredTensor& blocks, const StoredTensor& scales) {
    const size_t before = problems_.size();
    for (const StoredTensor* tensor : {&blocks, &scales}) {
      if (tensor->dtype == at::kByte) continue;
      fail(*tensor, fmt::format("has dtype {}, expected uint8", c10::toString(tensor->dtype)));
    }
    const std::vector<int64_t>& shape = blocks.shape;
    const bool has_form =
        shape.size() == 4 && shape[0] > 0 && shape[1] > 0 && shape[2] > 0 && shape[3] == kBlock / 2;
    if (!has_form) {
      fail(blocks, fmt::format("is {}, expected [experts, rows, blocks, {}]", shape_text(shape),
                               kBlock / 2));
    } else if (scales.shape != std::vector<int64_t>(shape.begin(), shape.begin() + 3)) {
      fail(scales, fmt::format("is {}, but {} is {}", shape_text(scales.shape), blocks.name,
                               shape_text(shape)));
    } else if (static_cast<size_t>(shape[0]) > kMostExperts) {
      fail(blocks, fmt::format("has {} experts, expected at most {}", shape[0], kMostExperts));
    }
    return problems_.size() == before;
  }

  void read_experts(const StoredTensor& blocks, QuantizedSource& source) {
    const std::string whole = blocks.name.substr(0, blocks.name.size() - kBlocks.size());
    const StoredTensor* scales = store_.find(whole + std::string(kScales));
    const size_t dot = whole.rfind('.');
    if (scales == nullptr) {
      return fail(blocks, fmt::format("is packed, but {}{} is missing", whole, kScales));
    }
    if (dot == std::string::npos || dot + 1 == whole.size()) {
      return fail(blocks, "is of no module");
    }
    if (!check(blocks, *scales)) return;
    split({whole.substr(0, dot), whole.substr(dot + 1), blocks, *scales}, source);
  }

  void split(const FusedExperts& fused, QuantizedSource& source) {
    std::vector<StoredTensor> parts;
    for (int64_t expert = 0; expert < fused.count(); ++expert) {
      const PackedMatrix packed = packed_expert(fused, expert);
      const std::string path = fused.own_path(expert);
      const auto read = [packed](at::ScalarType wanted) { return decode(packed, wanted); };
      if (store_.find(path + ".weight") != nullptr) {
        return fail(fused.blocks, fmt::format("stands for {}.weight, which is there too", path));
      }
      parts.push_back(
          {path + ".weight", dtype_, {packed.rows, packed.cols}, fused.blocks.file, read, {}});
      source.linears.push_back({.path = path,
                                .quant_algo = source.quant_algo,
                                .weight_format = packed.format,
                                .tensors = {fused.blocks.name, fused.scales.name},
                                .scales = packed.scales});
    }
    store_.fuse(fused_linears(fused.path, fused.name, fused.count()));
    store_.split(fused.blocks.name, std::move(parts));
    store_.drop(fused.scales.name, "decoded into the weights of the experts");
  }

  static constexpr size_t kMostExperts = 1 << 14;

  const ConfigReader& section_;
  TensorStore& store_;
  at::ScalarType dtype_;
  std::vector<std::string> problems_;
};

}  // namespace

QuantizedSource read_mxfp4(const ConfigReader& section, TensorStore& store, at::ScalarType dtype) {
  return Mxfp4Reader(section, store, dtype).read();
}

}  // namespace lathe::frontends
