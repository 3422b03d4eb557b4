#include "cli/json_output.h"

#include <fmt/format.h>

#include <cstdio>

namespace lathe::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kIndent = 1;

Json to_json(const Evaluation::Divergence& divergence) {
  return {{"mean", divergence.mean},
          {"error", divergence.error},
          {"median", divergence.median},
          {"percentile_99", divergence.percentile_99},
          {"maximum", divergence.maximum},
          {"same_top", divergence.same_top},
          {"reference_perplexity", divergence.reference_perplexity}};
}

Json to_json(const ExportReport& written) {
  return {{"folder", written.folder},
          {"quantized_tensors", written.quantized_tensors},
          {"copied_tensors", written.copied_tensors},
          {"dropped_tensors", written.dropped_tensors},
          {"bytes", written.bytes},
          {"bits_per_weight", written.bits_per_weight}};
}

}  // namespace

Json to_json(const QuantizePlan& plan) {
  Json tensors = Json::array();
  for (const auto& row : plan.tensors) {
    tensors.push_back({{"name", row.name},
                       {"action", row.action},
                       {"format", row.format},
                       {"shape", row.shape},
                       {"bytes_in", row.bytes_in},
                       {"bytes_out", row.bytes_out}});
  }
  return {{"architecture", plan.architecture},
          {"source_algo", plan.source_algo},
          {"kept_weights", plan.kept_weights},
          {"decoded_weights", plan.decoded_weights},
          {"config", plan.config},
          {"quant_algo", plan.quant_algo},
          {"kv_cache_algo", plan.kv_cache_algo},
          {"needs_calibration", plan.needs_calibration},
          {"calibration_tokens", plan.calibration_tokens},
          {"calibration_samples", plan.calibration_samples},
          {"bytes_read", plan.bytes_read},
          {"bytes_written", plan.bytes_written},
          {"memory_bytes", plan.memory_bytes},
          {"estimated_seconds", plan.seconds},
          {"bits_per_weight", plan.bits_per_weight},
          {"problems", plan.problems},
          {"warnings", plan.warnings},
          {"left_alone", plan.left_alone},
          {"groups", plan.groups},
          {"tensors", std::move(tensors)}};
}

Json to_json(const Evaluation& evaluation) {
  Json document = {{"perplexity", evaluation.perplexity},
                   {"perplexity_error", evaluation.perplexity_error},
                   {"loss", evaluation.loss},
                   {"loss_error", evaluation.loss_error},
                   {"tokens", evaluation.tokens},
                   {"seconds", evaluation.seconds}};
  if (evaluation.divergence) document["divergence"] = to_json(*evaluation.divergence);
  return document;
}

Json to_json(const QuantizeReport& report) {
  Json layers = Json::array();
  for (const auto& layer : report.layers) {
    layers.push_back(
        {{"path", layer.path}, {"format", layer.format}, {"relative_error", layer.relative_error}});
  }
  Json experts = Json::array();
  for (const auto& block : report.experts)
    experts.push_back({{"path", block.path}, {"tokens", block.tokens}});
  Json document = {{"written", to_json(report.written)},
                   {"seconds", report.seconds},
                   {"peak_memory_bytes", report.peak_memory_bytes},
                   {"resumed_units", report.resumed_units},
                   {"layers", std::move(layers)},
                   {"experts", std::move(experts)},
                   {"plan", to_json(report.plan)}};
  if (report.evaluation) document["evaluation"] = to_json(*report.evaluation);
  return document;
}

Json to_json(const Inspection& inspection) {
  Json tensors = Json::array();
  for (const auto& row : inspection.tensors) {
    tensors.push_back({{"name", row.name},
                       {"stored", row.stored},
                       {"shape", row.shape},
                       {"bytes", row.bytes},
                       {"format", row.format}});
  }
  return {{"kind", inspection.kind},
          {"architecture", inspection.architecture},
          {"quant_algo", inspection.quant_algo},
          {"kv_cache_algo", inspection.kv_cache_algo},
          {"dtype", inspection.dtype},
          {"parameters", inspection.parameters},
          {"bytes", inspection.bytes},
          {"bits_per_weight", inspection.bits_per_weight},
          {"tensors", std::move(tensors)}};
}

void print_json(const Json& document) {
  // Names in files need not be UTF-8.
  fmt::print("{}\n", document.dump(kIndent, ' ', false, Json::error_handler_t::replace));
}

}  // namespace lathe::cli
