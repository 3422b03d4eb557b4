#include "cli/job_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cli/option_values.h"
#include "cli/text_table.h"
#include "lathe/error.h"

namespace lathe::cli {
namespace {

void print_formats() {
  TextTable table({{"format"}, {"preset"}, {"what it does"}});
  for (const auto& preset : presets()) {
    table.add_row({preset.friendly_name, preset.name, preset.description});
  }
  fmt::print("{}", table.text());
}

/// --list-formats needs no MODEL: it ends the parsing.
void list_formats_and_stop(int64_t) {
  print_formats();
  throw CLI::Success();
}

void add_format_options(CLI::App& command, QuantizeJob& job) {
  const std::string group = "Format";
  command
      .add_option("-f,--format", job.format,
                  "fp8, int8_wo, nvfp4, ... or a preset's name (NVFP4_DEFAULT_CFG)")
      ->type_name("F")
      ->group(group);
  command.add_flag_function("--list-formats", list_formats_and_stop, "Print all formats and stop")
      ->group(group);
  command.add_option("--recipe", job.recipe, "A YAML or JSON recipe instead of --format")
      ->type_name("FILE")
      ->group(group);
  command
      .add_option("--kv-cache", job.kv_cache,
                  "Quantizers of the KV cache: fp8, nvfp4, fp8_cast, nvfp4_cast, fp8_affine, ...")
      ->type_name("F")
      ->group(group);
  command
      .add_flag_callback(
          "--no-fuse-scales", [&job] { job.fuse_scales = false; },
          "Leave per-tensor weight scales of q/k/v and gate/up separate")
      ->group(group);
}

void add_calibration_options(CLI::App& command, QuantizeJob& job) {
  const std::string group = "Calibration";
  command
      .add_option(
          "--calib", job.calibration,
          ".txt, .jsonl (text or messages), .safetensors/.npz (input_ids [N, L], or all inputs by "
          "name), or builtin; of a .pt2: .safetensors/.npz with its inputs by name")
      ->type_name("DATA")
      ->group(group);
  command
      .add_option("--samples", job.samples,
                  "Blocks (of a .pt2: samples) of calibration data, at most")
      ->check(at_least_one())
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  command.add_option("--seq-len", job.seq_len, "Tokens a block")
      ->check(at_least_one())
      ->capture_default_str()
      ->type_name("L")
      ->group(group);
  command
      .add_flag("--calib-all-experts", job.all_experts,
                "Calibrate every expert with every token, not with those that are routed to it")
      ->group(group);
  command.add_option("--device", job.device, "cpu or cuda")
      ->check(one_of({"cpu", "cuda"}))
      ->capture_default_str()
      ->type_name("D")
      ->group(group);
}

void add_output_options(CLI::App& command, JobOptions& options) {
  const std::string group = "Output";
  QuantizeJob& job = options.job;
  command.add_option("-o,--output", job.output, "The folder to write; of a .pt2 the .pt2 file")
      ->type_name("OUT")
      ->group(group);
  command
      .add_option("--dialect", job.dialect,
                  "modelopt, compressed-tensors, or mxfp4 for the experts of gpt-oss")
      ->check(one_of({"modelopt", "compressed-tensors", "mxfp4"}))
      ->capture_default_str()
      ->type_name("D")
      ->group(group);
  command
      .add_option("--target", job.target,
                  "Who must load it: its rules are checked before work and after writing")
      ->check(one_of({"vllm", "sglang", "trtllm", "transformers"}))
      ->type_name("T")
      ->group(group);
  command
      .add_option("--max-shard-size", job.max_shard_bytes,
                  "Of one safetensors file: 5GB, 500MB, ...")
      ->transform(byte_size())
      ->default_str("5GB")
      ->type_name("SIZE")
      ->group(group);
  command.add_flag("--resume", job.resume, "Continue a run that was stopped")->group(group);
  command.add_flag("--force", job.force, "Replace what is already there")->group(group);
  command.add_option("--report", options.report, "Write an HTML report")
      ->type_name("FILE")
      ->group(group);
  command.add_flag("--json", options.json, "One JSON document on standard output")->group(group);
}

void add_evaluation_options(CLI::App& command, QuantizeJob& job) {
  const std::string group = "Evaluation";
  command
      .add_option("--eval-text", job.eval_text,
                  "Evaluate what is shipped on this text, before it is written")
      ->type_name("FILE")
      ->group(group);
  command.add_option("--eval-samples", job.eval_samples, "Blocks of that text, at most (all)")
      ->check(at_least_one())
      ->type_name("N")
      ->group(group);
}

}  // namespace

void add_job_options(CLI::App& command, JobOptions& options) {
  command
      .add_option("MODEL", options.job.model,
                  "A Hugging Face directory, a .gguf file or a .pt2 file")
      ->required()
      ->type_name("");
  add_format_options(command, options.job);
  add_calibration_options(command, options.job);
  add_output_options(command, options);
  add_evaluation_options(command, options.job);
  add_session_options(command, options.session);
}

void check_job_options(const JobOptions& options) {
  const QuantizeJob& job = options.job;
  if (job.format.empty() == job.recipe.empty()) {
    throw UserError(
        job.format.empty()
            ? "which format? give --format F (--list-formats prints them) or --recipe FILE"
            : "--format and --recipe exclude each other");
  }
  if (job.eval_samples > 0 && job.eval_text.empty()) {
    throw UserError("--eval-samples needs --eval-text");
  }
  if (job.resume && job.force) {
    throw UserError("--resume continues what --force would replace: give one of them");
  }
}

void print_warnings(const std::vector<std::string>& warnings) {
  for (const auto& warning : warnings) fmt::print(stderr, "warning: {}\n", warning);
}

}  // namespace lathe::cli
