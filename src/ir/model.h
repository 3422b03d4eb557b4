#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ir/module.h"

namespace lathe::ir {

/// One tensor of the source, for the books: every one is quantized, copied, merged or dropped with
/// a reason.
struct SourceTensor {
  std::string name;        // as the source calls it
  std::string path;        // of the module parameter that it is or became part of; "" if none
  std::string dropped;     // why, if path is ""
  ParameterPtr parameter;  // the tensor as stored (a packed weight: its bytes)
  /// The parameters that it was split into, in order, if they are several: `path` is the last.
  std::vector<std::string> pieces = {};
};

/// A file that goes with the model and is copied to every export: tokenizer, generation config.
struct AuxiliaryFile {
  std::string name;              // file name in the exported folder
  std::filesystem::path source;  // copied from here; empty: `contents` is written
  std::string contents;
};

/// Linears of experts that a checkpoint holds in one tensor: their weights [N, K] lie transposed in
/// `path` [E, K, N] ("model.layers.0.mlp.experts.gate_up_proj"), their biases, if they have any, in
/// `path`_bias [E, N].
struct FusedLinears {
  std::string path;
  std::vector<std::string> members;  // paths of the modules, by expert
};

/// A trained model: the tree of modules and the source it came from.
struct Model {
  std::string source;        // path that the user gave
  std::string architecture;  // "LlamaForCausalLM"; "" if it is unknown: then the root has
                             // parameters but no graph
  /// The path of each parameter below the root is its tensor's name in the Hugging Face checkpoint.
  ModulePtr root;
  at::ScalarType dtype = at::kBFloat16;  // of the model's floating-point weights and activations
  std::vector<SourceTensor> tensors;
  /// Parameters that are one tensor under two names: {"lm_head.weight",
  /// "model.embed_tokens.weight"}. The first is not written to checkpoints.
  std::vector<std::pair<std::string, std::string>> tied;
  std::vector<FusedLinears> fused;
  nlohmann::ordered_json config;  // config.json as an export writes it, without quantization_config
  std::vector<AuxiliaryFile> files;
  int64_t vocab_size = 0;  // 0 if it is not a language model

  /// Whether the model can be run.
  bool has_graph() const { return root->is_composite(); }
};

}  // namespace lathe::ir
