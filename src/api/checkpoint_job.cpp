#include "api/checkpoint_job.h"

#include <algorithm>
#include <unordered_set>

#include "api/export_report.h"
#include "api/model_inputs.h"
#include "api/scheme.h"
#include "api/source_scales.h"
#include "api/token_batches.h"
#include "base/error.h"
#include "base/parallel.h"
#include "ir/scalar_types.h"
#include "lathe/session.h"

namespace lathe::api {
namespace {

/// What each parameter becomes, in bytes: a quantized weight with its scales.
class WrittenBytes {
 public:
  explicit WrittenBytes(const exporting::CheckpointPlan& plan) {
    for (const exporting::PlannedLayer& layer : plan.layers()) layers_[layer.scheme.path] = 0;
    add_fused(plan);
    for (const io::PlannedTensor& tensor : plan.layout().tensors) {
      const std::string_view name = tensor.name;
      if (const auto first = fused_.find(tensor.name); first != fused_.end()) {
        *first->second += static_cast<int64_t>(tensor.bytes);
        continue;
      }
      const auto layer = layers_.find(name.substr(0, name.rfind('.')));
      const bool own = layer == layers_.end() || name.ends_with(".bias");
      (own ? tensors_[name] : layer->second) += static_cast<int64_t>(tensor.bytes);
    }
  }

  /// Of all parameters that a tensor of the source became; nothing if no tensor stands for them.
  std::optional<int64_t> of(const ir::SourceTensor& source) const {
    if (source.pieces.empty()) return of(source.path);
    std::optional<int64_t> bytes;
    for (const std::string& piece : source.pieces) {
      if (const auto own = of(piece)) bytes = bytes.value_or(0) + *own;
    }
    return bytes;
  }

 private:
  /// Tensors of several parameters are counted as the first one's.
  void add_fused(const exporting::CheckpointPlan& plan) {
    for (const exporting::PlannedLayer& layer : plan.layers()) {
      if (!layer.is_fused()) continue;
      for (const io::TensorSpec& tensor : layer.tensors())
        fused_.try_emplace(tensor.name, &layers_.at(layer.scheme.path));
    }
    for (const exporting::FusedTensor& fused : plan.fused())
      fused_.try_emplace(fused.tensor.name, &tensors_[fused.parameters.front()]);
  }

  std::optional<int64_t> of(std::string_view parameter) const {
    const auto layer = layers_.find(exporting::layer_of_weight(parameter));
    if (layer != layers_.end()) return layer->second;
    const auto tensor = tensors_.find(parameter);
    return tensor == tensors_.end() ? std::nullopt : std::optional(tensor->second);
  }

  std::unordered_map<std::string_view, int64_t> layers_;   // by path
  std::unordered_map<std::string_view, int64_t> tensors_;  // all others
  std::unordered_map<std::string, int64_t*> fused_;        // by the tensor's name
};

class CheckpointPlanner {
 public:
  explicit CheckpointPlanner(JobDraft draft)
      : draft_(std::move(draft)), job_(draft_.job), prepared_{draft_.model, {}, {}, {}, {}} {}

  CheckpointJob prepare() && {
    draft_.convert();
    keep_source();
    warn_of_fused_experts();
    plan_calibration();
    plan_evaluation();
    plan_checkpoint();
    draft_.finish();
    prepared_.summary = std::move(draft_.summary);
    return std::move(prepared_);
  }

 private:
  Model::Impl& impl() { return prepared_.model.impl(); }
  QuantizePlan& summary() { return draft_.summary; }
  std::vector<std::string>& problems() { return draft_.summary.problems; }

  /// Fused experts whose layout only a known architecture tells: they stay as they are.
  void warn_of_fused_experts() {
    if (impl().model.has_graph()) return;
    std::string first;
    int64_t count = 0;
    for (const ir::SourceTensor& tensor : impl().model.tensors) {
      if (tensor.path != tensor.name || tensor.parameter->shape().size() != 3 ||
          tensor.path.find("expert") == std::string::npos)
        continue;
      if (count++ == 0) first = tensor.name;
    }
    if (count == 0) return;
    summary().warnings.push_back(
        fmt::format("{}{}: experts fused in one tensor of a layout that only a known architecture "
                    "tells; they are not quantized",
                    first, count > 1 ? fmt::format(" and {} more", count - 1) : ""));
  }

