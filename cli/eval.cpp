#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/dtype_option.h"
#include "cli/evaluation_text.h"
#include "cli/freed_memory.h"
#include "cli/json_output.h"
#include "cli/option_values.h"
#include "cli/session_options.h"
#include "lathe/error.h"
#include "lathe/evaluate.h"

namespace lathe::cli {
namespace {

struct EvalOptions {
  std::string model;
  std::string text;
  std::string ids;
  std::string reference;
  std::string dtype;
  DataOptions data;
  bool json = false;
  SessionOptions session;
};

bool holds_ids(const std::string& path) {
  return path.ends_with(".safetensors") || path.ends_with(".npy") || path.ends_with(".npz");
}

/// The file of --text or --ids.
std::string data_path(const EvalOptions& options) {
  if (options.text.empty() == options.ids.empty()) {
    throw UserError(options.text.empty() ? "evaluate on what? give --text FILE or --ids FILE"
                                         : "--text and --ids exclude each other");
  }
  if (holds_ids(options.text))
    throw UserError(fmt::format("--text {}: holds token ids; use --ids", options.text));
  if (!options.ids.empty() && !holds_ids(options.ids)) {
    throw UserError(fmt::format(
        "--ids {}: expected a .safetensors or .npy file; use --text for text", options.ids));
  }
  return options.text.empty() ? options.ids : options.text;
}

void eval(const EvalOptions& options) {
  const std::string path = data_path(options);
  start_session(options.session);
  keep_freed_memory();
  Model model = Model::open(options.model, open_options(options.dtype));
  std::optional<Model> reference;
  if (!options.reference.empty())
    reference = Model::open(options.reference, open_options(options.dtype));
  if (const std::string problem = evaluation_problem(model); !problem.empty())
    throw UserError(problem);
  const TokenBlocks data = load_tokens(path, model, options.data);
  const Evaluation evaluation = evaluate(model, data, reference ? &*reference : nullptr);
  if (options.json) {
    print_json(to_json(evaluation));
  } else {
    fmt::print("{}", evaluation_text(evaluation));
  }
}

}  // namespace

void add_eval(CLI::App& program) {
  auto* command =
      program.add_subcommand("eval", "Perplexity, and KL divergence from a reference model");
  auto options = std::make_shared<EvalOptions>();
  command
      ->add_option("MODEL", options->model,
                   "A Hugging Face directory, quantized or not, or a .gguf file")
      ->required()
      ->type_name("");
  command->add_option("--text", options->text, ".txt or .jsonl, or builtin")->type_name("FILE");
  command->add_option("--ids", options->ids, ".safetensors or .npy with int64 input_ids [N, L]")
      ->type_name("FILE");
  command
      ->add_option("--reference", options->reference, "Compare with this model on the same tokens")
      ->type_name("MODEL");
  command->add_option("--samples", options->data.samples, "Blocks, at most (all)")
      ->check(at_least_one())
      ->type_name("N");
  command
      ->add_option("--seq-len", options->data.seq_len, "Tokens a block (512; of --ids: the file's)")
      ->check(at_least_one())
      ->type_name("L");
  add_dtype_option(*command, options->dtype);
  command->add_flag("--json", options->json, "One JSON document on standard output");
  add_session_options(*command, options->session);
  command->footer(
      "Each block is predicted alone; +/- is the standard error of the mean over tokens.\n\n"
      "Examples:\n"
      "  lathe eval ./SmolLM2-135M --text book.txt\n"
      "  lathe eval out-nvfp4 --text book.txt --samples 32 --reference ./SmolLM2-135M");
  command->callback([options] { eval(*options); });
}

}  // namespace lathe::cli
