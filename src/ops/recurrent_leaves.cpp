#include "ops/recurrent_leaves.h"

#include <ATen/ops/gru.h>
#include <ATen/ops/lstm.h>
#include <ATen/ops/rnn_relu.h>
#include <ATen/ops/rnn_tanh.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"

namespace lathe::ops {
namespace {

using c10::IValue;
using Arguments = std::span<const IValue>;

bool flag(const ir::Module& module, std::string_view name) {
  const ir::Attribute* attribute = module.attributes.find(name);
  const bool* value = attribute ? std::get_if<bool>(attribute) : nullptr;
  check_internal(value != nullptr, "{} has no flag {}", module.type, name);
  return *value;
}

/// A recurrent leaf's attributes and parameters, as LibTorch's operators take them.
struct Recurrent {
  RecurrentShape shape;
  double dropout;
  bool train;
  bool batch_first;
  std::vector<at::Tensor> parameters;

  explicit Recurrent(const ir::Module& module)
      : shape{.layers = module.int_attribute("num_layers"),
              .bidirectional = flag(module, "bidirectional"),
              .biases = flag(module, "has_biases"),
              .projected = module.parameters.find("weight_hr_l0") != nullptr},
        dropout(module.float_attribute("dropout")),
        train(flag(module, "train")),
        batch_first(flag(module, "batch_first")) {
    for (const std::string& name : recurrent_parameters(shape)) {
      const ir::ParameterPtr* parameter = module.parameters.find(name);
      check_internal(parameter != nullptr, "{} has no parameter {}", module.type, name);
      parameters.push_back((*parameter)->tensor());
    }
  }

  /// The first state, whose last size is that of `weight`'s rows.
  at::Tensor zero_state(const at::Tensor& x, int64_t size) const {
    const int64_t directions = shape.bidirectional ? 2 : 1;
    return at::zeros({shape.layers * directions, x.size(batch_first ? 0 : 1), size}, x.options());
  }
  int64_t hidden_size() const { return parameters[1].size(1); }
};

const at::Tensor& input_of(const ir::Module& module, Arguments arguments, size_t states) {
  check_internal(arguments.size() == 1 || arguments.size() == 1 + states,
                 "{} takes a value and {} states, {} arguments are given", module.type, states,
                 arguments.size());
  return arguments[0].toTensor();
}

IValue run_lstm(const ir::Module& module, Arguments arguments) {
  const at::Tensor& x = input_of(module, arguments, 2);
  const Recurrent lstm(module);
  std::vector<at::Tensor> state;
  if (arguments.size() == 3) {
    state = {arguments[1].toTensor(), arguments[2].toTensor()};
  } else {
    // Cells are as wide as a gate, hidden states as what the gates read.
    state = {lstm.zero_state(x, lstm.hidden_size()),
             lstm.zero_state(x, lstm.parameters[0].size(0) / 4)};
  }
  return at::lstm(x, state, lstm.parameters, lstm.shape.biases, lstm.shape.layers, lstm.dropout,
                  lstm.train, lstm.shape.bidirectional, lstm.batch_first);
}

template <typename Operator>
IValue run_simple(const ir::Module& module, Arguments arguments, const Operator& function) {
  const at::Tensor& x = input_of(module, arguments, 1);
  const Recurrent rnn(module);
  const at::Tensor state =
      arguments.size() == 2 ? arguments[1].toTensor() : rnn.zero_state(x, rnn.hidden_size());
  return function(x, state, rnn.parameters, rnn.shape.biases, rnn.shape.layers, rnn.dropout,
                  rnn.train, rnn.shape.bidirectional, rnn.batch_first);
}

IValue run_gru(const ir::Module& module, Arguments arguments) {
  return run_simple(module, arguments, [](const auto&... values) { return at::gru(values...); });
}

IValue run_rnn(const ir::Module& module, Arguments arguments) {
  const ir::Attribute* nonlinearity = module.attributes.find("nonlinearity");
  check_internal(nonlinearity != nullptr, "{} has no nonlinearity", module.type);
  if (std::get<std::string>(*nonlinearity) == "relu") {
    return run_simple(module, arguments,
                      [](const auto&... values) { return at::rnn_relu(values...); });
  }
  return run_simple(module, arguments,
                    [](const auto&... values) { return at::rnn_tanh(values...); });
}

}  // namespace

std::vector<std::string> recurrent_parameters(const RecurrentShape& shape) {
  std::vector<std::string> names;
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    for (const char* direction : {"", "_reverse"}) {
      if (*direction != '\0' && !shape.bidirectional) continue;
      const std::string suffix = fmt::format("l{}{}", layer, direction);
      names.push_back("weight_ih_" + suffix);
      names.push_back("weight_hh_" + suffix);
      if (shape.biases) {
        names.push_back("bias_ih_" + suffix);
        names.push_back("bias_hh_" + suffix);
      }
      if (shape.projected) names.push_back("weight_hr_" + suffix);
    }
  }
  return names;
}

void add_recurrent_leaves(LeafTable& table) {
  table.add("LSTM", run_lstm);
  table.add("GRU", run_gru);
  table.add("RNN", run_rnn);
}

}  // namespace lathe::ops
