#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/dtype_option.h"
#include "cli/freed_memory.h"
#include "cli/session_options.h"
#include "cli/text_file.h"
#include "cli/text_table.h"
#include "cli/value_text.h"
#include "lathe/model.h"
#include "lathe/tensor.h"

namespace lathe::cli {
namespace {

struct RunOptions {
  std::string model;
  std::string inputs;
  std::string output;
  std::string dtype;
  bool force = false;
  SessionOptions session;
};

void warn_of_unused_inputs(const Model& model, const NamedTensors& inputs) {
  const auto known = model.inputs();
  for (const auto& entry : inputs) {
    const bool taken = std::any_of(known.begin(), known.end(),
                                   [&](const InputInfo& info) { return info.name == entry.first; });
    if (!taken) fmt::print(stderr, "warning: the model takes no \"{}\": ignored\n", entry.first);
  }
}

std::string outputs_text(const NamedTensors& outputs) {
  TextTable table({{"output"}, {"dtype"}, {"shape", Align::kRight}});
  for (const auto& [name, tensor] : outputs) {
    table.add_row({name, std::string(dtype_name(tensor.dtype())), shape_text(tensor.shape())});
  }
  return table.text();
}

void run(const RunOptions& options) {
  check_may_write(options.output, options.force, "-o");
  start_session(options.session);
  keep_freed_memory();
  Model model = Model::open(options.model, open_options(options.dtype));
  const NamedTensors inputs = load_tensors(options.inputs);
  warn_of_unused_inputs(model, inputs);
  const NamedTensors outputs = model.run(inputs);
  save_tensors(options.output, outputs);
  if (!options.session.quiet) fmt::print("{}", outputs_text(outputs));
}

}  // namespace

void add_run(CLI::App& program) {
  auto* command = program.add_subcommand("run", "Run a model once: tensors in, tensors out");
  auto options = std::make_shared<RunOptions>();
  command
      ->add_option("MODEL", options->model,
                   "A Hugging Face directory, quantized or not, a .gguf or a .pt2 file")
      ->required()
      ->type_name("");
  command
      ->add_option("--inputs", options->inputs,
                   "Tensors by the names that transformers uses: input_ids, ...")
      ->required()
      ->type_name("IN.safetensors");
  command->add_option("-o,--output", options->output, "The file to write: logits, ...")
      ->required()
      ->type_name("OUT.safetensors");
  add_dtype_option(*command, options->dtype);
  command->add_flag("--force", options->force, "Replace the output file");
  add_session_options(*command, options->session);
  command->footer(
      "Example:\n  lathe run ./SmolLM2-135M --inputs ids.safetensors -o logits.safetensors");
  command->callback([options] { run(*options); });
}

}  // namespace lathe::cli
