#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/dtype.h"
#include "lathe/tensor.h"

namespace lathe {

struct OpenOptions {
  /// kF32 or kBF16: the model computes in it. Without it: as the checkpoint says (GGUF: bfloat16).
  std::optional<DType> dtype;
  /// A quantized checkpoint is opened as what its weights stand for, without the quantizers of its
  /// inputs and caches: it can be quantized anew.
  bool dequantize = false;
};

struct InputInfo {
  std::string name;
  bool required;
};

struct ModuleInfo {
  std::string path;  // "model.layers.0.self_attn.q_proj"; "" for the model itself
  std::string type;  // "Linear", "QuantLinear", "LlamaDecoderLayer", ...
};

/// A trained model: a Hugging Face directory, quantized ones included, a
/// .gguf file, or a .pt2 file of torch.export. A handle: copies are the same model. Opening reads
/// headers only; weights are mapped and read when they are used.
class Model {
 public:
  /// UserError or DataError as the message says: no such file, an unknown option of the
  /// architecture, tensors that do not fit config.json (all at once).
  static Model open(const std::string& path, const OpenOptions& options = {});

  /// Runs the whole model. Inputs that it does not take are ignored; UserError if one that it needs
  /// is missing.
  NamedTensors run(const NamedTensors& inputs);
  NamedTensors operator()(const NamedTensors& inputs) { return run(inputs); }

  /// False for an architecture that Lathe does not know: such a model has tensors, but cannot be
  /// run.
  bool can_run() const;
  /// "LlamaForCausalLM", ...; "" if unknown.
  std::string architecture() const;
  std::string path() const;
  DType dtype() const;
  /// 0 if it is not a language model.
  int64_t vocab_size() const;
  std::vector<InputInfo> inputs() const;
  /// Parents first, in the order of execution.
  std::vector<ModuleInfo> modules() const;
  /// The text form of a module: its graph, parameters and children.
  std::string text(std::string_view module_path = {}) const;

  bool has_tokenizer() const;
  /// Token ids of a text, with the special tokens that the model's tokenizer adds if asked.
  /// UserError without a tokenizer.
  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens = false) const;
  std::string decode(const std::vector<int64_t>& ids) const;

  struct Impl;
  explicit Model(std::shared_ptr<Impl> impl);
  Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace lathe
