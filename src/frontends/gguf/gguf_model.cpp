#include "frontends/gguf/gguf_model.h"

#include "base/error.h"
#include "frontends/gguf/gguf_config.h"
#include "frontends/gguf/gguf_tensors.h"
#include "frontends/gguf/gguf_vocabulary.h"
#include "frontends/huggingface/architectures.h"
#include "io/json.h"

namespace lathe::frontends {
namespace {

void check_whole(const io::GgufFile& file) {
  const auto parts = file.metadata().find_u64("split.count");
  if (parts && *parts > 1) {
    throw_user("{}: the file is one of {} parts of a model; join them to one file",
               file.path().string(), *parts);
  }
}

}  // namespace

OpenedModel open_gguf(const std::filesystem::path& path, const OpenOptions& options) {
  const io::GgufFile file = io::GgufFile::open(path);
  check_whole(file);
  const GgufArchitecture& kind = gguf_architecture(file);
  OpenedModel opened;
  ir::Model& model = opened.model;
  model.source = path.string();
  model.dtype = options.dtype.value_or(at::kBFloat16);
  model.config = gguf_config(file, kind, model.dtype);
  const nlohmann::ordered_json json = model.config;
  const ConfigReader config(json, path.string() + " (as config.json)");
  const Architecture* architecture = find_architecture(config);
  check_internal(architecture != nullptr, "{} has no builder", kind.class_name);
  model.architecture = architecture->name;
  TensorStore store = open_gguf_store(file,
                                      {.interleaved = kind.interleaved_rows,
                                       .num_heads = config.size("num_attention_heads"),
                                       .num_key_value_heads = config.size("num_key_value_heads")},
                                      model.dtype);
  if (store.find("rope_freqs.weight") != nullptr) {
    store.drop("rope_freqs.weight", "computed from rope_parameters");
  }
  Weights weights(store, model.dtype, model.source);
  architecture->build(config, weights, model);
  weights.finish();
  model.tensors = store.take_sources();
  model.files.push_back(
      {"generation_config.json", {}, io::dump_json(gguf_generation_config(file)) + "\n"});
  opened.vocabulary = read_gguf_vocabulary(file);
  return opened;
}

}  // namespace lathe::frontends
