#include "lathe/inspect.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/inspection_table.h"
#include "cli/json_output.h"
#include "cli/session_options.h"

namespace lathe::cli {
namespace {

struct InspectOptions {
  std::string model;
  bool all = false;
  bool json = false;
  SessionOptions session;
};

void inspect_model(const InspectOptions& options) {
  start_session(options.session);
  const Inspection inspection = inspect(options.model);
  if (options.json) {
    print_json(to_json(inspection));
  } else {
    fmt::print("{}", inspection_text(inspection, options.all));
  }
}

}  // namespace

void add_inspect(CLI::App& program) {
  auto* command =
      program.add_subcommand("inspect", "Tensors, formats and sizes, from the headers alone");
  auto options = std::make_shared<InspectOptions>();
  command->add_option("MODEL", options->model, "A Hugging Face directory, a .gguf or a .pt2 file")
      ->required()
      ->type_name("");
  command->add_flag("--all", options->all, "One line a tensor instead of one a kind of layer");
  command->add_flag("--json", options->json,
                    "One JSON document on standard output, with every tensor");
  add_session_options(*command, options->session);
  command->footer(
      "Examples:\n  lathe inspect model.gguf\n  lathe inspect out-nvfp4 --json | jq "
      ".bits_per_weight");
  command->callback([options] { inspect_model(*options); });
}

}  // namespace lathe::cli
