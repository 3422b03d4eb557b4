#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "api/program_edits.h"
#include "api/program_job.h"
#include "api/program_layers.h"
#include "api/quantizer_state.h"
#include "base/error.h"
#include "ir/scalar_types.h"

namespace lathe::api {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kScaleBytes = 12;  // a float32 and an int64 zero point

/// Options that are about checkpoints.
std::vector<std::string> option_problems(const QuantizeJob& job) {
  const std::pair<bool, const char*> given[] = {
      {job.resume, "--resume"},
      {!job.eval_text.empty(), "--eval-text"},
      {job.seq_len > 0, "--seq-len"},
      {job.dialect != QuantizeJob().dialect, "--dialect"},
      {!job.target.empty(), "--target"},
      {job.max_shard_bytes != QuantizeJob().max_shard_bytes, "--max-shard-size"},
  };
  std::vector<std::string> names;
  for (const auto& [is_given, name] : given) {
    if (is_given) names.emplace_back(name);
  }
  if (names.empty()) return {};
  return {fmt::format("{}: {} for checkpoints, not for a torch.export program",
                      fmt::join(names, ", "), names.size() == 1 ? "is" : "are")};
}

class ProgramPlanner {
 public:
  explicit ProgramPlanner(JobDraft draft) : draft_(std::move(draft)), job_(draft_.job) {}

  ProgramJob prepare() && {
    ProgramJob prepared{draft_.model, {}, {}, {}};
    for (std::string& problem : option_problems(job_)) draft_.add_problem(std::move(problem));
    if (impl().model.has_graph()) {
      draft_.convert();
      plan_calibration(prepared);
      plan_program(prepared);
      draft_.finish();
    } else {
      draft_.collect_problem([&] { impl().require_graph("quantizing a program"); });
    }
    prepared.summary = std::move(draft_.summary);
    return prepared;
  }

 private:
  Model::Impl& impl() { return draft_.impl(); }
  QuantizePlan& summary() { return draft_.summary; }
  const Quantization& quantization() { return *impl().quantization; }

  void plan_calibration(ProgramJob& prepared) {
    const bool wanted = draft_.wants_calibration(
        "--calib FILE (.safetensors or .npz) with the program's inputs by name");
    if (!wanted) return;
    draft_.collect_problem([&] {
      if (job_.calibration == "builtin") {
        throw_user(
            "--calib builtin is text; a torch.export program is calibrated with a "
            ".safetensors or .npz file that holds its inputs by name");
      }
      prepared.batches =
          load_batches(job_.calibration, draft_.model, job_.samples, &summary().warnings);
      summary().calibration_samples = sample_count(prepared.batches);
    });
  }

  static int64_t sample_count(const std::vector<NamedTensors>& batches) {
    int64_t count = 0;
    for (const NamedTensors& batch : batches) {
      const auto& shape = batch.begin()->second.shape();
      count += shape.empty() ? 1 : shape[0];
    }
    return count;
  }

  void plan_program(ProgramJob& prepared) {
    list_left_alone();
    const auto format_problems = program_format_problems(quantization().conversion);
    for (const std::string& problem : format_problems) draft_.add_problem(problem);
    if (!format_problems.empty()) return;
    draft_.collect_problem([&] { prepared.source.emplace(job_.model); });
    if (!prepared.source) return;
    const exporting::ProgramEdits edits = program_edits(impl());
    const auto edit_problems = prepared.source->problems(edits);
    for (const std::string& problem : edit_problems) draft_.add_problem(problem);
    if (!edit_problems.empty()) return;
    summary().quant_algo = "PT2E";
    add_rows(edits);
    const size_t planned = prepared.source->planned_bytes(edits);
    // The interpreter runs the whole program: its weights are mapped, the folded ones in memory.
    summary().memory_bytes = kBaseMemory + summary().bytes_read;
    if (job_.output.empty()) return;  // a plan alone needs none
    for (std::string& problem :
         program_output_problems(job_.output, job_.model, job_.force, planned))
      draft_.add_problem(std::move(problem));
  }

  void list_left_alone() {
    const auto add = [&](const std::string& path, const std::string& reason) {
      summary().left_alone.push_back(
          fmt::format("{}: {}", path.empty() ? "the program" : path, reason));
    };
    for (const auto& [path, reason] : quantization().lifting.left) add(path, reason);
    for (const auto& [path, reason] : quantization().conversion.left_alone) add(path, reason);
    for (const auto& [path, module] : ir::named_modules(impl().root())) {
      const bool is_recurrent =
          module->type == "LSTM" || module->type == "GRU" || module->type == "RNN";
      if (is_recurrent && !module->is_composite()) add(path, module->type + " is not quantized");
    }
  }

