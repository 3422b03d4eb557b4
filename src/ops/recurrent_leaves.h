#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/leaf_table.h"

namespace lathe::ops {

/// What decides which parameters torch.nn's LSTM, GRU and RNN have.
struct RecurrentShape {
  int64_t layers;
  bool bidirectional;
  bool biases;
  bool projected;  // LSTM with proj_size
};

/// Names of the parameters in the order in which LibTorch's operators take them: for each layer and
/// direction weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_hr_l0; "_reverse" follows.
std::vector<std::string> recurrent_parameters(const RecurrentShape& shape);

/// LSTM(x[, h, c]) -> (y, h, c); GRU and RNN(x[, h]) -> (y, h). A state that is not given is zero.
void add_recurrent_leaves(LeafTable& table);

}  // namespace lathe::ops
