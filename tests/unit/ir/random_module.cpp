#include "random_module.h"

#include <limits>
#include <random>

#include "base/error.h"

namespace lathe::ir {
namespace {

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  ModulePtr module(int depth) {
    ModulePtr made = make_module(chance(2) ? "Linear" : "torch.nn.Block_2");
    made->is_block = chance(3);
    for (int i = below(4); i > 0; --i) made->attributes.set(fmt::format("a{}", i), attribute());
    for (int i = below(3); i > 0; --i) made->parameters.set(fmt::format("p{}", i), parameter());
    for (int i = below(2); i > 0; --i) made->buffers.set(fmt::format("b{}", i), parameter());
    for (int i = depth > 0 ? below(4) : 0; i > 0; --i)
      made->add_child(fmt::format("{}", i), module(depth - 1));
    if (chance(2)) made->graph = graph();
    return made;
  }

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<uint32_t>(bound)); }
  bool chance(int of) { return below(of) == 0; }

  int64_t integer() {
    const int64_t values[] = {
        0, -1, 7, 128, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
    return values[below(6)];
  }

  double real() {
    const double values[] = {0.0,    -0.0,    1.0,  -2.5,
                             1e-5,   1e300,   0.1,  std::numeric_limits<double>::denorm_min(),
                             1e16,   -1e-300, 12.0, std::numeric_limits<double>::infinity(),
                             1.0 / 3};
    return values[below(13)];
  }

  std::string text() {
    const std::string values[] = {"",           "none",         "a \"quoted\" \\ text",
                                  "two\nlines", "# no comment", "{ ( [ % @ é"};
    return values[below(6)];
  }

  Attribute attribute() {
    switch (below(5)) {
      case 0:
        return chance(2);
      case 1:
        return integer();
      case 2:
        return real();
      case 3:
        return text();
      default:
        return std::vector<int64_t>(static_cast<size_t>(below(4)), integer());
    }
  }

  ParameterPtr parameter() {
    if (!parameters_.empty() && chance(3)) return parameters_[index(parameters_.size())];
    const at::ScalarType types[] = {at::kFloat, at::kBFloat16, at::kByte,
                                    at::ScalarType::Float8_e4m3fn, at::kLong};
    std::vector<int64_t> shape;
    for (int i = below(4); i > 0; --i) shape.push_back(below(9));
    parameters_.push_back(std::make_shared<Parameter>(types[below(5)], shape, nullptr));
    return parameters_.back();
  }

  size_t index(size_t size) { return static_cast<size_t>(below(static_cast<int>(size))); }

  Argument argument(const std::vector<const Node*>& values, int depth) {
    switch (below(8)) {
      case 0:
        return {};
      case 1:
        return chance(2);
      case 2:
        return integer();
      case 3:
        return real();
      case 4:
        return text();
      case 5:
        return chance(2) ? at::kBFloat16 : at::kBool;
      case 6: {
        Argument::List list;
        for (int i = depth > 0 ? below(4) : 0; i > 0; --i)
          list.push_back(argument(values, depth - 1));
        return list;
      }
      default:
        return values.empty() ? Argument() : Argument(values[index(values.size())]);
    }
  }

  GraphPtr graph() {
    if (!graphs_.empty() && chance(3)) return graphs_[index(graphs_.size())];
    GraphBuilder builder;
    std::vector<const Node*> values;
    if (chance(2)) values.push_back(builder.placeholder("input \"ids\""));
    if (chance(2)) values.push_back(builder.optional_placeholder("mask"));
    for (int i = below(6); i > 0; --i) values.push_back(node(builder, values));
    if (chance(3)) {
      builder.named_output({{"logits", argument(values, 2)}, {"hidden", argument(values, 2)}});
    } else {
      builder.output(argument(values, 2));
    }
    graphs_.push_back(builder.build());
    return graphs_.back();
  }

  const Node* node(GraphBuilder& builder, const std::vector<const Node*>& values) {
    std::vector<Argument> args;
    for (int i = below(4); i > 0; --i) args.push_back(argument(values, 2));
    switch (below(3)) {
      case 0:
        return builder.get_attr("1.p1");
      case 1:
        return builder.call_module("layers.0", std::move(args));
      default: {
        std::vector<std::pair<std::string, Argument>> kwargs;
        if (chance(2)) kwargs.emplace_back("alpha", argument(values, 1));
        if (chance(3)) kwargs.emplace_back("None_", argument(values, 1));
        return builder.call_op("aten::add.Tensor", std::move(args), std::move(kwargs));
      }
    }
  }

  std::mt19937 random_;
  std::vector<ParameterPtr> parameters_;
  std::vector<GraphPtr> graphs_;
};

}  // namespace

ModulePtr random_module(uint32_t seed) { return Generator(seed).module(3); }

}  // namespace lathe::ir
