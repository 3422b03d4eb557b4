#include "unit/export/tiny_model.h"

#include <ATen/ops/empty.h>

#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "export/hf_checkpoint/scale_storage.h"
#include "ir/scalar_types.h"
#include "kernels/kernels.h"
#include "unit/export/model_tree.h"

namespace lathe::testing {
namespace {

using exporting::LayerScheme;

/// Numbers of a fixed generator, spread over several powers of two.
at::Tensor weight_of(const std::vector<int64_t>& shape, uint32_t seed) {
  at::Tensor tensor = at::empty(shape, at::kBFloat16);
  uint32_t state = seed * 2654435761u + 1;
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    state = state * 1664525u + 1013904223u;
    const float unit = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
    tensor.mutable_data_ptr<at::BFloat16>()[i] = unit * unit * unit;
  }
  return tensor;
}

void put_layer(ir::Model& model, const std::string& path, uint32_t seed) {
  const auto put = [&](const std::string& name, const std::vector<int64_t>& shape) {
    put_tensor(model, path + name, std::make_shared<ir::Parameter>(weight_of(shape, ++seed)));
  };
  for (const char* name : {"q", "k", "v", "o"}) {
    put(std::string(".self_attn.") + name + "_proj.weight", {64, 64});
  }
  put(".self_attn.o_proj.bias", {64});
  put(".mlp.gate_proj.weight", {128, 64});
  put(".mlp.up_proj.weight", {128, 64});
  put(".mlp.down_proj.weight", {64, 128});
  put(".input_layernorm.weight", {64});
}

kernels::MatrixView view_of(const at::Tensor& weight) {
  return {weight.const_data_ptr(), ir::to_dtype(weight.scalar_type()), weight.size(0),
          weight.size(1)};
}

/// Above all weights: fused layers share the scale that comes of it.
constexpr float kLargestAmax = 1.0f;

/// Counts the steps of an export.
class Steps {
 public:
  explicit Steps(int limit) : left_(limit) {}
  template <typename Step>
  bool operator()(const Step& step) {
    if (left_-- <= 0) return false;
    step();
    return true;
  }

 private:
  int left_;
};

}  // namespace

ir::Model tiny_model() {
  ir::Model model;
  model.architecture = "LlamaForCausalLM";
  model.root = ir::make_module("LlamaForCausalLM");
  put_tensor(model, "model.embed_tokens.weight",
             std::make_shared<ir::Parameter>(weight_of({32, 64}, 1)));
  put_layer(model, "model.layers.0", 100);
  put_layer(model, "model.layers.1", 200);
  put_tensor(model, "model.norm.weight", std::make_shared<ir::Parameter>(weight_of({64}, 2)));
  put_parameter(*model.root, "lm_head.weight",
                model.root->find_parameter("model.embed_tokens.weight"));
  model.tied = {{"lm_head.weight", "model.embed_tokens.weight"}};
  model.config = {{"architectures", {"LlamaForCausalLM"}}, {"hidden_size", 64}};
  model.files = {{"tokenizer.json", {}, "{\"version\": \"1.0\"}"},
                 {"generation_config.json", {}, "{\"top_p\": 0.9, \"eos_token_id\": 2}"}};
  return model;
}

exporting::QuantizationScheme uniform_scheme(const ir::Model& model, formats::Format weight,
                                             std::optional<formats::Format> input,
                                             bool input_dynamic) {
  exporting::QuantizationScheme scheme;
  for (const std::string& path : projection_paths(model)) {
    scheme.layers.push_back(
        {.path = path, .weight = weight, .input = input, .input_dynamic = input_dynamic});
  }
  scheme.unquantized = {"lm_head", "model.embed_tokens"};
  return scheme;
}

