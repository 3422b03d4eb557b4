#include <iterator>
#include <unordered_set>

#include "api/checkpoint_job.h"
#include "api/evaluation_stream.h"
#include "api/expert_calibration.h"
#include "api/export_report.h"
#include "api/folded_weights.h"
#include "api/unit_writer.h"
#include "base/error.h"
#include "base/progress.h"
#include "quantization/calib/max_calibration.h"

namespace lathe::api {
namespace {

using quantization::QuantizedLayer;

/// Whether 2-D blocks come to one: such weights share their scale with those of their group.
bool is_one_block(const QuantizedLayer& layer) {
  const formats::BlockShape block = layer.weight->format().format.block;
  const std::vector<int64_t>& shape = layer.parameter()->shape();
  return block.rows > 1 && shape.size() == 2 &&
         formats::grid_shape(block, shape[0], shape[1]).size() == 1;
}

/// Runs a prepared job: calibrates and writes unit by unit.
class JobRunner {
 public:
  JobRunner(const QuantizeJob& job, CheckpointJob& prepared)
      : job_(job),
        prepared_(prepared),
        exporter_(std::move(*prepared.checkpoint), job.output,
                  job.resume ? exporting::ExportMode::kResume : exporting::ExportMode::kFresh,
                  job.force),
        writer_(prepared.model.impl(), exporter_) {
    for (const auto& unit : exporter_.plan().units()) {
      if (exporter_.unit_finished(unit.name)) ++report_.resumed_units;
    }
  }

  QuantizeReport run() && {
    if (prepared_.calibration) {
      run_calibrated();
    } else {
      run_weights_only();
    }
    if (prepared_.evaluation && !report_.evaluation) {
      report_.evaluation = evaluate(prepared_.model, *prepared_.evaluation);
    }
    release_model();
    exporter_.finish();
    report_.written = export_report(exporter_.plan(), job_.output);
    return std::move(report_);
  }

 private:
  const quantization::Conversion& conversion() const {
    return prepared_.model.impl().quantization->conversion;
  }
  const quantization::ScaleOptions& scale_options() const {
    return prepared_.model.impl().quantization->options;
  }

  /// Nothing of it is needed to read back what was written; it may be large.
  void release_model() {
    Model::Impl& model = prepared_.model.impl();
    model.quantization.reset();
    model.model.root = ir::make_module("");
    model.model.tensors = std::vector<ir::SourceTensor>();
  }

  void run_weights_only() {
    Progress progress("quantizing", prepared_.summary.bytes_read, ProgressUnit::kBytes);
    std::unordered_map<std::string_view, int64_t> bytes_in;
    for (const ir::SourceTensor& tensor : prepared_.model.impl().model.tensors) {
      bytes_in[tensor.path] += tensor.parameter->bytes();
    }
    for (const exporting::ExportUnit& unit : exporter_.plan().units()) {
      progress.set_detail(unit.name);
      if (!exporter_.unit_finished(unit.name)) finish_unit(unit);
      for (const io::PlannedTensor& tensor : unit.tensors) {
        if (const auto found = bytes_in.find(tensor.name); found != bytes_in.end())
          progress.advance(found->second);
      }
    }
  }

  /// Weight statistics of the unit's groups, then its tensors.
  void finish_unit(const exporting::ExportUnit& unit) {
    std::vector<size_t> groups;
    for (size_t group : writer_.groups_of(unit)) {
      if (scales_while_packing(group)) continue;
      if (calibrated_.insert(group).second) groups.push_back(group);
    }
    quantization::MaxCalibration(conversion(), groups, {}).finish(scale_options());
    writer_.fit_scales(groups, {});
    write_unit(unit);
  }

  /// Whether all scales of a group's weights are those of blocks of rows, which packing computes:
  /// the weights are read once then. What is measured on the way needs the scales before.
  bool scales_while_packing(size_t group) const {
    const std::string& algorithm = prepared_.model.impl().quantization->algorithm;
    if (algorithm != "max" && algorithm != "none") return false;
    if (job_.layer_errors || prepared_.evaluation) return false;
    for (size_t index : conversion().groups[group]) {
      const QuantizedLayer& layer = conversion().layers[index];
      if (!layer.weight->enabled()) continue;
      if (!layer.weight->has_local_scales() || is_one_block(layer)) return false;
    }
    return true;
  }

  void write_unit(const exporting::ExportUnit& unit) {
    if (job_.layer_errors) measure_errors(unit);
    writer_.write(unit);
    if (!prepared_.evaluation) forget_scales(unit);
  }

  /// Scales of small blocks are a thirtieth of the weights: too much for all layers of a model.
  void forget_scales(const exporting::ExportUnit& unit) {
    for (const QuantizedLayer* layer : writer_.layers_of(unit)) layer->weight->reset();
  }

  void measure_errors(const exporting::ExportUnit& unit) {
    for (const QuantizedLayer* layer : writer_.layers_of(unit)) {
      report_.layers.push_back({layer->path, layer->weight->describe(), relative_error(*layer)});
    }
  }

