#include <algorithm>
#include <array>
#include <cmath>

#include "trace/operator_classes.h"
#include "trace/unit_flow.h"

namespace lathe::trace {
namespace {

/// A sum over products along a dimension: what is taken away must not have added anything.
void contract(UnitFlow& flow, const UnitValue& a, size_t a_dim, const UnitValue& b, size_t b_dim) {
  flow.tie(a.dims.at(a_dim), b.dims.at(b_dim));
  if (a.is_zero(a_dim) || b.is_zero(b_dim)) return;
  flow.axes().fix(a.dims.at(a_dim), "values that are not zero are summed over it");
}

UnitValue without_last(const UnitValue& x, size_t count) {
  UnitValue result = x;
  result.dims.resize(x.rank() - std::min(count, x.rank()));
  return result;
}

/// [..., M, K] times [..., K, N].
UnitValue matmul(UnitFlow& flow, const UnitValue& a, const UnitValue& b) {
  if (a.rank() < 2 || b.rank() < 2) {
    flow.fix(a, "a product with a vector");
    flow.fix(b, "a product with a vector");
    return {};
  }
  contract(flow, a, a.rank() - 1, b, b.rank() - 2);
  UnitValue result = flow.broadcast(without_last(a, 2), without_last(b, 2));
  for (size_t d = 0; d < result.rank(); ++d) {
    const auto zero = [&](const UnitValue& x) {
      const size_t offset = result.rank() + 2 - x.rank();
      return d >= offset && x.is_zero(d - offset);
    };
    result.set_zero(d, zero(a) || zero(b));
  }
  result.dims.push_back(a.dims[a.rank() - 2]);
  result.set_zero(result.rank() - 1, a.is_zero(a.rank() - 2));
  result.dims.push_back(b.dims.back());
  result.set_zero(result.rank() - 1, b.is_zero(b.rank() - 1));
  return result;
}

void give_product(OpCall& call, const UnitValue& a, const UnitValue& b, const UnitValue* added) {
  if (!a.known || !b.known) return call.flow.give_up(call.id, "a factor's shape is not known");
  UnitValue result = matmul(call.flow, a, b);
  if (!result.known) return call.flow.give_up(call.id, "a product with a vector");
  if (added != nullptr && added->known) {
    const uint64_t zero = result.zero;
    result = call.flow.broadcast(result, *added);
    result.zero = zero & (added->rank() == result.rank() ? added->zero : ~uint64_t{0});
  }
  call.flow.give(call.id, std::move(result));
}

/// x [..., K], weight [N, K] that the graph reads.
void linear(OpCall& call) {
  const UnitValue x = call.tensor("input");
  const UnitValue weight = call.tensor("weight");
  const UnitValue bias = call.tensor("bias");
  if (!x.known || weight.rank() != 2 || x.rank() == 0)
    return call.flow.give_up(call.id, "the shape of a linear's input is not known");
  const ir::Argument* argument = call.argument("weight");
  const ir::Node* source = argument->node();
  while (source != nullptr && source->kind == ir::NodeKind::kCallModule && !source->args.empty())
    source = source->args[0].node();  // a quantizer of the weight
  if (source != nullptr && source->kind == ir::NodeKind::kGetAttr && source->target == "weight") {
    const ir::Module& module = *call.flow.graph().scope(call.node).module;
    call.flow.note(module, "in_features", weight.dims[1], false);
    call.flow.note(module, "out_features", weight.dims[0], true);
  }
  call.flow.give(call.id, multiply_by_weight(call.flow, x, weight.dims[1], weight.dims[0],
                                             bias.known ? &bias : nullptr));
}

struct Attention {
  UnitValue query;
  UnitValue key;
  UnitValue value;
};

/// Heads of queries and keys: the same, or groups of query heads that share a key head.
void tie_heads(UnitFlow& flow, AxisId query, AxisId key) {
  AxisTable& axes = flow.axes();
  const int64_t queries = axes.size(query);
  const int64_t keys = axes.size(key);
  if (queries == keys) {
    flow.tie(query, key);
    axes.name(key, "heads");
    return;
  }
  if (keys == 1 || queries % keys != 0) {
    axes.name(query, "heads");
    return;
  }
  const auto parts = axes.split_product(query, {keys, queries / keys});
  flow.tie(parts[0], key);
  axes.name(key, "kv_heads");
  axes.name(parts[1], "heads_per_kv_head");
}

/// softmax(query key^T) value: heads stay apart; queries and keys share the size of heads.
UnitValue attend(UnitFlow& flow, const Attention& attention) {
  const auto& [query, key, value] = attention;
  const size_t rank = query.rank();
  contract(flow, query, rank - 1, key, key.rank() - 1);
  flow.axes().name(query.dims.back(), "head_dim");
  flow.axes().name(value.dims.back(), "value_head_dim");
  flow.tie(key.dims[key.rank() - 2], value.dims[value.rank() - 2]);
  UnitValue result = query;
  for (size_t d = 0; d + 3 < rank; ++d) {
    flow.tie(query.dims[d], key.dims[d]);
    flow.tie(query.dims[d], value.dims[d]);
  }
  if (rank >= 3) {
    tie_heads(flow, query.dims[rank - 3], key.dims[rank - 3]);
    flow.tie(key.dims[rank - 3], value.dims[rank - 3]);
  }
  result.zero = 0;
  result.dims.back() = value.dims.back();
  result.set_zero(rank - 1, value.is_zero(rank - 1));
  if (rank >= 3) result.set_zero(rank - 3, value.is_zero(rank - 3));
  return result;
}

/// Scores that are added have [B, H, queries, keys], or 1.
void tie_scores(UnitFlow& flow, const UnitValue& scores, const Attention& attention) {
  if (!scores.known) return;
  const size_t rank = attention.query.rank();
  for (size_t i = 0; i < scores.rank(); ++i) {
    const size_t from_end = scores.rank() - i;
    const AxisId axis = scores.dims[i];
    if (flow.axes().size(axis) == 1) continue;
    if (from_end == 1) {
      flow.tie(axis, attention.key.dims[rank - 2]);
    } else if (from_end <= rank) {
      flow.tie(axis, attention.query.dims[from_end == 2 ? rank - 2 : rank - from_end]);
    }
  }
}

void attention(OpCall& call, const UnitValue& scores) {
  const Attention inputs{call.tensor("query"), call.tensor("key"), call.tensor("value")};
  const auto usable = [](const UnitValue& x) { return x.known && x.rank() >= 3; };
  if (!usable(inputs.query) || !usable(inputs.key) || !usable(inputs.value) ||
      inputs.query.rank() != inputs.key.rank() || inputs.key.rank() != inputs.value.rank())
    return call.flow.give_up(call.id, "the shapes of an attention's inputs are not known");
  const auto head_dim = static_cast<double>(call.flow.axes().size(inputs.query.dims.back()));
  if (!call.has("scale")) {
    call.flow.result().scales.push_back(
        {call.flow.graph().scope(call.node).module, call.node.node, 1.0 / std::sqrt(head_dim)});
  }
  UnitValue result = attend(call.flow, inputs);
  tie_scores(call.flow, scores, inputs);
  if (const UnitValue sinks = call.tensor("sinks"); sinks.known && sinks.rank() == 1)
    call.flow.tie(sinks.dims[0], inputs.query.dims[inputs.query.rank() - 3]);
  call.flow.give(call.id, std::move(result));
}

/// x [..., D] whose halves turn into each other.
void rotary_embedding(OpCall& call) {
  const UnitValue x = call.tensor("x");
  const UnitValue cos = call.tensor("cos");
  const UnitValue sin = call.tensor("sin");
  if (!x.known || x.rank() == 0)
    return call.flow.give_up(call.id, "the tensor's shape is not known");
  AxisTable& axes = call.flow.axes();
  const int64_t size = axes.size(x.dims.back());
  if (!cos.known || !sin.known || size % 2 != 0 || axes.size(cos.dims.back()) != size) {
    axes.fix(x.dims.back(), "the angles of a rotary embedding are fixed");
    return call.flow.give(call.id, UnitValue(x));
  }
  const auto halves = axes.split_sum(x.dims.back(), {size / 2, size / 2});
  call.flow.tie(halves[0], halves[1]);
  call.flow.tie(x.dims.back(), cos.dims.back());
  call.flow.tie(x.dims.back(), sin.dims.back());
  axes.name(halves[0], "rotary_pairs");
  call.flow.give(call.id, UnitValue(x));
}

// --- experts ---

/// Pairs of token and expert, by expert: how many there are is not known.
void assign_experts(OpCall& call) {
  const UnitValue chosen = call.tensor("experts");
  const ValueId source = call.node.inputs.empty() ? kNoValue : call.node.inputs[0];
  const auto found = call.flow.chosen_experts.find(source);
  if (found != call.flow.chosen_experts.end()) {
    call.note_size("num_experts", -1, {found->second});
    call.flow.chosen_experts[call.id] = found->second;
  }
  int64_t pairs = 1;
  for (const AxisId axis : chosen.dims) pairs *= call.flow.axes().size(axis);
  call.flow.give(call.id,
                 std::vector<UnitValue>{call.flow.constants({pairs}), call.flow.constants({0})});
}

void expert_rows(OpCall& call) {
  UnitValue rows = call.tensor("x");
  if (!rows.known) return call.flow.give_up(call.id, "the tokens' shape is not known");
  rows.dims.at(0) = call.flow.axes().constant(call.flow.axes().size(rows.dims.at(0)));
  rows.set_zero(0, false);
  call.flow.give(call.id, std::move(rows));
}

/// The experts' values, weighed: as many as there are experts, in their order.
void combine_experts(OpCall& call) {
  const std::vector<UnitValue> outputs = call.tensors("outputs");
  const UnitValue weights = call.tensor("weights");
  if (outputs.empty() || !weights.known || !outputs[0].known || outputs[0].rank() != 2)
    return call.flow.give_up(call.id, "the experts' shapes are not known");
  UnitValue result = outputs[0];
  for (const UnitValue& output : outputs) {
    if (!output.known) return call.flow.give_up(call.id, "an expert's shape is not known");
    call.flow.tie(result.dims[1], output.dims.at(1));
    result.set_zero(1, result.is_zero(1) && output.is_zero(1));
  }
  result.dims[0] = weights.dims.at(0);
  const ir::Argument* pairs = call.argument("pairs");
  const ValueId source = pairs ? call.flow.graph().value(call.node, *pairs).id : kNoValue;
  const auto found = call.flow.chosen_experts.find(source);
  if (found != call.flow.chosen_experts.end() &&
      call.flow.axes().size(found->second) == static_cast<int64_t>(outputs.size())) {
    call.flow.result().experts.push_back(
        {call.flow.graph().scope(call.node).module, call.node.node, found->second});
  }
  call.flow.give(call.id, std::move(result));
}

}  // namespace

UnitValue multiply_by_weight(UnitFlow& flow, const UnitValue& x, AxisId in, AxisId out,
                             const UnitValue* bias) {
  flow.tie(in, x.dims.back());
  if (bias != nullptr && bias->rank() == 1) flow.tie(bias->dims[0], out);
  UnitValue result = x;
  result.dims.back() = out;
  for (size_t d = 0; d + 1 < result.rank(); ++d)
    result.set_zero(d, result.is_zero(d) && bias == nullptr);
  result.set_zero(result.rank() - 1, true);
  return result;
}

bool apply_product_rule(OpCall& call) {
  const std::string_view name = operator_name(call.name);
  if (!call.name.starts_with("aten::")) return false;
  if (name == "linear") return linear(call), true;
  if (name == "matmul") {
    const bool named_other = call.argument("other") != nullptr;
    return give_product(call, call.tensor("self"), call.tensor(named_other ? "other" : "mat2"),
                        nullptr),
           true;
  }
  if (name == "mm" || name == "bmm")
    return give_product(call, call.tensor("self"), call.tensor("mat2"), nullptr), true;
  if (name == "addmm" || name == "baddbmm") {
    const UnitValue added = call.tensor("self");
    const bool is_batched = name == "baddbmm";
    return give_product(call, call.tensor(is_batched ? "batch1" : "mat1"),
                        call.tensor(is_batched ? "batch2" : "mat2"), &added),
           true;
  }
  if (name == "scaled_dot_product_attention")
    return attention(call, call.tensor("attn_mask")), true;
  return false;
}

bool apply_lathe_rule(OpCall& call) {
  UnitFlow& flow = call.flow;
  if (call.name == "lathe::attention") return attention(call, call.tensor("bias")), true;
  if (call.name == "lathe::rotary_embedding") return rotary_embedding(call), true;
  if (call.name == "lathe::assign_experts") return assign_experts(call), true;
  if (call.name == "lathe::expert_rows") return expert_rows(call), true;
  if (call.name == "lathe::combine_experts") return combine_experts(call), true;
  if (call.name == "lathe::or_full") {
    return flow.give(call.id, call.tensor("x").known ? call.tensor("x") : call.tensor("like")),
           true;
  }
  if (call.name == "lathe::position_ids") {
    const UnitValue ids = call.tensor("ids");
    if (!ids.known || ids.rank() != 2) return flow.give_up(call.id, "ids are no matrix"), true;
    return flow.give(call.id, flow.constants({1, flow.axes().size(ids.dims[1])})), true;
  }
  if (call.name == "lathe::swiglu") {
    UnitValue product = flow.broadcast(call.tensor("gate"), call.tensor("up"));
    return flow.give(call.id, std::move(product)), true;
  }
  if (call.name == "lathe::relative_position_buckets") {
    const UnitValue queries = call.tensor("queries");
    const UnitValue keys = call.tensor("keys");
    if (queries.rank() < 2 || keys.rank() < 2) return flow.give_up(call.id, "no tokens"), true;
    flow.give(call.id,
              flow.constants({flow.axes().size(queries.dims[1]), flow.axes().size(keys.dims[1])}));
    return true;
  }
  return false;
}

}  // namespace lathe::trace
