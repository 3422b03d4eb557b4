#include "lathe/job.h"

#include <ATen/core/grad_mode.h>

#include <chrono>

#include "api/checkpoint_job.h"
#include "api/memory_use.h"
#include "api/prepare.h"
#include "api/program_job.h"
#include "base/error.h"
#include "base/log.h"

namespace lathe {
namespace {

/// Refuses what stands in the way; then runs.
template <typename Job, typename Run>
QuantizeReport run_prepared(const QuantizeJob& job, Job prepared, const Run& run) {
  if (job.output.empty()) throw_user("the job has no output");
  api::refuse_problems(prepared.summary.problems, prepared.summary.problem_kind);
  for (const std::string& warning : prepared.summary.warnings) spdlog::warn("{}", warning);
  if (job.planned) job.planned(prepared.summary);
  QuantizeReport report = run(job, prepared);
  report.plan = std::move(prepared.summary);
  return report;
}

}  // namespace

QuantizePlan plan_job(const QuantizeJob& job) {
  api::JobDraft draft(job);
  return draft.is_program() ? api::prepare_program_job(std::move(draft)).summary
                            : api::prepare_checkpoint_job(std::move(draft)).summary;
}

QuantizeReport run_job(const QuantizeJob& job) {
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_gradients;
  api::JobDraft draft(job);
  QuantizeReport report =
      draft.is_program()
          ? run_prepared(job, api::prepare_program_job(std::move(draft)), api::run_program_job)
          : run_prepared(job, api::prepare_checkpoint_job(std::move(draft)),
                         api::run_checkpoint_job);
  report.peak_memory_bytes = api::peak_memory();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace lathe
