#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "frontends/open.h"
#include "parity/trace/masked_run.h"
#include "trace/unit_symbols.h"
#include "unit/trace/nets.h"

namespace lathe::trace {
namespace {

/// All atoms of a model that may change, with what they are.
std::vector<AxisId> free_atoms(const UnitResult& units) {
  std::vector<AxisId> atoms;
  for (const SymbolAxis& size : units.symbols) {
    for (const AxisId atom : units.axes.atoms(size.axis)) {
      const bool is_new = std::find(atoms.begin(), atoms.end(), atom) == atoms.end();
      if (is_new && !units.axes.is_fixed(atom)) atoms.push_back(atom);
    }
  }
  return atoms;
}

/// Some of the units of an axis, in order, at least one (`least` of experts, which are chosen).
std::vector<int64_t> some_units(int64_t count, int64_t least, std::mt19937& random) {
  std::vector<int64_t> units(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) units[static_cast<size_t>(i)] = i;
  std::shuffle(units.begin(), units.end(), random);
  const auto stay = std::max<int64_t>(least, static_cast<int64_t>(random() % count));
  units.resize(static_cast<size_t>(std::clamp<int64_t>(stay, 1, count)));
  std::sort(units.begin(), units.end());
  return units;
}

constexpr size_t kMostAlone = 8;

UnitFlow::Inputs shapes_of(const ops::NamedTensors& inputs) {
  UnitFlow::Inputs shapes;
  for (const auto& [name, tensor] : inputs)
    shapes[name] = ShapeRun::empty(tensor.sizes().vec(), tensor.scalar_type());
  return shapes;
}

void expect_same(const ir::Module& model, const ops::NamedTensors& inputs, const KeptUnits& kept,
                 const UnitFlow::Inputs& shapes) {
  // Parameters are found by identity: each copy is analysed by itself, with the same axes.
  const ir::ModulePtr masked = copy_model(model);
  const ir::ModulePtr shrunk = copy_model(model);
  const UnitAnalysis of_masked = analyze_units(*masked, rich_registry(), shapes);
  const UnitAnalysis of_shrunk = analyze_units(*shrunk, rich_registry(), shapes);
  shrink(*shrunk, of_shrunk.units, kept);
  const at::Tensor expected = MaskedModel(masked, of_masked.units, kept).run(inputs);
  const at::Tensor found = run(*shrunk, inputs);
  ASSERT_EQ(found.sizes(), expected.sizes());
  EXPECT_TRUE(at::allclose(found, expected, 1e-3, 1e-4))
      << "largest difference " << (found - expected).abs().max().item().toDouble() << " of "
      << expected.abs().max().item().toDouble();
}

/// Takes units away from some axes alone, then from all at once.
void expect_equivalence(const ir::ModulePtr& model, const ops::NamedTensors& inputs,
                        size_t least_axes, int64_t top_k = 1) {
  const UnitFlow::Inputs shapes = shapes_of(inputs);
  const UnitAnalysis analysis = analyze_units(*model, rich_registry(), shapes);
  const std::vector<AxisId> atoms = free_atoms(analysis.units);
  EXPECT_GE(atoms.size(), least_axes);
  std::mt19937 random(7);
  KeptUnits all;
  for (const AxisId atom : atoms) {
    const AxisTable& axes = analysis.units.axes;
    SCOPED_TRACE(fmt::format("an axis of {} ({})", axes.size(atom), axes.role(atom)));
    const int64_t least = axes.role(atom) == "experts" ? top_k : 1;
    const std::vector<int64_t> units = some_units(axes.size(atom), least, random);
    all[atom] = units;
    if (all.size() % (atoms.size() / kMostAlone + 1) != 0) continue;
    expect_same(*model, inputs, {{atom, units}}, shapes);
  }
  SCOPED_TRACE("all at once");
  expect_same(*model, inputs, all, shapes);
}

at::Tensor values(const std::vector<int64_t>& sizes) {
  ir::Module holder("Holder");
  holder.parameters.set("x", std::make_shared<ir::Parameter>(at::kFloat, sizes, nullptr));
  fill_parameters(holder, 99);
  return (*holder.parameters.find("x"))->tensor();
}

struct Net {
  const char* name;
  std::string nodes;
  std::string children;
  std::vector<int64_t> input;
  std::string symbols;
};

void PrintTo(const Net& net, std::ostream* out) { *out << net.name; }

std::string conv_module(const std::string& name, int out, int in, int groups = 1) {
  return fmt::format(
      "child {}: Conv2d {{ attribute stride = [1, 1] attribute padding = [1, 1] attribute dilation "
      "= "
      "[1, 1] attribute groups = {} {}{} }}\n",
      name, groups, parameter("weight", fmt::format("{}, {}, 3, 3", out, in / groups)),
      parameter("bias", std::to_string(out)));
}

std::string batch_norm(const std::string& name, int size) {
  return fmt::format(
      "child {}: BatchNorm2d {{ attribute training = False attribute momentum = 0.1 attribute eps "
      "= "
      "0.00001 {}{}{}{} }}\n",
      name, parameter("weight", std::to_string(size)), parameter("bias", std::to_string(size)),
      parameter("running_mean", std::to_string(size)),
      parameter("running_var", std::to_string(size)));
}

std::string norm(const std::string& name, const std::string& type, int size) {
  const std::string bias = type == "RMSNorm" ? "" : parameter("bias", std::to_string(size));
  return fmt::format("child {}: {} {{ attribute eps = 0.00001 {}{} }}\n", name, type,
                     parameter("weight", std::to_string(size)), bias);
}

std::string group_norm(const std::string& name, int groups, int size) {
  return fmt::format(
      "child {}: GroupNorm {{ attribute num_groups = {} attribute eps = 0.00001 {}{} }}\n", name,
      groups, parameter("weight", std::to_string(size)), parameter("bias", std::to_string(size)));
}

const std::string kHeads =
    "%q4 = call_op aten::unflatten.int(%q, -1, [-1, 4]) %k4 = call_op aten::unflatten.int(%k, -1, "
    "[-1, 4])\n"
    "%v4 = call_op aten::unflatten.int(%v, -1, [-1, 4])\n"
    "%qt = call_op aten::transpose.int(%q4, 1, 2) %kt = call_op aten::transpose.int(%k4, 1, 2)\n"
    "%vt = call_op aten::transpose.int(%v4, 1, 2)\n";
const std::string kMerge =
    "%t = call_op aten::transpose.int(%m, 1, 2) %f = call_op aten::flatten.using_ints(%t, 2, 3)\n"
    "%o = call_module o(%f) output(%o)";
const std::string kQkv = "%q = call_module q(%x) %k = call_module k(%x) %v = call_module v(%x)\n";

std::vector<Net> nets() {
  return {
      {"ConvNormChain",
       "%a = call_module c0(%x) %b = call_module bn(%a) %c = call_op aten::relu(%b)\n"
       "%d = call_module c1(%c) output(%d)",
       conv_module("c0", 8, 3) + batch_norm("bn", 8) + conv_module("c1", 4, 8),
       {2, 3, 6, 6},
       "c0.out_channels: bn.num_features c1.in_channels\n"},
      {"FlattenBetweenConvAndLinear",
       "%a = call_module c0(%x) %p = call_op aten::max_pool2d(%a, [2, 2])\n"
       "%f = call_op aten::flatten.using_ints(%p, 1) %b = call_module l(%f) output(%b)",
       conv_module("c0", 6, 3) + linear("l", 5, 54),
       {2, 3, 6, 6},
       "c0.out_channels: l.in_features[0]\n"},
      {"GroupedConvolution",
       "%a = call_module c0(%x) %g = call_module g(%a) %b = call_module c1(%g) output(%b)",
       conv_module("c0", 12, 3) + conv_module("g", 18, 12, 3) + conv_module("c1", 4, 18),
       {2, 3, 5, 5},
       "c0.out_channels.groups: c1.in_channels.groups g.in_channels.groups g.out_channels.groups\n"
       "c0.out_channels[1]: g.in_channels[1]\ng.out_channels[1]: c1.in_channels[1]\n"},
      {"DepthwiseConvolution",
       "%a = call_module c0(%x) %g = call_module g(%a) %b = call_module c1(%g) output(%b)",
       conv_module("c0", 8, 3) + conv_module("g", 8, 8, 8) + conv_module("c1", 4, 8),
       {2, 3, 5, 5},
       "c0.out_channels: c1.in_channels g.in_channels g.out_channels\n"},
      {"GroupNorm",
       "%a = call_module c0(%x) %g = call_module gn(%a) %b = call_module c1(%g) output(%b)",
       conv_module("c0", 8, 3) + group_norm("gn", 2, 8) + conv_module("c1", 4, 8),
       {2, 3, 5, 5},
       "c0.out_channels[0]: c1.in_channels[0] gn.num_channels[0]\n"
       "c0.out_channels[1]: c1.in_channels[1] gn.num_channels[1]\n"},
      {"Concatenation",
       "%a = call_module c0(%x) %b = call_module c1(%x) %s = call_op aten::cat([%a, %b, %a], 1)\n"
       "%c = call_module c2(%s) output(%c)",
       conv_module("c0", 4, 3) + conv_module("c1", 6, 3) + conv_module("c2", 4, 14),
       {2, 3, 5, 5},
       "c0.out_channels: c2.in_channels[0]\nc1.out_channels: c2.in_channels[1]\n"},
      {"ConcatenationsThatAreAdded",
       "%a = call_module c0(%x) %b = call_module c1(%x) %s = call_op aten::cat([%a, %b], 1)\n"
       "%d = call_module c2(%x) %t = call_op aten::add.Tensor(%s, %d)\n"
       "%c = call_module c3(%t) output(%c)",
       conv_module("c0", 4, 3) + conv_module("c1", 6, 3) + conv_module("c2", 10, 3) +
           conv_module("c3", 4, 10),
       {2, 3, 5, 5},
       "c0.out_channels: c2.out_channels[0] c3.in_channels[0]\n"
       "c1.out_channels: c2.out_channels[1] c3.in_channels[1]\n"},
      {"GatedMlp",
       "%n = call_module norm(%x) %g = call_module gate(%n) %s = call_op aten::silu(%g)\n"
       "%u = call_module up(%n) %m = call_op aten::mul.Tensor(%s, %u) %d = call_module down(%m)\n"
       "output(%d)",
       norm("norm", "RMSNorm", 6) + linear("gate", 10, 6) + linear("up", 10, 6) +
           linear("down", 6, 10),
       {2, 3, 6},
       "gate.out_features: down.in_features up.out_features\n"},
      {"FusedGateAndUp",
       "%b = call_module both(%x) %s = call_op aten::chunk(%b, 2, -1)\n"
       "%g = call_op builtin::getitem(%s, 0) %u = call_op builtin::getitem(%s, 1)\n"
       "%a = call_op aten::gelu(%g) %m = call_op aten::mul.Tensor(%a, %u)\n"
       "%d = call_module down(%m) output(%d)",
       linear("both", 20, 6) + linear("down", 6, 10),
       {2, 3, 6},
       "both.out_features: down.in_features\n"},
      {"GatedLinearUnit",
       "%b = call_module both(%x) %g = call_op aten::glu(%b, -1) %d = call_module down(%g) "
       "output(%d)",
       linear("both", 20, 6) + linear("down", 6, 10),
       {2, 3, 6},
       "both.out_features: down.in_features\n"},
      {"SplitIntoUnequalParts",
       "%b = call_module both(%x) %s = call_op aten::split_with_sizes(%b, [4, 6], -1)\n"
       "%g = call_op builtin::getitem(%s, 0) %u = call_op builtin::getitem(%s, 1)\n"
       "%c = call_module one(%g) %d = call_module two(%u) %e = call_op aten::add.Tensor(%c, %d)\n"
       "output(%e)",
       linear("both", 10, 6) + linear("one", 5, 4) + linear("two", 5, 6),
       {2, 3, 6},
       "both.out_features[0]: one.in_features\nboth.out_features[1]: two.in_features\n"},
      {"ResidualWidth",
       "%e = call_module embed(%x) %n = call_module norm(%e) %u = call_module up(%n)\n"
       "%r = call_op aten::relu(%u) %d = call_module down(%r) %s = call_op aten::add.Tensor(%e, "
       "%d)\n"
       "%f = call_module final(%s) %h = call_module head(%f) output(%h)",
       linear("embed", 8, 5) + norm("norm", "LayerNorm", 8) + linear("up", 12, 8) +
           linear("down", 8, 12) + norm("final", "RMSNorm", 8) + linear("head", 5, 8),
       {2, 3, 5},
       "embed.out_features: down.out_features final.num_features head.in_features "
       "norm.num_features up.in_features\nup.out_features: down.in_features\n"},
      {"Attention",
       kQkv + kHeads + "%m = call_op aten::scaled_dot_product_attention(%qt, %kt, %vt)\n" + kMerge,
       linear("q", 12, 6) + linear("k", 12, 6) + linear("v", 12, 6) + linear("o", 6, 12),
       {2, 5, 6},
       "q.out_features.head_dim: k.out_features.head_dim\n"
       "q.out_features.heads: k.out_features.heads o.in_features.heads v.out_features.heads\n"
       "v.out_features.value_head_dim: o.in_features.value_head_dim\n"},
      {"GroupedQueryAttention",
       kQkv + kHeads + "%m = call_op lathe::attention(%qt, %kt, %vt)\n" + kMerge,
       linear("q", 24, 6) + linear("k", 8, 6) + linear("v", 8, 6) + linear("o", 6, 24),
       {2, 5, 6},
       "q.out_features.head_dim: k.out_features.head_dim\n"
       "q.out_features.heads_per_kv_head: o.in_features.heads_per_kv_head\n"
       "q.out_features.kv_heads: k.out_features.kv_heads o.in_features.kv_heads "
       "v.out_features.kv_heads\n"
       "v.out_features.value_head_dim: o.in_features.value_head_dim\n"},
      {"FusedQkv",
       "%a = call_module qkv(%x) %s = call_op aten::split_with_sizes(%a, [24, 8, 8], -1)\n"
       "%q = call_op builtin::getitem(%s, 0) %k = call_op builtin::getitem(%s, 1)\n"
       "%v = call_op builtin::getitem(%s, 2)\n" +
           kHeads + "%m = call_op lathe::attention(%qt, %kt, %vt)\n" + kMerge,
       linear("qkv", 40, 6) + linear("o", 6, 24),
       {2, 5, 6},
       "qkv.out_features.head_dim\n"
       "qkv.out_features.heads_per_kv_head: o.in_features.heads_per_kv_head\n"
       "qkv.out_features.kv_heads: o.in_features.kv_heads\n"
       "qkv.out_features.value_head_dim: o.in_features.value_head_dim\n"},
      {"AttentionByMatmul",
       kQkv + kHeads +
           "%kk = call_op aten::transpose.int(%kt, -1, -2) %w = call_op aten::matmul(%qt, %kk)\n"
           "%p = call_op aten::softmax.int(%w, -1) %m = call_op aten::matmul(%p, %vt)\n" +
           kMerge,
       linear("q", 12, 6) + linear("k", 12, 6) + linear("v", 12, 6) + linear("o", 6, 12),
       {2, 5, 6},
       "q.out_features[0]: k.out_features[0] o.in_features[0] v.out_features[0]\n"
       "q.out_features[1]: k.out_features[1]\n"
       "v.out_features[1]: o.in_features[1]\n"},
      {"KeysRepeatedForTheirGroups",
       kQkv + kHeads +
           "%ku = call_op aten::unsqueeze(%kt, 2) %ke = call_op aten::expand(%ku, [2, 2, 3, 5, "
           "4])\n"
           "%kr = call_op aten::reshape(%ke, [2, 6, 5, 4])\n"
           "%vu = call_op aten::unsqueeze(%vt, 2) %ve = call_op aten::expand(%vu, [2, 2, 3, 5, "
           "4])\n"
           "%vr = call_op aten::reshape(%ve, [2, 6, 5, 4])\n"
           "%m = call_op aten::scaled_dot_product_attention(%qt, %kr, %vr)\n" +
           kMerge,
       linear("q", 24, 6) + linear("k", 8, 6) + linear("v", 8, 6) + linear("o", 6, 24),
       {2, 5, 6},
       "q.out_features.head_dim: k.out_features.head_dim\n"
       "q.out_features[0]: k.out_features[0] o.in_features[0] v.out_features[0]\n"
       "q.out_features[1]: o.in_features[1]\n"
       "v.out_features.value_head_dim: o.in_features.value_head_dim\n"},
  };
}

class Equivalence : public testing::TestWithParam<Net> {};

TEST_P(Equivalence, OfTheShrunkAndTheMaskedNet) {
  const ir::ModulePtr model = net(GetParam().nodes, GetParam().children);
  fill_parameters(*model, 1);
  const ops::NamedTensors inputs = {{"x", values(GetParam().input)}};
  const UnitAnalysis analysis = analyze_units(*model, rich_registry(), shapes_of(inputs));
  EXPECT_EQ(symbols_text(analysis.analysis.symbols), GetParam().symbols);
  expect_equivalence(model, inputs, 1);
}

INSTANTIATE_TEST_SUITE_P(Nets, Equivalence, testing::ValuesIn(nets()),
                         [](const auto& info) { return std::string(info.param.name); });

int64_t config_number(const ir::Model& model, const char* name, int64_t otherwise) {
  return model.config.contains(name) ? model.config[name].get<int64_t>() : otherwise;
}

/// Inputs of the right kind for everything that a model needs.
ops::NamedTensors inputs_of(const ir::Model& model) {
  ops::NamedTensors inputs;
  for (const auto& [name, required] : ops::model_inputs(*model.root)) {
    if (!required) continue;
    if (name == "pixel_values") {
      const int64_t size = config_number(model, "image_size", 32);
      inputs[name] = values({1, config_number(model, "num_channels", 3), size, size});
    } else if (name == "input_features") {
      inputs[name] = values({1, config_number(model, "num_mel_bins", 80),
                             2 * config_number(model, "max_source_positions", 1500)});
    } else {
      inputs[name] = values({1, 6}).abs().mul(7).to(at::kLong).remainder(32);
    }
  }
  return inputs;
}

/// Every architecture that the front end reads: random units of every symbol of a tiny model.
TEST(EquivalenceOfModels, OfEveryArchitecture) {
  size_t models = 0;
  for (const auto& folder :
       std::filesystem::directory_iterator(std::filesystem::path(LATHE_GOLDEN_DIR) / "hf")) {
    SCOPED_TRACE(folder.path().filename().string());
    const auto opened = frontends::open_model(folder.path(), {.dtype = at::kFloat});
    if (!opened.model.has_graph()) continue;
    expect_equivalence(opened.model.root, inputs_of(opened.model), 3,
                       config_number(opened.model, "num_experts_per_tok", 1));
    ++models;
  }
  EXPECT_GE(models, 3u);
}

}  // namespace
}  // namespace lathe::trace
