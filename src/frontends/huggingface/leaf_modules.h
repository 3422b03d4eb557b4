#pragma once

#include <optional>
#include <string>
#include <vector>

#include "frontends/huggingface/weights.h"
#include "ir/module.h"

namespace lathe::frontends {

/// Makes leaf modules with the parameters at a path of the checkpoint. Sizes: see leaf_types.md.
class LeafModules {
 public:
  explicit LeafModules(Weights& weights) : weights_(weights) {}

  /// The weight [out, in], whose rows are outputs.
  ir::ModulePtr linear(const std::string& path, int64_t out, int64_t in, bool bias);
  /// A weight [in, out].
  ir::ModulePtr conv1d_linear(const std::string& path, int64_t in, int64_t out);
  ir::ModulePtr embedding(const std::string& path, int64_t rows, int64_t size);
  ir::ModulePtr rms_norm(const std::string& path, int64_t size, double eps,
                         double weight_offset = 0.0);
  ir::ModulePtr layer_norm(const std::string& path, int64_t size, double eps, bool bias = true);

  struct Convolution {
    int64_t out, in;
    std::vector<int64_t> kernel, stride, padding;  // one entry a dimension
    bool bias = true;
  };
  /// Conv1d or Conv2d.
  ir::ModulePtr convolution(const std::string& path, const Convolution& shape);

  /// Modules without a graph for every tensor below `path`; null if there is none. DataError if
  /// there are more than any model has.
  ir::ModulePtr passive(const std::string& path);

  Weights& weights() { return weights_; }

 private:
  void take(ir::Module& module, const std::string& path, const char* name,
            std::vector<int64_t> shape);

  Weights& weights_;
};

/// A module with a graph.
ir::ModulePtr composite(std::string type, ir::GraphPtr graph);

}  // namespace lathe::frontends