  void add_rows(const exporting::ProgramEdits& edits) {
    std::map<std::string, const exporting::WeightEdit*> quantized;
    for (const exporting::WeightEdit& edit : edits.weights) quantized[edit.name] = &edit;
    const std::map<std::string, std::string> formats = weight_formats();
    double weights = 0, bits = 0;
    for (const ir::SourceTensor& source : impl().model.tensors) {
      QuantizePlan::Row row{.name = source.name, .shape = source.parameter->shape()};
      row.bytes_in = row.bytes_out = source.parameter->bytes();
      row.action = "copy";
      row.format = dtype_name(ir::to_dtype(source.parameter->dtype()));
      summary().bytes_read += row.bytes_in;
      if (const auto edit = quantized.find(source.name); edit != quantized.end()) {
        const int64_t scales = scale_count(*edit->second);
        row.action = "quantize";
        row.format = formats.at(source.name);
        row.bytes_out = source.parameter->numel() + (scales > 1 ? scales * kScaleBytes : 0);
        weights += static_cast<double>(source.parameter->numel());
        bits += 8.0 * static_cast<double>(row.bytes_out);
      } else if (is_folded(source.name)) {
        row.action = "fold";
        row.format = "into the layer before";
        row.bytes_out = 0;
      }
      summary().bytes_written += row.bytes_out;
      summary().tensors.push_back(std::move(row));
    }
    summary().bits_per_weight = weights == 0 ? 0 : bits / weights;
  }

  static int64_t scale_count(const exporting::WeightEdit& edit) {
    const std::vector<int64_t>& shape = edit.codes.shape;
    if (edit.scheme.axis) return shape.at(static_cast<size_t>(*edit.scheme.axis));
    if (edit.scheme.group_size) return shape.at(0) * (shape.at(1) / *edit.scheme.group_size);
    return 1;
  }

  /// What is done to weights, by the names that the program reads them by.
  std::map<std::string, std::string> weight_formats() {
    const ProgramLayers layers(impl());
    std::map<std::string, std::string> formats;
    for (const quantization::QuantizedLayer& layer : quantization().conversion.layers) {
      if (!layer.weight->enabled()) continue;
      for (const std::string& name : layers.names(*layers.program_weight(layer)))
        formats[name] = layer.weight->describe();
    }
    return formats;
  }

  /// Whether the tensor belongs to a batch norm that was folded.
  bool is_folded(const std::string& name) {
    const auto& norms = quantization().folded_norms;
    return std::any_of(norms.begin(), norms.end(), [&](const quantization::FoldedNorm& folded) {
      return name.starts_with(folded.norm + ".");
    });
  }

  JobDraft draft_;
  const QuantizeJob& job_;
};

/// Free bytes of the file system that the path lies in, if they can be told.
std::optional<uintmax_t> free_bytes(const fs::path& folder) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  return error ? std::nullopt : std::optional(space.available);
}

}  // namespace

std::vector<std::string> program_output_problems(const std::string& output,
                                                 const std::string& source, bool force,
                                                 size_t planned_bytes) {
  const fs::path path(output);
  if (path.extension() != ".pt2")
    return {
        fmt::format("{}: a torch.export program is written to a file that ends in .pt2", output)};
  std::vector<std::string> problems;
  std::error_code error;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error))
    problems.push_back(fmt::format("{}: there is no folder {}", output, folder.string()));
  if (fs::equivalent(path, source, error)) {
    problems.push_back(fmt::format("{}: the program would replace its own source", output));
  } else {
    for (const std::string& file : {output, state_path(output)}) {
      if (fs::is_directory(file, error)) {
        problems.push_back(fmt::format("{}: is a folder", file));
      } else if (!force && fs::exists(file, error)) {
        problems.push_back(fmt::format("{}: exists already; --force replaces it", file));
      }
    }
  }
  const auto available = free_bytes(folder);
  if (available && *available < planned_bytes) {
    problems.push_back(
        fmt::format("{}: {} bytes are needed, the disk has {}", output, planned_bytes, *available));
  }
  return problems;
}

ProgramJob prepare_program_job(JobDraft draft) {
  return ProgramPlanner(std::move(draft)).prepare();
}

}  // namespace lathe::api
