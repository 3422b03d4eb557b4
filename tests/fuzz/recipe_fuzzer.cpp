#include "fuzz/fuzz.h"
#include "io/yaml.h"
#include "quantization/config/resolve.h"

namespace {

using namespace lathe;

/// What `--recipe` does with a file, and what a model's quantizers then ask of it.
void resolve_recipe(std::string_view text) {
  const quantization::QuantizerResolver resolver(
      quantization::parse_quant_config(io::parse_yaml(text, "recipe"), "recipe", io::parse_yaml));
  resolver.resolve("model.layers.0.mlp.up_proj.weight_quantizer", "nn.Linear");
  resolver.resolve("model.layers.0.mlp.experts.weight_quantizers.3", "");
  resolver.resolve("model.embed_tokens.output_quantizer", "nn.Embedding");
}

/// What a recipe says wrongly is its user's error.
void read_recipe(std::string_view text) {
  try {
    resolve_recipe(text);
  } catch (const UserError&) {
    return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz_text(data, size, read_recipe);
}
