#pragma once

#include <unordered_set>

#include "ir/module.h"

namespace lathe::quantization {

/// Layers that stay as they are unless an entry of the configuration says that it means them: no
/// engine looks for them quantized. Embeddings, linear layers whose weight is an embedding's (a
/// tied head), and those that a TopKRouter reads.
class ReservedLayers {
 public:
  explicit ReservedLayers(const ir::Module& root);

  bool contains(const ir::Module& layer) const;

 private:
  void add(const ir::Module* layer);
  void add_routers(const ir::Module& block);

  std::unordered_set<const ir::Parameter*> weights_;
};

}  // namespace lathe::quantization
