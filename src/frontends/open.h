#pragma once

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontends/gguf/vocabulary.h"
#include "frontends/quantized_source.h"
#include "ir/model.h"

namespace lathe::frontends {

struct ProgramSites;

struct OpenOptions {
  /// kFloat or kBFloat16: floating-point parameters are converted to it when they are read. Without
  /// it they keep the checkpoint's dtype (GGUF: bfloat16).
  std::optional<at::ScalarType> dtype;
};

/// An input of a torch.export program: sizes that the caller may choose are nothing.
struct ProgramInput {
  std::string name;  // of the root graph's placeholder
  at::ScalarType dtype;
  std::vector<std::optional<int64_t>> sizes;
};

struct OpenedModel {
  ir::Model model;
  /// Set if the weights on disk are quantized (packed). The model's parameters are their decoded
  /// values.
  std::optional<QuantizedSource> quantization;
  /// Set for GGUF: the files of the model have no tokenizer.json; the tokenizer library makes it
  /// from this.
  std::optional<GgufVocabulary> vocabulary;
  /// The tensors that a torch.export program takes, as it was exported.
  std::vector<ProgramInput> program_inputs;
  /// Set for archives of torch.export (torch_export/program_sites.h).
  std::shared_ptr<const ProgramSites> program;
};

/// Opens a Hugging Face checkpoint folder (*.safetensors; config.json if there is one), a .gguf
/// file or a .pt2 archive of torch.export. Parameters are lazy: nothing but headers is read. A
/// model whose architecture is not known comes without a graph (model.has_graph() is false) and can
/// be worked on by tensor name only.
///
/// UserError: the path is missing or of no kind that is read; the architecture or an option of it
/// (rope type, activation, quant_algo, ...) is not supported; options.dtype is not a dtype that can
/// be asked for. DataError: broken files, config values of the wrong type or range, tensors that do
/// not fit the config (all of them listed at once).
OpenedModel open_model(const std::filesystem::path& path, const OpenOptions& options = {});

/// For a model without a graph: paths of the modules that read the same value, judged by the names
/// that decoder-only models use (q_proj/k_proj/v_proj, gate_proj/up_proj, w1/w3, wq/wk/wv of one
/// parent). Groups of at least two, in the order of the tree.
std::vector<std::vector<std::string>> name_groups(const ir::Model& model);

}  // namespace lathe::frontends
