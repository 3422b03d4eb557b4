#include "lathe/export.h"

#include <numeric>

#include "api/export_report.h"
#include "api/prepare.h"
#include "api/unit_writer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "lathe/session.h"

namespace lathe {
namespace {

/// A model without quantizers is exported as it is.
exporting::QuantizationScheme scheme_of(Model::Impl& model) {
  if (!model.quantization) model.quantization.emplace();
  if (model.folded)
    throw_user("{}: its weights were folded; export before fold_weight()", model.path);
  if (model.source_quantization && !model.dequantized) {
    throw_user("{}: it was opened from a quantized checkpoint, which is exported already",
               model.path);
  }
  std::vector<std::string> problems;
  exporting::QuantizationScheme scheme = api::make_scheme(model, problems);
  api::refuse_problems(problems);
  return scheme;
}

template <typename Items>
std::vector<size_t> all_of(const Items& items) {
  std::vector<size_t> indices(items.size());
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

}  // namespace

ExportReport export_checkpoint(Model& model, const std::string& folder,
                               const ExportOptions& options) {
  Model::Impl& impl = model.impl();
  const exporting::QuantizationScheme scheme = scheme_of(impl);
  const exporting::ExportOptions plan_options{
      .dialect = options.dialect,
      .target = options.target,
      .max_shard_bytes = static_cast<size_t>(options.max_shard_bytes),
      .producer_version = version()};
  exporting::CheckpointExporter exporter(
      exporting::CheckpointPlan::make(impl.model, scheme, plan_options), folder,
      exporting::ExportMode::kFresh, options.force);
  for (const std::string& warning : api::scheme_warnings(impl, exporter.plan()))
    spdlog::warn("{}", warning);
  api::UnitWriter writer(impl, exporter);
  const quantization::Conversion& conversion = impl.quantization->conversion;
  writer.fit_scales(all_of(conversion.groups), all_of(conversion.attentions));
  Progress progress("exporting", static_cast<int64_t>(exporter.plan().units().size()),
                    ProgressUnit::kItems);
  for (const exporting::ExportUnit& unit : exporter.plan().units()) {
    progress.set_detail(unit.name);
    writer.write(unit);
    progress.advance(1);
  }
  exporter.finish();
  return api::export_report(exporter.plan(), folder);
}

}  // namespace lathe