  void keep_source() {
    if (!impl().source_quantization) return;
    const SourceWeights weights = keep_source_scales(impl());
    summary().source_algo = impl().source_quantization->quant_algo;
    summary().kept_weights = weights.kept;
    summary().decoded_weights = weights.decoded;
  }

  void plan_calibration() {
    const bool text = !impl().model.has_graph() || takes_text(impl());
    const bool wanted = draft_.wants_calibration(
        text ? "--calib FILE (.txt, .jsonl, .safetensors, .npy), or --calib builtin for the text "
               "that comes with Lathe"
             : "--calib FILE (.safetensors or .npz) with " + required_inputs(impl()));
    if (!wanted) return;
    draft_.collect_problem([&] {
      prepared_.calibration = load_calibration(job_, prepared_.model, summary().warnings);
      if (prepared_.calibration->is_text) {
        summary().calibration_tokens = prepared_.calibration->tokens;
      } else {
        summary().calibration_samples = prepared_.calibration->samples;
      }
    });
  }

  void plan_evaluation() {
    if (job_.eval_text.empty()) return;
    draft_.collect_problem([&] {
      impl().require_graph("--eval-text");
      const std::string problem = evaluation_problem(prepared_.model);
      if (!problem.empty()) throw_user("--eval-text: {}", problem);
      prepared_.evaluation = load_tokens(job_.eval_text, prepared_.model,
                                         {.samples = job_.eval_samples, .seq_len = job_.seq_len});
    });
  }

  /// What must be equal for an interrupted run to be continued.
  std::string fingerprint() {
    std::string text = fmt::format("{}|{}|{}{}", summary().config, job_.fuse_scales,
                                   prepared_.model.path(), job_.all_experts ? "|all experts" : "");
    if (!job_.recipe.empty()) text += "|" + enabled_quantizers();
    if (prepared_.calibration) {
      text += fmt::format("|{}x{}|{:016x}", prepared_.calibration->samples,
                          prepared_.calibration->tokens, prepared_.calibration->hash);
    }
    return text;
  }

  std::string enabled_quantizers() {
    std::string text;
    for (const quantization::TensorQuantizer* quantizer :
         impl().quantization->conversion.quantizers()) {
      if (quantizer->enabled()) text += quantizer->name() + "=" + quantizer->describe() + ";";
    }
    return text;
  }

  void plan_checkpoint() {
    exporting::QuantizationScheme scheme = make_scheme(impl(), problems());
    const exporting::ExportOptions options{
        .dialect = job_.dialect,
        .target = job_.target,
        .max_shard_bytes = static_cast<size_t>(job_.max_shard_bytes),
        .producer_version = version(),
        .fingerprint = fingerprint()};
    std::vector<std::string> found;
    prepared_.checkpoint =
        exporting::CheckpointPlan::make_unless(found, impl().model, std::move(scheme), options);
    for (std::string& problem : found) {
      if (std::find(problems().begin(), problems().end(), problem) == problems().end())
        problems().push_back(std::move(problem));
    }
    if (!prepared_.checkpoint) return;
    summarize(*prepared_.checkpoint);
    for (std::string& warning : scheme_warnings(impl(), *prepared_.checkpoint))
      summary().warnings.push_back(std::move(warning));
    if (job_.output.empty()) return;  // a plan alone needs none
    const auto mode = job_.resume ? exporting::ExportMode::kResume : exporting::ExportMode::kFresh;
    for (const std::string& problem :
         output_problems(*prepared_.checkpoint, job_.output, mode, job_.force)) {
      problems().push_back(problem);
    }
  }

  void summarize(const exporting::CheckpointPlan& plan) {
    summary().quant_algo = plan.algorithm();
    summary().kv_cache_algo = plan.kv_algorithm();
    summary().bytes_written = static_cast<int64_t>(plan.layout().total_bytes);
    summary().bits_per_weight = bits_per_quantized_weight(plan);
    add_rows(plan);
    estimate_memory();
    summary().seconds = estimated_seconds();
  }

