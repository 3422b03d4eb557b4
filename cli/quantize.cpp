#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/evaluation_text.h"
#include "cli/expert_table.h"
#include "cli/freed_memory.h"
#include "cli/interrupt.h"
#include "cli/job_options.h"
#include "cli/json_output.h"
#include "cli/plan_table.h"
#include "cli/report_html.h"
#include "cli/text_file.h"
#include "cli/value_text.h"
#include "lathe/error.h"

namespace lathe::cli {
namespace {

std::string summary_text(const QuantizeReport& report) {
  const ExportReport& written = report.written;
  std::string text = fmt::format(
      "{}: {} in {}, peak memory {}\n"
      "{} tensors quantized, {} copied, {} dropped; {} -> {}, {:.2f} bits per weight\n",
      written.folder, report.plan.quant_algo, duration_text(report.seconds),
      bytes_text(static_cast<double>(report.peak_memory_bytes)), written.quantized_tensors,
      written.copied_tensors, written.dropped_tensors,
      bytes_text(static_cast<double>(report.plan.bytes_read)),
      bytes_text(static_cast<double>(written.bytes)), written.bits_per_weight);
  text += source_text(report.plan);
  if (report.resumed_units > 0) {
    text += fmt::format("{} finished before and kept\n",
                        report.resumed_units == 1
                            ? std::string("1 block of layers was")
                            : fmt::format("{} blocks of layers were", report.resumed_units));
  }
  if (report.evaluation) text += evaluation_text(*report.evaluation);
  return text + expert_text(report.experts);
}

void quantize(const JobOptions& options) {
  check_job_options(options);
  if (options.job.output.empty())
    throw UserError("where to? give -o OUT, the folder (of a .pt2: the file) to write");
  if (!options.report.empty()) check_may_write(options.report, options.job.force, "--report");
  start_session(options.session);
  announce_resume_on_interrupt();
  QuantizeJob job = options.job;
  job.layer_errors = !options.report.empty();
  job.planned = [](const QuantizePlan&) { keep_freed_memory(); };
  const QuantizeReport report = run_job(job);
  if (!options.report.empty()) write_text_file(options.report, report_html(options.job, report));
  if (options.json) {
    print_json(to_json(report));
  } else if (!options.session.quiet) {
    fmt::print("{}", summary_text(report));
  }
}

}  // namespace

void add_quantize(CLI::App& program) {
  auto* command = program.add_subcommand(
      "quantize",
      "Quantize a model into a folder that serving engines load, or a .pt2 file into another");
  auto options = std::make_shared<JobOptions>();
  add_job_options(*command, *options);
  command->footer(
      "Formats that quantize activations need --calib; weight-only formats (int8_wo, int4, "
      "w4a16_nvfp4, ...) do not.\n"
      "The output is written block by block and checked; a run that was stopped continues with "
      "--resume.\n\n"
      "Examples:\n"
      "  lathe quantize ./SmolLM2-135M -o out-fp8 --format fp8 --calib builtin\n"
      "  lathe quantize model.gguf -o out-nvfp4 --format nvfp4 --calib data.jsonl --samples 256 "
      "--kv-cache fp8\n"
      "  lathe quantize ./Llama-3 -o out --format w4a16_nvfp4 --report out.html\n"
      "  lathe quantize net.pt2 -o net-int8.pt2 --format int8 --calib inputs.npz\n"
      "  lathe quantize --list-formats");
  command->callback([options] { quantize(*options); });
}

}  // namespace lathe::cli
