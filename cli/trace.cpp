#include "lathe/trace.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/session_options.h"
#include "cli/text_file.h"
#include "cli/trace_drawing.h"
#include "cli/trace_json.h"
#include "cli/trace_text.h"
#include "lathe/error.h"

namespace lathe::cli {
namespace {

struct TraceCommand {
  std::string model;
  std::string rules = "lathe";
  std::string module;
  std::string graph;
  bool by_module = false;
  bool all = false;
  bool json = false;
  bool force = false;
  SessionOptions session;
};

void check_drawing_path(const TraceCommand& command) {
  if (command.graph.empty()) return;
  if (!command.graph.ends_with(".svg") && !command.graph.ends_with(".html")) {
    throw UserError(
        fmt::format("--graph {}: expected a file name that ends in .svg or .html", command.graph));
  }
  check_may_write(command.graph, command.force, "--graph");
}

void draw(const Model& model, const Trace& trace, const std::string& path) {
  write_text_file(path,
                  path.ends_with(".svg") ? trace_svg(model, trace) : trace_page(model, trace));
}

void run_trace(const TraceCommand& command) {
  check_drawing_path(command);
  start_session(command.session);
  const Model model = Model::open(command.model);
  if (command.by_module) {
    fmt::print("{}", model.text(command.module));
    return;
  }
  AnalyzeOptions options;
  options.strict = false;
  if (command.rules == "modelopt") options.rules = TraceRules::kModelopt;
  const Trace result = trace_model(model, options);
  if (!command.graph.empty()) draw(model, result, command.graph);
  if (command.json) {
    print_json(to_json(result));
  } else if (command.graph.empty()) {
    fmt::print("{}", trace_text(result, command.all));
  }
  for (const std::string& warning : result.warnings) fmt::print(stderr, "warning: {}\n", warning);
}

}  // namespace

void add_trace(CLI::App& program) {
  auto* command = program.add_subcommand(
      "trace", "Modules, sizes that hang together, and what can be made of the graph");
  auto options = std::make_shared<TraceCommand>();
  command
      ->add_option("MODEL", options->model,
                   "A Hugging Face directory, a .gguf file or a .pt2 file (torch.export)")
      ->required()
      ->type_name("");
  command
      ->add_option("--rules", options->rules,
                   "Which rules find sizes that can change: lathe, or modelopt for comparison")
      ->check(CLI::IsMember({"lathe", "modelopt"}))
      ->type_name("RULES");
  auto* module =
      command
          ->add_option("--module", options->module,
                       "Only print this module in text form: graph, parameters, children")
          ->type_name("PATH");
  command->add_option("--graph", options->graph, "Draw the graph: FILE.svg or FILE.html")
      ->type_name("FILE");
  command->add_flag("--all", options->all, "One line a module or group; nothing is folded");
  command->add_flag("--json", options->json, "One JSON document on standard output");
  command->add_flag("--force", options->force, "Replace the file of --graph");
  add_session_options(*command, options->session);
  command->footer(
      "Examples:\n  lathe trace Llama-3.2-1B\n  lathe trace net.pt2 --json | jq .links\n"
      "  lathe trace net.pt2 --graph net.svg\n  lathe trace Llama-3.2-1B --module "
      "model.layers.0.self_attn");
  command->callback([options, module] {
    options->by_module = module->count() > 0;
    run_trace(*options);
  });
}

}  // namespace lathe::cli
