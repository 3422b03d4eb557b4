#include "api/folded_weights.h"
#include "api/prepare.h"
#include "api/program_edits.h"
#include "api/program_job.h"
#include "api/quantizer_state.h"
#include "api/tensor_bridge.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"

namespace lathe {
namespace api {
namespace {

using quantization::QuantizedLayer;
using quantization::TensorQuantizer;

void calibrate(Model::Impl& model, const std::vector<NamedTensors>& batches) {
  quantization::MaxCalibration calibration = whole_calibration(model.quantization->conversion);
  calibration.begin();
  Progress progress("calibrating", static_cast<int64_t>(batches.size()), ProgressUnit::kItems);
  for (const NamedTensors& batch : batches) {
    ops::run_model(model.interpreter, model.root(), to_torch(batch));
    progress.advance(1);
  }
  calibration.finish(model.quantization->options);
  ir::release_parameters(model.root());
}

/// Quantizers that the data never reached have no scales to write.
void disable_unseen(const quantization::Conversion& conversion) {
  for (TensorQuantizer* quantizer : conversion.quantizers()) {
    if (!quantizer->enabled() || quantizer->has_scales()) continue;
    spdlog::warn("{} saw no data and is left out", quantizer->name());
    quantizer->set_enabled(false);
  }
}

std::vector<QuantizeReport::Layer> layer_errors(const quantization::Conversion& conversion) {
  std::vector<QuantizeReport::Layer> layers;
  for (const QuantizedLayer& layer : conversion.layers) {
    if (!layer.weight->enabled()) continue;
    layers.push_back({layer.path, layer.weight->describe(), relative_error(layer)});
  }
  return layers;
}

/// Bits for each of the weights that the source has.
double bits_per_weight(const Model::Impl& model, size_t bytes) {
  int64_t weights = 0;
  for (const ir::SourceTensor& tensor : model.model.tensors) weights += tensor.parameter->numel();
  return weights == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

}  // namespace

ExportReport write_program(const Model::Impl& model, const exporting::QuantizedProgram& source,
                           const std::string& output) {
  const exporting::ProgramEdits edits = program_edits(model);
  Progress progress("writing", static_cast<int64_t>(source.planned_bytes(edits)),
                    ProgressUnit::kBytes);
  const exporting::WrittenProgram written = source.write(
      edits, output, [&](size_t bytes) { progress.advance(static_cast<int64_t>(bytes)); });
  write_quantizer_state(*model.quantization, state_path(output));
  Model::open(output);  // what cannot be read back is no output
  ExportReport report{.folder = output};
  report.quantized_tensors = static_cast<int64_t>(edits.weights.size());
  for (const ir::SourceTensor& tensor : model.model.tensors) {
    for (const quantization::FoldedNorm& folded : model.quantization->folded_norms)
      report.dropped_tensors += tensor.name.starts_with(folded.norm + ".");
  }
  report.copied_tensors = static_cast<int64_t>(model.model.tensors.size()) -
                          report.quantized_tensors - report.dropped_tensors;
  report.bytes = static_cast<int64_t>(written.weight_bytes);
  report.bits_per_weight = bits_per_weight(model, written.weight_bytes);
  return report;
}

QuantizeReport run_program_job(const QuantizeJob& job, ProgramJob& prepared) {
  Model::Impl& model = prepared.model.impl();
  calibrate(model, prepared.batches);
  disable_unseen(model.quantization->conversion);
  QuantizeReport report;
  if (job.layer_errors) report.layers = layer_errors(model.quantization->conversion);
  report.written = write_program(model, *prepared.source, job.output);
  return report;
}

}  // namespace api

ExportReport export_program(Model& model, const std::string& path,
                            const ProgramExportOptions& options) {
  const Model::Impl& impl = model.impl();
  if (impl.program == nullptr)
    throw_user(
        "{}: only a model that was opened from a .pt2 file is a program; use "
        "export_checkpoint()",
        impl.path);
  if (!impl.quantization)
    throw_user("{}: the model has no quantizers; call quantize() first", impl.path);
  if (impl.folded)
    throw_user("{}: its weights were folded; export before fold_weight()", impl.path);
  std::vector<std::string> problems = api::program_format_problems(impl.quantization->conversion);
  for (const std::string& name : unseen_quantizers(impl.quantization->conversion))
    problems.push_back(fmt::format("{} is not calibrated: it saw no data", name));
  api::refuse_problems(problems);
  const exporting::QuantizedProgram source(impl.path);
  const exporting::ProgramEdits edits = api::program_edits(impl);
  problems = source.problems(edits);
  for (std::string& problem :
       api::program_output_problems(path, impl.path, options.force, source.planned_bytes(edits)))
    problems.push_back(std::move(problem));
  api::refuse_problems(problems);
  return api::write_program(impl, source, path);
}

}  // namespace lathe
