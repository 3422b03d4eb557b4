#include "export/torch_export/edit_plan.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "export/torch_export/memory_sharing.h"
#include "export/torch_export/scheme_check.h"

namespace lathe::exporting {
namespace {

bool is_quantizable(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

std::string shape_text(const ValueMeta& meta) {
  std::vector<std::string> sizes;
  for (const auto& size : meta.sizes) sizes.push_back(size ? std::to_string(*size) : "?");
  return fmt::format("[{}]", fmt::join(sizes, ", "));
}

bool is_shape(const ValueMeta& meta, const std::vector<int64_t>& shape) {
  return std::equal(meta.sizes.begin(), meta.sizes.end(), shape.begin(), shape.end(),
                    [](const std::optional<int64_t>& a, int64_t b) { return a == b; });
}

std::string parent_of(const std::string& name) {
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? std::string() : name.substr(0, dot);
}

class Planner {
 public:
  Planner(const ProgramJson& program, const ProgramEdits& edits, bool pickled, bool need_scales)
      : program_(program),
        edits_(edits),
        pickled_(pickled),
        need_scales_(need_scales),
        sharing_(program) {}

  PlanResult plan() {
    for (const DroppedNode& edit : edits_.dropped) drop(edit);
    for (const OutputEdit& edit : edits_.outputs) plan_output(edit);
    for (const WeightEdit& edit : edits_.weights) plan_weight(edit);
    for (const ReplacedTensor& edit : edits_.replaced) plan_replacement(edit);
    for (const NewBias& edit : edits_.biases) plan_bias(edit);
    for (const ActivationEdit& edit : edits_.activations) plan_activation(edit);
    for (Group& group : groups_) finish_group(group);
    remove_unread();
    return std::move(result_);
  }

 private:
  template <typename... Args>
  void problem(fmt::format_string<Args...> format, Args&&... args) {
    result_.problems.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  EditPlan& plan_so_far() { return result_.plan; }
  const EditPlan& plan_so_far() const { return result_.plan; }

  std::optional<size_t> node_of(const std::string& name, std::string_view what) {
    if (const auto node = program_.find_node(name)) return node;
    // '#' and a number behind it: the front end's names of inner values.
    if (program_.is_inner(name.substr(0, name.find('#')))) {
      problem(
          "{}: node {} is in a graph that a higher-order operator is given, which stays as it is",
          what, name);
    } else {
      problem("{}: the program has no node {}", what, name);
    }
    return std::nullopt;
  }

  void check_scheme(const QdqScheme& scheme, const std::string& what) {
    if (scheme.axis || scheme.group_size)
      return problem("{}: activations have one scale, not one per channel or group", what);
    if (const auto text = scheme_problem(scheme); !text.empty())
      return problem("{}: {}", what, text);
    check_scales(scheme, 1, what);
    check_dtype(scheme.dtype, what);
  }

  void check_scales(const QdqScheme& scheme, size_t count, const std::string& what) {
    if (!need_scales_ && scheme.scales.empty()) return;
    if (const auto text = scales_problem(scheme, count); !text.empty())
      problem("{}: {}", what, text);
  }

  void check_dtype(DType dtype, const std::string& what) {
    if (pickled_ && is_float8(dtype)) {
      problem(
          "{}: archives of torch 2.6 and 2.7 cannot hold {}: export the model with a later torch",
          what, dtype_torch_name(dtype));
    }
  }

  void check_quantizable(const std::string& value, const std::string& what) {
    const auto meta = program_.meta(value);
    if (!meta || !meta->dtype || !is_quantizable(*meta->dtype)) {
      problem("{}: {} is quantized, expected a tensor of float32, float16 or bfloat16, found {}",
              what, value, meta && meta->dtype ? dtype_torch_name(*meta->dtype) : "another value");
    }
  }

  // Dropped nodes

  void drop(const DroppedNode& edit) {
    const auto node = node_of(edit.node, "dropping");
    if (!node) return;
    const Origin* origin = program_.origin(edit.instead);
    if (origin == nullptr || (!origin->is_input && origin->index >= *node))
      return problem("dropping {}: {} is not computed before it", edit.node, edit.instead);
    if (!plan_so_far().dropped.insert(*node).second)
      return problem("node {} is dropped twice", edit.node);
    const auto& results = program_.results(*node);
    if (results.empty() || results.front() != edit.node)
      return problem("dropping {}: it is not the first tensor that its node gives", edit.node);
    for (size_t i = 1; i < results.size(); ++i) {
      if (!program_.reads(results[i]).empty())
        problem("dropping {}: its value {} is read too", edit.node, results[i]);
    }
    check_same(edit);
    plan_so_far().instead[edit.node] = edit.instead;
  }

  void check_same(const DroppedNode& edit) {
    const auto before = program_.meta(edit.node);
    const auto after = program_.meta(edit.instead);
    if (!before || !after || (*before->json)["dtype"] != (*after->json)["dtype"] ||
        (*before->json)["sizes"] != (*after->json)["sizes"]) {
      problem("dropping {}: {} is not of its dtype and shape", edit.node, edit.instead);
    }
    if (sharing_.interfere(edit.node, edit.instead))
      problem("dropping {}: {} would be changed in place where it is still read", edit.node,
              edit.instead);
  }

  // Quantized values

  void plan_output(const OutputEdit& edit) {
    const std::string what = fmt::format("output of {}", edit.node);
    const auto node = node_of(edit.node, what);
    if (!node) return;
    check_scheme(edit.scheme, what);
    check_quantizable(edit.node, what);
    if (plan_so_far().dropped.contains(*node)) return problem("{}: the node is dropped", what);
    if (find_output(edit.node) != nullptr) return problem("{}: it is quantized twice", what);
    if (sharing_.memory_of(edit.node) != edit.node &&
        sharing_.is_changed_from(edit.node, *node + 1)) {
      return problem("{}: it shares memory that is changed in place later", what);
    }
    plan_so_far().outputs.push_back({.value = edit.node,
                                     .scheme = edit.scheme,
                                     .place = {*node + 1, *node, program_.stack(*node).size()},
                                     .readers = {}});
  }

  const PlannedPair* find_output(const std::string& value) const {
    for (const PlannedPair& pair : plan_so_far().outputs) {
      if (pair.value == value) return &pair;
    }
    return nullptr;
  }

  /// Readers of one value that may share a pair.
  struct Group {
    std::string value;
    QdqScheme scheme;
    size_t changes;  // of the value's memory before them
    std::vector<Read> readers;
  };

  std::optional<std::pair<Read, std::string>> find_read(size_t node, const ActivationEdit& edit,
                                                        const std::string& what) {
    const auto argument = program_.find_argument(node, edit.argument);
    std::optional<std::pair<Read, std::string>> found;
    size_t tensors = 0;
    if (argument) {
      const Json& value = program_.nodes()[node]["inputs"][*argument]["arg"];
      for_each_tensor(value, [&](const Json& name, size_t item) {
        ++tensors;
        if (item == edit.item.value_or(0) && !found) found = {{node, *argument, item}, name};
      });
    }
    if (!found) {
      problem("{}: node {} ({}) is given no such tensor", what, edit.node, program_.target(node));
    } else if (!edit.item && tensors > 1) {
      problem("{}: it is a list of {} tensors, and none is named", what, tensors);
    }
    return found;
  }

  void plan_activation(const ActivationEdit& edit) {
    const std::string what =
        edit.item ? fmt::format("argument {}[{}] of {}", edit.argument, *edit.item, edit.node)
                  : fmt::format("argument {} of {}", edit.argument, edit.node);
    const auto node = node_of(edit.node, what);
    if (!node) return;
    check_scheme(edit.scheme, what);
    const auto found = find_read(*node, edit, what);
    if (!found) return;
    const auto& [read, name] = *found;
    if (plan_so_far().dropped.contains(*node)) return problem("{}: the node is dropped", what);
    const std::string value = plan_so_far().resolve(name);
    check_quantizable(value, what);
    if (!seen_.emplace(read.node, read.argument, read.item).second)
      return problem("{}: it is quantized twice", what);
    if (sharing_.changes(*node, name) && sharing_.is_seen_after(name, *node)) {
      return problem("{}: the node changes it in place, and others read it later", what);
    }
    const PlannedPair* output = find_output(value);
    if (output != nullptr && output->scheme == edit.scheme) return;
    group_for(value, edit.scheme, sharing_.changes_before(name, *node)).readers.push_back(read);
  }

  Group& group_for(const std::string& value, const QdqScheme& scheme, size_t changes) {
    std::vector<size_t>& of_value = groups_of_[value];
    for (size_t index : of_value) {
      Group& group = groups_[index];
      if (group.changes == changes && group.scheme == scheme) return group;
    }
    of_value.push_back(groups_.size());
    groups_.push_back({value, scheme, changes, {}});
    return groups_.back();
  }

  void finish_group(Group& group) {
    const Place place = place_before(group.readers, group.value);
    plan_so_far().activations.push_back(
        {group.value, std::move(group.scheme), place, std::move(group.readers)});
  }

  /// Before the first reader. For several, before the call of the module that the first one is in,
  /// but of the module that all are in, so that no call is cut in two.
  Place place_before(const std::vector<Read>& readers, const std::string& value) const {
    std::set<size_t> nodes;
    for (const Read& read : readers) {
      if (read.node != Read::kOutput) nodes.insert(read.node);
    }
    if (nodes.empty()) return {program_.nodes().size()};
    const size_t first = *nodes.begin();
    const auto& stack = program_.stack(first);
    size_t depth = stack.size();
    for (size_t node : nodes) depth = std::min(depth, shared_depth(first, node));
    if (depth == stack.size()) return {first, first, depth};
    const Origin& origin = *program_.origin(value);
    size_t position = first;
    while (position > 0 && shared_depth(first, position - 1) > depth) {
      const size_t before = position - 1;
      if ((!origin.is_input && before <= origin.index) || sharing_.changes(before, value))
        return {first, first, stack.size()};
      --position;
    }
    return {position, first, depth};
  }

  size_t shared_depth(size_t a, size_t b) const {
    const auto& first = program_.stack(a);
    const auto& second = program_.stack(b);
    return static_cast<size_t>(
        std::mismatch(first.begin(), first.end(), second.begin(), second.end()).first -
        first.begin());
  }

  // Tensors

  /// The tensor and what the program says of it; a problem if it cannot be edited.
  std::optional<std::pair<SavedInput, ValueMeta>> saved_tensor(const std::string& name,
                                                               const std::string& what) {
    const SavedInput* input = program_.find_saved(name);
    if (input == nullptr) {
      problem("{}: the program has no {} of that name", what,
              program_.has_tensor(name) ? "saved parameter or buffer" : "tensor");
      return std::nullopt;
    }
    if (!edited_tensors_.insert(name).second) {
      problem("{}: it is edited twice", what);
      return std::nullopt;
    }
    const auto meta = program_.meta(input->value);
    if (!meta) {
      problem("{}: the program does not say what it is", what);
      return std::nullopt;
    }
    return std::pair(*input, *meta);
  }

  void plan_weight(const WeightEdit& edit) {
    const std::string what = fmt::format("weight {}", edit.name);
    const auto found = saved_tensor(edit.name, what);
    if (!found) return;
    const auto& [input, meta] = *found;
    check_quantizable(input.value, what);
    if (!is_shape(meta, edit.codes.shape)) {
      return problem("{}: codes of shape [{}], expected {}", what,
                     fmt::join(edit.codes.shape, ", "), shape_text(meta));
    }
    if (edit.codes.dtype != edit.scheme.dtype) {
      problem("{}: codes of {}, a scheme of {}", what, dtype_torch_name(edit.codes.dtype),
              dtype_torch_name(edit.scheme.dtype));
    }
    const auto text = weight_scheme_problem(edit.scheme, edit.codes.shape);
    if (!text.empty()) return problem("{}: {}", what, text);
    check_scales(edit.scheme, scale_count(edit.scheme, edit.codes.shape), what);
    check_dtype(edit.scheme.dtype, what);
    check_new_names(edit, what);
    if (program_.is_mutated(edit.name) || sharing_.is_changed_from(input.value, 0))
      return problem("{}: the program changes it", what);
    const auto& reads = program_.reads(input.value);
    if (reads.empty()) return problem("{}: nobody reads it", what);
    plan_so_far().weights.push_back({&edit, input, place_before(reads, input.value)});
  }

  void check_new_names(const WeightEdit& edit, const std::string& what) {
    if (!edit.scheme.axis && !edit.scheme.group_size) return;
    for (const char* suffix : {"_scale", "_zero_point"}) {
      if (program_.has_tensor(edit.name + suffix))
        problem("{}: the program has a tensor {}{} already", what, edit.name, suffix);
    }
  }

  void plan_replacement(const ReplacedTensor& edit) {
    const std::string what = fmt::format("replaced tensor {}", edit.name);
    const auto found = saved_tensor(edit.name, what);
    if (!found) return;
    const auto& [input, meta] = *found;
    if (!is_shape(meta, edit.values.shape) || meta.dtype != edit.values.dtype) {
      return problem("{}: {} [{}], expected {} {}", what, dtype_torch_name(edit.values.dtype),
                     fmt::join(edit.values.shape, ", "),
                     meta.dtype ? dtype_torch_name(*meta.dtype) : "another dtype",
                     shape_text(meta));
    }
    plan_so_far().replaced.push_back({&edit, input});
  }

  void plan_bias(const NewBias& edit) {
    const std::string what = fmt::format("bias {}", edit.name);
    const auto node = node_of(edit.node, what);
    if (!node) return;
    if (program_.has_tensor(edit.name) || !edited_tensors_.insert(edit.name).second)
      return problem("{}: the program has a tensor of that name already", what);
    const auto channels = bias_channels(*node);
    if (!channels) {
      return problem("{}: node {} ({}) is no convolution or linear whose weight is known", what,
                     edit.node, program_.target(*node));
    }
    if (edit.values.shape != std::vector<int64_t>{*channels}) {
      problem("{}: shape [{}], expected [{}]", what, fmt::join(edit.values.shape, ", "), *channels);
    }
    if (const auto meta = program_.meta(edit.node); !meta || meta->dtype != edit.values.dtype) {
      problem("{}: {}, expected {}", what, dtype_torch_name(edit.values.dtype),
              meta && meta->dtype ? dtype_torch_name(*meta->dtype) : "another dtype");
    }
    if (has_bias(*node)) return problem("{}: node {} has a bias already", what, edit.node);
    if (!biased_.insert(*node).second)
      return problem("{}: node {} is given a bias twice", what, edit.node);
    plan_so_far().biases.push_back({&edit, *node});
  }

  bool has_bias(size_t node) const {
    const auto argument = program_.find_argument(node, "bias");
    bool found = false;
    if (argument) {
      for_each_tensor(program_.nodes()[node]["inputs"][*argument]["arg"],
                      [&](const Json&, size_t) { found = true; });
    }
    return found;
  }

  /// Output channels of a convolution or linear.
  std::optional<int64_t> bias_channels(size_t node) const {
    constexpr std::string_view kPrefix = "torch.ops.aten.";
    const std::string& target = program_.target(node);
    if (!target.starts_with(kPrefix)) return std::nullopt;
    const std::string_view name = std::string_view(target).substr(kPrefix.size());
    const bool is_linear = name.starts_with("linear.");
    if (!is_linear && !name.starts_with("conv")) return std::nullopt;
    const auto argument = program_.find_argument(node, "weight");
    if (!argument || program_.results(node).empty()) return std::nullopt;
    std::optional<ValueMeta> weight;
    for_each_tensor(program_.nodes()[node]["inputs"][*argument]["arg"],
                    [&](const Json& value, size_t) { weight = program_.meta(value); });
    const auto output = program_.meta(program_.results(node).front());
    if (!weight || !output || weight->sizes.size() < 2) return std::nullopt;
    const size_t behind = is_linear ? 1 : weight->sizes.size() - 1;  // channels and what follows
    if (output->sizes.size() < behind) return std::nullopt;
    return output->sizes[output->sizes.size() - behind];
  }

  // What nobody reads any more

  bool is_read(const std::string& value) const {
    const auto& reads = program_.reads(value);
    return std::any_of(reads.begin(), reads.end(), [&](const Read& read) {
      return !plan_so_far().dropped.contains(read.node);
    });
  }

  void remove_unread() {
    std::set<std::string> modules;  // of what dropped nodes read
    for (const auto& [name, input] : program_.saved()) {
      const auto& reads = program_.reads(input.value);
      if (!reads.empty() && !is_read(input.value)) modules.insert(parent_of(name));
    }
    for (const auto& [name, input] : program_.saved()) {
      if (modules.contains(parent_of(name)) && !is_read(input.value) &&
          !program_.is_mutated(name) && !edited_tensors_.contains(name)) {
        plan_so_far().removed.insert(name);
      }
    }
  }

  const ProgramJson& program_;
  const ProgramEdits& edits_;
  const bool pickled_;
  const bool need_scales_;
  const MemorySharing sharing_;
  PlanResult result_;
  std::vector<Group> groups_;
  std::unordered_map<std::string, std::vector<size_t>> groups_of_;
  std::set<std::tuple<size_t, size_t, size_t>> seen_;  // reads
  std::set<std::string> edited_tensors_;
  std::set<size_t> biased_;
};

}  // namespace

const std::string& EditPlan::resolve(const std::string& value) const {
  const std::string* name = &value;
  for (auto found = instead.find(*name); found != instead.end(); found = instead.find(*name))
    name = &found->second;
  return *name;
}

PlanResult plan_edits(const ProgramJson& program, const ProgramEdits& edits, bool pickled,
                      bool need_scales) {
  return Planner(program, edits, pickled, need_scales).plan();
}

}  // namespace lathe::exporting
