#include "lathe/model.h"

#include <ATen/core/grad_mode.h>

#include "api/model_impl.h"
#include "api/source_scales.h"
#include "api/tensor_bridge.h"
#include "base/error.h"
#include "base/output_file.h"
#include "ir/scalar_types.h"
#include "ir/text.h"

namespace lathe {
namespace {

frontends::OpenOptions to_open_options(const OpenOptions& options) {
  frontends::OpenOptions result;
  if (options.dtype) result.dtype = ir::to_scalar_type(*options.dtype);
  return result;
}

const ir::AuxiliaryFile* find_file(const ir::Model& model, std::string_view name) {
  for (const ir::AuxiliaryFile& file : model.files) {
    if (file.name == name) return &file;
  }
  return nullptr;
}

}  // namespace

namespace {

/// "NovelForCausalLM", "novel", or what is missing.
std::string architecture_in(const nlohmann::ordered_json& config) {
  const auto names = config.find("architectures");
  if (names != config.end() && names->is_array() && !names->empty() && names->front().is_string()) {
    return names->front();
  }
  const auto type = config.find("model_type");
  return type != config.end() && type->is_string() ? type->get<std::string>()
                                                   : "not said (no config.json)";
}

}  // namespace

void Model::Impl::require_graph(std::string_view purpose) const {
  if (model.has_graph()) return;
  if (const auto* failed = model.root->attributes.find("failed")) {
    throw_user("{}: {} needs operators that can be run: {}", path, purpose,
               std::get<std::string>(*failed));
  }
  throw_user("{}: {} needs an architecture that Lathe knows; this one is {}", path, purpose,
             architecture_in(model.config));
}

ops::LeafTable Model::Impl::leaves_that_count(ops::ExpertCounts& counts) {
  ops::LeafTable table = quantization::leaf_table();
  counts.watch(table);
  return table;
}

bool Model::Impl::has_tokenizer() const { return find_file(model, "tokenizer.json") != nullptr; }

const tokenizer::Tokenizer& Model::Impl::require_tokenizer() const {
  if (tokenizer) return *tokenizer;
  const ir::AuxiliaryFile* file = find_file(model, "tokenizer.json");
  if (file == nullptr)
    throw_user("{}: there is no tokenizer.json; give token ids instead of text", path);
  const std::string name = file->source.empty() ? path + " (tokenizer)" : file->source.string();
  const std::string text = file->source.empty() ? file->contents : read_file(file->source);
  tokenizer = tokenizer::Tokenizer::from_json(text, name);
  return *tokenizer;
}

Model::Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Model Model::open(const std::string& path, const OpenOptions& options) {
  frontends::OpenedModel opened = frontends::open_model(path, to_open_options(options));
  auto impl = std::make_shared<Impl>();
  impl->path = path;
  impl->name_groups = opened.model.has_graph() ? std::vector<std::vector<std::string>>()
                                               : frontends::name_groups(opened.model);
  impl->model = std::move(opened.model);
  impl->vocabulary = std::move(opened.vocabulary);
  impl->source_quantization = std::move(opened.quantization);
  impl->program_inputs = std::move(opened.program_inputs);
  impl->program = std::move(opened.program);
  if (impl->vocabulary) api::add_tokenizer_files(impl->model, *impl->vocabulary);
  impl->dequantized = impl->source_quantization && options.dequantize;
  if (impl->dequantized) {
    api::fold_pre_quant_scales(*impl);
  } else if (impl->source_quantization && impl->model.has_graph()) {
    impl->quantization = api::restore_quantizers(impl->model, *impl->source_quantization);
  }
  return Model(std::move(impl));
}

NamedTensors Model::run(const NamedTensors& inputs) {
  impl_->require_graph("running a model");
  const at::NoGradGuard no_gradients;
  return api::from_torch(ops::run_model(impl_->interpreter, impl_->root(), api::to_torch(inputs)));
}

bool Model::can_run() const { return impl_->model.has_graph(); }
std::string Model::architecture() const { return impl_->model.architecture; }
std::string Model::path() const { return impl_->path; }
DType Model::dtype() const { return ir::to_dtype(impl_->model.dtype); }
int64_t Model::vocab_size() const { return impl_->model.vocab_size; }

std::vector<InputInfo> Model::inputs() const {
  impl_->require_graph("listing inputs");
  std::vector<InputInfo> inputs;
  for (const auto& [name, required] : ops::model_inputs(impl_->root()))
    inputs.push_back({name, required});
  return inputs;
}

std::vector<ModuleInfo> Model::modules() const {
  std::vector<ModuleInfo> modules;
  for (const auto& [path, module] : ir::named_modules(impl_->root()))
    modules.push_back({path, module->type});
  return modules;
}

std::string Model::text(std::string_view module_path) const {
  const ir::Module* module = impl_->root().find(module_path);
  if (module == nullptr) throw_user("{}: there is no module {}", impl_->path, module_path);
  return ir::print(*module);
}

bool Model::has_tokenizer() const { return impl_->has_tokenizer(); }

std::vector<int64_t> Model::encode(std::string_view text, bool add_special_tokens) const {
  return impl_->require_tokenizer().encode(text, add_special_tokens);
}

std::string Model::decode(const std::vector<int64_t>& ids) const {
  return impl_->require_tokenizer().decode(ids, true);
}

}  // namespace lathe