  void add_rows(const exporting::CheckpointPlan& plan) {
    std::unordered_map<std::string_view, const quantization::TensorQuantizer*> layers;
    for (const auto& layer : impl().quantization->conversion.layers)
      if (layer.weight->enabled()) layers[layer.path] = layer.weight;
    const WrittenBytes written(plan);
    const std::unordered_set<std::string> parts = source_scale_names();
    summary().tensors.reserve(impl().model.tensors.size());
    for (const ir::SourceTensor& source : impl().model.tensors) {
      QuantizePlan::Row row{.name = source.name, .shape = source.parameter->shape()};
      row.bytes_in = source.parameter->bytes();
      summary().bytes_read += row.bytes_in;
      const auto layer = layers.find(exporting::layer_of_weight(source.path));
      const std::optional<int64_t> bytes_out = written.of(source);
      if (layer != layers.end()) {
        row.action = layer->second->keeps_scales() ? "keep" : "quantize";
        row.format = layer->second->describe();
      } else if (source.path.empty()) {
        row.action = "drop";
        row.format = source.dropped;
      } else {
        row.action = bytes_out ? "copy" : "tie";
        row.format = dtype_name(ir::to_dtype(source.parameter->dtype()));
      }
      if (bytes_out && parts.contains(source.name)) {
        row.action = "merge";
      } else {
        row.bytes_out = bytes_out.value_or(0);
      }
      summary().tensors.push_back(std::move(row));
    }
  }

  /// Tensors of a quantized source that belong to the codes of a weight.
  std::unordered_set<std::string> source_scale_names() {
    std::unordered_set<std::string> names;
    if (!impl().source_quantization) return names;
    for (const frontends::QuantizedLinear& linear : impl().source_quantization->linears)
      names.insert(linear.tensors.begin() + 1, linear.tensors.end());
    return names;
  }

  /// LibTorch, the activations of the batches, and the largest block's working set if it is run.
  void estimate_memory() {
    int64_t memory = kBaseMemory;
    if (prepared_.calibration) {
      const int64_t hidden = impl().model.config.value("hidden_size", int64_t{0});
      const int64_t inner =
          std::max(impl().model.config.value("intermediate_size", int64_t{0}), hidden);
      const int64_t tokens = prepared_.calibration->tokens;
      memory += std::min<int64_t>(2 * tokens * hidden, static_cast<int64_t>(kActivationBudget));
      memory += 2 * kBatchTokens * (4 * inner + 8 * hidden);
    }
    summary().memory_bytes = memory;
  }

  /// Reading, packing and checking weights, and the passes over calibration data, at the rates that
  /// one core of the machine that Lathe is developed on has (bench/README.md).
  double estimated_seconds() {
    constexpr double kPackedBytes = 0.4e9;  // of the source, a second
    constexpr double kFlops = 70e9;
    constexpr double kStart = 0.3;
    double work = static_cast<double>(summary().bytes_read) / kPackedBytes;
    if (prepared_.calibration && summary().needs_calibration)
      work += 2 * active_weights() * static_cast<double>(prepared_.calibration->tokens) / kFlops;
    return kStart + work / max_threads();
  }

  /// Weights of linear layers that a token goes through.
  double active_weights() {
    const auto& config = impl().model.config;
    const auto number = [&](const char* key) {
      const auto found = config.find(key);
      return found != config.end() && found->is_number_integer() ? found->template get<double>()
                                                                 : 0.0;
    };
    const auto& conversion = impl().quantization->conversion;
    double expert_share = 1;
    for (const char* key : {"num_experts", "num_local_experts", "n_routed_experts"}) {
      if (number(key) > 0 && !job_.all_experts)
        expert_share = number("num_experts_per_tok") / number(key);
    }
    double weights = 0;
    for (const quantization::QuantizedLayer& layer : conversion.layers) {
      const bool routed = layer.path.find(".experts.") != std::string::npos;
      if (layer.input != nullptr)
        weights += static_cast<double>(layer.parameter()->numel()) * (routed ? expert_share : 1);
    }
    return weights;
  }

  JobDraft draft_;
  const QuantizeJob& job_;
  CheckpointJob prepared_;
};

}  // namespace

CheckpointJob prepare_checkpoint_job(JobDraft draft) {
  return CheckpointPlanner(std::move(draft)).prepare();
}

}  // namespace lathe::api