exporting::QuantizationScheme mixed_scheme(const ir::Model& model) {
  auto scheme = uniform_scheme(model, formats::kFp8, formats::kFp8);
  for (LayerScheme& layer : scheme.layers) {
    if (layer.path.find(".mlp.") == std::string::npos) continue;
    layer.weight = formats::kNvfp4;
    layer.input = formats::kNvfp4;
  }
  for (const char* layer : {"model.layers.0", "model.layers.1"}) {
    const std::string attention = std::string(layer) + ".self_attn.";
    scheme.kv.push_back({attention + "k_proj", attention + "v_proj", formats::kFp8,
                         std::string(layer) + ".self_attn"});
  }
  return scheme;
}

exporting::LayerValues amax_values(const exporting::PlannedLayer& layer, const at::Tensor& weight) {
  const formats::Format& format = layer.scheme.weight;
  const auto matrix = view_of(weight);
  const auto cells = formats::grid_shape(format.block, matrix.rows, matrix.cols).size();
  std::vector<float> grid(static_cast<size_t>(cells));
  kernels::amax(matrix, format.block, grid);

  exporting::LayerValues values;
  values.weight_scales.kind = format.scale;
  values.weight_scales.global_scale = formats::global_scale_from_amax(format, kLargestAmax);
  if (format.scale == formats::ScaleKind::kFloat32) {
    values.weight_scales = formats::scales_from_amax(format, grid);
  }
  exporting::fit_weight_scales(layer.storage, values.weight_scales);
  if (layer.storage.find(exporting::LayerPart::kInputScale) != nullptr) values.input_scale = 0.25f;
  if (layer.scheme.pre_quant_scale) {
    values.pre_quant_scale = at::empty({matrix.cols}, at::kFloat).fill_(0.5);
  }
  return values;
}

bool run_export(exporting::CheckpointExporter& exporter, const ir::Model& model,
                const exporting::QuantizationScheme& scheme, int max_steps) {
  Steps step(max_steps);
  const exporting::CheckpointPlan& plan = exporter.plan();
  std::unordered_map<std::string, std::string> quantized;  // by the tensor of the packed weight
  for (const exporting::PlannedLayer& layer : plan.layers())
    quantized[layer.weight_name()] = layer.scheme.path;
  for (const exporting::ExportUnit& unit : plan.units()) {
    if (exporter.unit_finished(unit.name)) continue;
    for (const io::PlannedTensor& tensor : unit.tensors) {
      const std::string& name = tensor.name;
      const ir::ParameterPtr parameter = model.root->find_parameter(name);
      bool more = true;
      if (const auto layer = quantized.find(name); layer != quantized.end()) {
        const std::string& path = layer->second;
        const at::Tensor weight = model.root->find_parameter(path + ".weight")->tensor();
        more = step(
            [&] { exporter.write_quantized(path, weight, amax_values(plan.layer(path), weight)); });
      } else if (parameter) {
        more = step([&] { exporter.write_plain(name, parameter->tensor()); });
      }
      if (!more) return false;
    }
    for (const exporting::KvScheme& kv : scheme.kv) {
      if (!kv.key_path.starts_with(unit.name + ".")) continue;
      if (!step([&] { exporter.write_kv(kv, {0.5f, 0.25f}); })) return false;
    }
    if (!step([&] { exporter.finish_unit(unit.name); })) return false;
  }
  return step([&] { exporter.finish(); });
}

exporting::CheckpointPlan tiny_plan() {
  const ir::Model model = tiny_model();
  exporting::ExportOptions options;
  options.max_shard_bytes = 60'000;
  options.producer_version = "test";
  return exporting::CheckpointPlan::make(model, mixed_scheme(model), options);
}

bool export_tiny(const std::filesystem::path& output, exporting::ExportMode mode, bool force,
                 int max_steps) {
  const ir::Model model = tiny_model();
  exporting::CheckpointExporter exporter(tiny_plan(), output, mode, force);
  return run_export(exporter, model, mixed_scheme(model), max_steps);
}

}  // namespace lathe::testing
