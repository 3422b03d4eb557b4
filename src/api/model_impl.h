#pragma once

#include <memory>
#include <optional>
#include <string>

#include "frontends/open.h"
#include "lathe/model.h"
#include "ops/expert_counts.h"
#include "ops/interpreter.h"
#include "quantization/conversion.h"
#include "quantization/fold_batch_norms.h"
#include "quantization/scale_groups.h"
#include "tokenizer/tokenizer.h"

namespace lathe {

/// The quantizers of a model.
struct Quantization {
  std::string config_name;
  std::string algorithm;
  quantization::ScaleOptions options;
  quantization::Conversion conversion;
  std::vector<std::string> warnings;
  quantization::Lifting lifting;  // of a torch.export program
  std::vector<quantization::FoldedNorm> folded_norms;
};

struct Model::Impl {
  std::string path;
  ir::Model model;
  std::optional<frontends::QuantizedSource> source_quantization;
  bool dequantized = false;  // opened so: the weights are values, nothing else is quantized
  std::optional<frontends::GgufVocabulary> vocabulary;
  std::vector<std::vector<std::string>> name_groups;       // of a model without a graph
  std::vector<frontends::ProgramInput> program_inputs;     // of a torch.export program
  std::shared_ptr<const frontends::ProgramSites> program;  // likewise
  std::optional<Quantization> quantization;
  bool folded = false;  // weights were replaced by fold_weight
  ops::ExpertCounts expert_counts;
  ops::Interpreter interpreter{leaves_that_count(expert_counts)};
  mutable std::optional<tokenizer::Tokenizer> tokenizer;  // read when it is first asked for

  ir::Module& root() { return *model.root; }
  const ir::Module& root() const { return *model.root; }
  /// UserError if the architecture is unknown; `purpose` says what needs it.
  void require_graph(std::string_view purpose) const;
  /// UserError if there is none.
  const tokenizer::Tokenizer& require_tokenizer() const;
  bool has_tokenizer() const;

 private:
  /// The leaf table, its routers watched.
  static ops::LeafTable leaves_that_count(ops::ExpertCounts& counts);
};

namespace api {

/// The files of a GGUF's tokenizer, so that exports have them.
void add_tokenizer_files(ir::Model& model, const frontends::GgufVocabulary& vocabulary);

/// Puts the quantizers of a checkpoint's inputs and caches into the model, with the scales on file.
Quantization restore_quantizers(ir::Model& model, const frontends::QuantizedSource& source);

}  // namespace api
}  // namespace lathe
