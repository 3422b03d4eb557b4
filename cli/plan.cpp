#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/job_options.h"
#include "cli/json_output.h"
#include "cli/plan_table.h"
#include "cli/report_html.h"
#include "cli/text_file.h"
#include "lathe/error.h"

namespace lathe::cli {
namespace {

void print_problems(const std::vector<std::string>& problems) {
  for (const auto& problem : problems) fmt::print(stderr, "problem: {}\n", problem);
}

void plan(const JobOptions& options) {
  check_job_options(options);
  if (!options.report.empty()) check_may_write(options.report, options.job.force, "--report");
  start_session(options.session);
  const QuantizePlan plan = plan_job(options.job);
  if (options.json) {
    print_json(to_json(plan));
  } else if (!options.session.quiet) {
    fmt::print("{}", plan_text(plan));
  }
  if (!options.report.empty()) write_text_file(options.report, plan_html(options.job, plan));
  print_warnings(plan.warnings);
  print_problems(plan.problems);
  if (!plan.problems.empty()) {
    throw Error(plan.problem_kind,
                fmt::format("{} problem{} in the way: nothing would be written",
                            plan.problems.size(), plan.problems.size() == 1 ? "" : "s"));
  }
}

}  // namespace

void add_plan(CLI::App& program) {
  auto* command =
      program.add_subcommand("plan", "What `quantize` would do, and all problems; no work");
  auto options = std::make_shared<JobOptions>();
  add_job_options(*command, *options);
  command->footer(
      "Takes the arguments of `lathe quantize`; -o may be left out. Exit code 2 if there are "
      "problems.\n\n"
      "Examples:\n"
      "  lathe plan ./SmolLM2-135M --format nvfp4 --calib builtin\n"
      "  lathe plan model.gguf --recipe mine.yaml --json | jq .problems");
  command->callback([options] { plan(*options); });
}

}  // namespace lathe::cli
