#include "frontends/torch_export/open.h"

#include "base/error.h"
#include "frontends/torch_export/archive.h"
#include "frontends/torch_export/inline_graphs.h"
#include "frontends/torch_export/module_graphs.h"
#include "frontends/torch_export/mutation.h"
#include "frontends/torch_export/parameters.h"
#include "frontends/torch_export/program_sites.h"
#include "ir/scalar_types.h"
#include "ir/verify.h"
#include "ops/operators.h"

namespace lathe::frontends {
namespace {

using torch_export::Parameters;

std::vector<ir::SourceTensor> book(const Parameters& parameters) {
  std::vector<ir::SourceTensor> books;
  for (const Parameters::Entry& entry : parameters.entries())
    books.push_back({entry.name, entry.name, {}, entry.parameter});
  return books;
}

std::vector<ProgramInput> tensor_inputs(const torch_export::Program& program) {
  std::vector<ProgramInput> inputs;
  for (const torch_export::InputSpec& spec : program.inputs) {
    if (spec.kind != torch_export::InputSpec::Kind::kUser) continue;
    const auto meta = program.graph.tensors.find(spec.value.text);
    if (meta == program.graph.tensors.end()) continue;
    inputs.push_back({spec.value.text, ir::to_scalar_type(meta->second.dtype), meta->second.sizes});
  }
  return inputs;
}

std::unordered_set<std::string> read_tensors(const torch_export::Program& program) {
  std::unordered_set<std::string> values, tensors;
  const auto add = [&](const std::string& name) { values.insert(name); };
  for (const torch_export::FlatNode& node : program.graph.nodes) {
    for (const auto& [name, value] : node.inputs) torch_export::for_each_name(value, add);
  }
  for (const torch_export::Value& output : program.graph.outputs)
    torch_export::for_each_name(output, add);
  for (const torch_export::InputSpec& spec : program.inputs) {
    if (values.contains(spec.value.text)) tensors.insert(spec.target);
  }
  return tensors;
}

}  // namespace

OpenedModel open_torch_export(const std::filesystem::path& path, const OpenOptions& options) {
  ops::register_operators();  // what the program may call is looked up by name
  torch_export::Archive archive = torch_export::read_archive(path);
  torch_export::inline_graphs(archive.program);
  const torch_export::Mutations mutations = torch_export::find_mutations(archive.program);
  const Parameters parameters(archive, mutations.tensors, options.dtype);
  OpenedModel opened;
  opened.program_inputs = tensor_inputs(archive.program);
  ir::Model& model = opened.model;
  model.source = path.string();
  auto sites = std::make_shared<ProgramSites>();
  sites->read_tensors = read_tensors(archive.program);
  model.root =
      torch_export::build_modules(archive.program, parameters, mutations, model.source, *sites);
  opened.program = std::move(sites);
  model.architecture = model.root->type;
  model.dtype = options.dtype.value_or(parameters.dominant_dtype());
  model.tensors = book(parameters);
  model.tied = parameters.tied();
  ir::verify_tree(*model.root);
  return opened;
}

}  // namespace lathe::frontends