  void run_calibrated() {
    ModelStream stream(prepared_.model.impl(), prepared_.calibration->batches);
    std::optional<EvaluationStream> evaluation;
    if (prepared_.evaluation) evaluation.emplace(prepared_.model.impl(), *prepared_.evaluation);
    const size_t needed = stages_needed(stream);
    Progress progress("calibrating and writing", total_work(needed, evaluation),
                      ProgressUnit::kTokens);
    for (size_t stage = 0; stage < stream.stages().size(); ++stage) {
      progress.set_detail(stream.stages()[stage].name);
      const std::vector<const exporting::ExportUnit*> units = units_of(stream.stages()[stage]);
      calibrate_stage(stream, stage, stage < needed, units, progress);
      const bool last = stage + 1 == stream.stages().size();
      if (evaluation && !last) evaluation->run_stage(stage, progress);
      if (!last) stream.release_stage(stage);
    }
    if (evaluation) report_.evaluation = evaluation->finish(nullptr, progress);
    write_rest();
  }

  /// Stages up to the last that must see activations; the ones after it need not be run.
  size_t stages_needed(const ModelStream& stream) const {
    size_t needed = 0;
    for (size_t stage = 0; stage < stream.stages().size(); ++stage) {
      for (const exporting::ExportUnit* unit : units_of(stream.stages()[stage])) {
        const quantization::MaxCalibration calibration(conversion(), writer_.groups_of(*unit),
                                                       writer_.attentions_of(*unit));
        if (!exporter_.unit_finished(unit->name) && calibration.needs_activations())
          needed = stage + 1;
      }
    }
    return needed;
  }

  int64_t total_work(size_t stages, const std::optional<EvaluationStream>& evaluation) const {
    const int64_t tokens = prepared_.calibration->tokens;
    return tokens * static_cast<int64_t>(stages) + (evaluation ? evaluation->work() : 0);
  }

  std::vector<const exporting::ExportUnit*> units_of(const ops::StagedRun::Stage& stage) const {
    std::vector<const exporting::ExportUnit*> units;
    for (const exporting::ExportUnit& unit : exporter_.plan().units()) {
      for (const std::string& module : stage.modules) {
        if (unit.name == module) units.push_back(&unit);
      }
    }
    return units;
  }

  void calibrate_stage(ModelStream& stream, size_t stage, bool run,
                       const std::vector<const exporting::ExportUnit*>& units, Progress& progress) {
    std::vector<size_t> groups, attentions;
    std::vector<const exporting::ExportUnit*> unfinished;
    for (const exporting::ExportUnit* unit : units) {
      // Readers of one value may lie in several stages, as the cross-attentions of a decoder do:
      // the first stage calibrates all of them.
      for (const size_t group : writer_.groups_of(*unit)) {
        if (calibrated_.insert(group).second) groups.push_back(group);
      }
      const auto more_attentions = writer_.attentions_of(*unit);
      attentions.insert(attentions.end(), more_attentions.begin(), more_attentions.end());
      if (!exporter_.unit_finished(unit->name)) unfinished.push_back(unit);
    }
    quantization::MaxCalibration calibration(conversion(), groups, attentions);
    calibration.begin();
    const int64_t tokens = prepared_.calibration->tokens;
    const auto per_batch = tokens / static_cast<int64_t>(stream.batch_count());
    if (run) run_stage(stream, stage, [&] { progress.advance(per_batch); });
    // A finished unit is calibrated again only where later stages or an evaluation read it.
    calibration.finish(scale_options());
    writer_.fit_scales(groups, attentions);
    for (const exporting::ExportUnit* unit : unfinished) write_unit(*unit);
  }

  void run_stage(ModelStream& stream, size_t stage, const std::function<void()>& after_batch) {
    Model::Impl& model = prepared_.model.impl();
    const std::vector<std::string>& modules = stream.stages()[stage].modules;
    {
      std::optional<AllExperts> all;
      if (job_.all_experts) all.emplace(model.root(), modules);
      stream.run_stage(stage, after_batch);
    }
    auto table = expert_table(model.root(), modules, model.expert_counts);
    if (!job_.all_experts) warn_unseen_experts(table);
    std::move(table.begin(), table.end(), std::back_inserter(report_.experts));
  }

  /// What no stage calls: tensors that the graph does not use.
  void write_rest() {
    for (const exporting::ExportUnit& unit : exporter_.plan().units()) {
      if (!exporter_.unit_finished(unit.name)) finish_unit(unit);
    }
  }

  const QuantizeJob& job_;
  CheckpointJob& prepared_;
  exporting::CheckpointExporter exporter_;
  UnitWriter writer_;
  std::unordered_set<size_t> calibrated_;
  QuantizeReport report_;
};

}  // namespace

QuantizeReport run_checkpoint_job(const QuantizeJob& job, CheckpointJob& prepared) {
  return JobRunner(job, prepared).run();
}

}  // namespace lathe::api
