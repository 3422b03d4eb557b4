#include "api/job_draft.h"

#include "api/prepare.h"
#include "base/error.h"

namespace lathe::api {
namespace {

QuantizeConfig config_of(const QuantizeJob& job) {
  if (job.format.empty() == job.recipe.empty()) throw_user("give either --format or --recipe");
  QuantizeConfig config = job.format.empty() ? QuantizeConfig::from_file(job.recipe)
                                             : QuantizeConfig::from_preset(job.format);
  if (!job.kv_cache.empty()) config.add_kv_cache(job.kv_cache);
  return config;
}

Model open(const QuantizeJob& job) {
  if (job.samples < 1) throw_user("--samples must be at least 1, found {}", job.samples);
  if (job.seq_len < 0) throw_user("--seq-len must be at least 1, found {}", job.seq_len);
  if (job.max_shard_bytes < 1)
    throw_user("--max-shard-size must be positive, found {}", job.max_shard_bytes);
  return Model::open(job.model, {.dtype = {}, .dequantize = true});
}

}  // namespace

JobDraft::JobDraft(const QuantizeJob& quantize_job) : job(quantize_job), model(open(quantize_job)) {
  check_device();
}

void JobDraft::check_device() {
  if (job.device == "cpu") return;
  add_problem(job.device == "cuda"
                  ? "--device cuda: this build of Lathe has no CUDA kernels; use cpu"
                  : "--device must be cpu or cuda, found " + job.device);
}

void JobDraft::convert() {
  const QuantizeConfig config = config_of(job);
  prepare(impl(), config, {.fuse_scales = job.fuse_scales}, summary.problems);
  summary.config = config.name();
  summary.architecture = model.architecture();
  summary.warnings = impl().quantization->warnings;
}

bool JobDraft::wants_calibration(const std::string& kinds) {
  summary.needs_calibration =
      whole_calibration(impl().quantization->conversion).needs_activations();
  if (!summary.needs_calibration) {
    if (!job.calibration.empty())
      summary.warnings.push_back("the format needs no activations: --calib is not used");
    return false;
  }
  if (!impl().model.has_graph()) {
    collect_problem([&] {
      impl().require_graph(fmt::format("{} quantizes activations, which", summary.config));
    });
    return false;
  }
  if (!job.calibration.empty()) return true;
  add_problem(fmt::format("{} quantizes activations and needs data to calibrate them: give {}",
                          summary.config, kinds));
  return false;
}

void JobDraft::take_error(const Error& error) {
  if (error.kind() == ErrorKind::kInternal) throw;  // that is being handled
  data_problems_ += error.kind() == ErrorKind::kData;
  add_problem(error.what());
}

void JobDraft::finish() {
  list_groups();
  if (data_problems_ > 0 && data_problems_ == summary.problems.size())
    summary.problem_kind = ErrorKind::kData;
}

void JobDraft::list_groups() {
  const Quantization& quantization = *impl().quantization;
  for (const auto& group : quantization.conversion.groups) {
    const auto members = weight_members(quantization.conversion, group);
    if (members.size() < 2) continue;
    if (!shares_weight_scale(members[0]->weight->format().format, quantization.options)) continue;
    std::vector<std::string>& paths = summary.groups.emplace_back();
    for (const auto* member : members) paths.push_back(member->path);
  }
}

}  // namespace lathe::api
