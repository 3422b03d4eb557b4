#include "api/prepare.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "api/config_impl.h"
#include "api/program_layers.h"
#include "base/error.h"
#include "quantization/shape_problems.h"
#include "quantization/transposed_linears.h"

namespace lathe::api {
namespace {

/// Names of the layers' quantizers from the layer `first` on, those that a model without a graph
/// leaves out as well, and of all attentions'.
std::vector<quantization::QuantizerName> quantizer_names(const quantization::Conversion& conversion,
                                                         size_t first, size_t count) {
  std::vector<quantization::QuantizerName> names;
  for (size_t i = first; i < std::min(first + count, conversion.layers.size()); ++i) {
    const quantization::QuantizedLayer& layer = conversion.layers[i];
    const bool has_input = layer.input != nullptr || layer.module->graph == nullptr;
    if (has_input) names.push_back({ir::join_path(layer.path, "input_quantizer"), ""});
    for (const char* name : {"weight_quantizer", "output_quantizer"})
      names.push_back({ir::join_path(layer.path, name), ""});
  }
  for (const quantization::QuantizedAttention& attention : conversion.attentions) {
    for (const quantization::TensorQuantizer* quantizer : attention.quantizers())
      names.push_back({quantizer->name(), ""});
  }
  return names;
}

/// Entries that match no quantizer; piece by piece, since there may be a million of them.
std::vector<size_t> unmatched_entries(const quantization::QuantizerResolver& resolver,
                                      const quantization::Conversion& conversion) {
  constexpr size_t kPiece = 1024;
  std::vector<size_t> left = resolver.unmatched_entries({});
  for (size_t first = 0; !left.empty() && (first == 0 || first < conversion.layers.size());
       first += kPiece) {
    const auto here = resolver.unmatched_entries(quantizer_names(conversion, first, kPiece));
    std::erase_if(left, [&](size_t entry) { return std::ranges::count(here, entry) == 0; });
  }
  return left;
}

std::vector<std::string> unmatched_warnings(const quantization::QuantizerResolver& resolver,
                                            const quantization::Conversion& conversion) {
  std::vector<std::string> warnings;
  for (size_t entry : unmatched_entries(resolver, conversion)) {
    const auto& unmatched = resolver.config().entries[entry];
    if (unmatched.parent_class) continue;
    warnings.push_back(fmt::format("the pattern \"{}\" matches no quantizer of this model",
                                   unmatched.quantizer_name));
  }
  return warnings;
}

/// Without an algorithm inputs and outputs are scaled as they come; a cache that needs data is
/// calibrated, and then all is.
void leave_uncalibrated(const quantization::Conversion& conversion) {
  for (const auto& attention : conversion.attentions) {
    for (const quantization::TensorQuantizer* quantizer : attention.quantizers()) {
      if (quantizer->enabled() && quantizer->format().needs_data()) return;
    }
  }
  for (const auto& layer : conversion.layers) {
    for (quantization::TensorQuantizer* quantizer : {layer.input, layer.output}) {
      if (quantizer != nullptr && quantizer->enabled() && quantizer->format().needs_amax())
        quantizer->leave_uncalibrated();
    }
  }
}

std::vector<std::vector<size_t>> fused_layers(const ir::Model& model,
                                              const quantization::Conversion& conversion) {
  std::unordered_map<std::string_view, size_t> index;
  for (size_t i = 0; i < conversion.layers.size(); ++i) index.emplace(conversion.layers[i].path, i);
  std::vector<std::vector<size_t>> fused;
  for (const ir::FusedLinears& linears : model.fused) {
    std::vector<size_t>& members = fused.emplace_back();
    for (const std::string& path : linears.members) {
      if (const auto found = index.find(path); found != index.end())
        members.push_back(found->second);
    }
  }
  return fused;
}

bool anything_enabled(const quantization::Conversion& conversion) {
  for (const quantization::TensorQuantizer* quantizer : conversion.quantizers()) {
    if (quantizer->enabled()) return true;
  }
  return false;
}

}  // namespace

std::string algorithm_problem(std::string_view algorithm,
                              const quantization::Conversion& conversion) {
  if (algorithm == "max" || algorithm == "none") return "";
  // Of the search for scales only the choice of four-over-six is made, by the format itself.
  if (algorithm == "mse") {
    const bool chooses = std::ranges::all_of(conversion.layers, [](const auto& layer) {
      return !layer.weight->enabled() || layer.weight->format().format.four_over_six();
    });
    if (chooses) return "";
  }
  return fmt::format(
      "the algorithm \"{}\" is not supported; max is, and mse for weights of "
      "nvfp4_four_over_six",
      algorithm);
}

void refuse_quantized(const Model::Impl& model) {
  if (model.quantization) {
    throw_user("{}: the model is quantized already ({})", model.path,
               model.quantization->config_name);
  }
  if (!model.source_quantization || model.dequantized) return;
  throw_user("{}: the model is quantized already ({}); open it with OpenOptions::dequantize",
             model.path, model.source_quantization->quant_algo);
}

void prepare(Model::Impl& model, const QuantizeConfig& config, const QuantizeOptions& options,
             std::vector<std::string>& problems) {
  refuse_quantized(model);
  if (model.program != nullptr) model.require_graph("quantizing a program");
  const quantization::QuantConfig& parsed = config.impl().config;
  const quantization::QuantizerResolver resolver(parsed);
  Quantization& made = model.quantization.emplace();
  made.config_name = config.name();
  made.algorithm = parsed.algorithm.method;
  made.options = {.fuse_scales = options.fuse_scales};
  const bool is_program = model.program != nullptr && model.model.has_graph();
  if (is_program) {
    lift_and_fold(model, made);
  } else {
    quantization::transpose_linears(model.root(), resolver);
  }
  made.conversion = convert(model.root(), resolver, model.name_groups, problems,
                            is_program ? quantization::LayerKinds::kWithConvolutions
                                       : quantization::LayerKinds::kMatrices);
  if (is_program) fit_to_program(model, made);
  made.conversion.fused = fused_layers(model.model, made.conversion);
  const std::string problem = algorithm_problem(parsed.algorithm.method, made.conversion);
  if (!problem.empty()) problems.push_back(fmt::format("{}: {}", config.name(), problem));
  if (parsed.algorithm.method == "none") leave_uncalibrated(made.conversion);
  made.warnings = unmatched_warnings(resolver, made.conversion);
  model.interpreter.forget();
  for (auto& list : {quantization::shape_problems(made.conversion),
                     quantization::mixed_group_problems(made.conversion)}) {
    problems.insert(problems.end(), list.begin(), list.end());
  }
  if (!anything_enabled(made.conversion) && problems.empty()) {
    problems.push_back(fmt::format("{} quantizes nothing in this model", config.name()));
  }
}

void refuse_problems(const std::vector<std::string>& problems, ErrorKind kind) {
  if (problems.empty()) return;
  const std::string message =
      problems.size() == 1
          ? problems[0]
          : fmt::format("{} problems:\n  {}", problems.size(), fmt::join(problems, "\n  "));
  if (kind == ErrorKind::kData) throw DataError(message);
  throw UserError(message);
}

quantization::MaxCalibration whole_calibration(const quantization::Conversion& conversion) {
  std::vector<size_t> groups(conversion.groups.size());
  std::vector<size_t> attentions(conversion.attentions.size());
  std::iota(groups.begin(), groups.end(), 0);
  std::iota(attentions.begin(), attentions.end(), 0);
  return quantization::MaxCalibration(conversion, std::move(groups), std::move(attentions));
}

}  // namespace lathe::api
