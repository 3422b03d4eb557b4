#include "export/torch_export/memory_sharing.h"

#include <algorithm>
#include <array>

namespace lathe::exporting {
namespace {

/// "relu_" for "torch.ops.aten.relu_.default"; "" for other than ATen's.
std::string_view aten_name(std::string_view target) {
  constexpr std::string_view kPrefix = "torch.ops.aten.";
  if (!target.starts_with(kPrefix)) return {};
  target.remove_prefix(kPrefix.size());
  return target.substr(0, target.find('.'));
}

bool is_in_place(std::string_view name) { return name.ends_with('_') && !name.ends_with("__"); }

/// Operators whose result may be their first argument, or a view of it.
bool may_share(std::string_view name) {
  constexpr auto kViews = std::to_array<std::string_view>({"_reshape_alias", "_to_copy",
                                                           "alias",          "alpha_dropout",
                                                           "as_strided",     "broadcast_to",
                                                           "chunk",          "conj",
                                                           "contiguous",     "detach",
                                                           "diagonal",       "dropout",
                                                           "dropout1d",      "dropout2d",
                                                           "dropout3d",      "expand",
                                                           "expand_as",      "feature_dropout",
                                                           "flatten",        "imag",
                                                           "lift_fresh",     "mT",
                                                           "movedim",        "moveaxis",
                                                           "narrow",         "numpy_T",
                                                           "permute",        "positive",
                                                           "ravel",          "real",
                                                           "reshape",        "reshape_as",
                                                           "resolve_conj",   "resolve_neg",
                                                           "select",         "slice",
                                                           "split",          "split_with_sizes",
                                                           "squeeze",        "swapaxes",
                                                           "swapdims",       "t",
                                                           "tensor_split",   "to",
                                                           "transpose",      "type_as",
                                                           "unbind",         "unflatten",
                                                           "unfold",         "unsafe_chunk",
                                                           "unsafe_split",   "unsqueeze",
                                                           "view",           "view_as"});
  return std::find(kViews.begin(), kViews.end(), name) != kViews.end();
}

/// The first tensor that the node is given; null if there is none.
const std::string* first_tensor(const Json& node) {
  const std::string* first = nullptr;
  for (const Json& input : node["inputs"]) {
    for_each_tensor(input["arg"], [&](const Json& name, size_t) {
      if (first == nullptr) first = &name.get_ref<const std::string&>();
    });
    if (first != nullptr) break;
  }
  return first;
}

}  // namespace

MemorySharing::MemorySharing(const ProgramJson& program) : program_(program) {
  for (const Json& input : program.graph()["inputs"]) {
    for_each_tensor(input, [&](const Json& name, size_t) { values_[name].push_back(name); });
  }
  for (size_t i = 0; i < program.nodes().size(); ++i) {
    const std::string_view name = aten_name(program.target(i));
    const bool in_place = is_in_place(name);
    const std::string* source =
        in_place || may_share(name) ? first_tensor(program.nodes()[i]) : nullptr;
    const std::string memory = source == nullptr ? std::string() : memory_of(*source);
    if (in_place && source != nullptr) changes_[memory].push_back(i);
    for (const std::string& result : program.results(i)) {
      if (source != nullptr) memory_[result] = memory;
      values_[source != nullptr ? memory : result].push_back(result);
    }
  }
}

const std::string& MemorySharing::memory_of(const std::string& value) const {
  const auto found = memory_.find(value);
  return found == memory_.end() ? value : found->second;
}

size_t MemorySharing::changes_before(const std::string& value, size_t node) const {
  const auto found = changes_.find(memory_of(value));
  if (found == changes_.end()) return 0;
  const auto& nodes = found->second;
  return static_cast<size_t>(std::lower_bound(nodes.begin(), nodes.end(), node) - nodes.begin());
}

bool MemorySharing::is_changed_from(const std::string& value, size_t node) const {
  const auto found = changes_.find(memory_of(value));
  return found != changes_.end() && found->second.back() >= node;
}

bool MemorySharing::changes(size_t node, const std::string& value) const {
  const auto found = changes_.find(memory_of(value));
  return found != changes_.end() &&
         std::binary_search(found->second.begin(), found->second.end(), node);
}

bool MemorySharing::is_seen_after(const std::string& value, size_t node) const {
  for (const std::string& other : values_.at(memory_of(value))) {
    const Origin& origin = *program_.origin(other);
    if (origin.is_input) return true;
    if (origin.index >= node) continue;
    const auto& reads = program_.reads(other);
    // Read::kOutput is above every node.
    if (!reads.empty() && reads.back().node > node) return true;
  }
  return false;
}

bool MemorySharing::sees(const std::string& reader, const std::string& changed) const {
  const auto found = changes_.find(memory_of(changed));
  if (found == changes_.end()) return false;
  const size_t first = found->second.front();
  for (const std::string& value : values_.at(memory_of(reader))) {
    if (program_.origin(value)->is_input) return true;
    const auto& reads = program_.reads(value);
    if (!reads.empty() && reads.back().node > first) return true;
  }
  return false;
}

bool MemorySharing::interfere(const std::string& a, const std::string& b) const {
  if (memory_of(a) == memory_of(b)) return false;
  return sees(a, b) || sees(b, a);
}

}  // namespace lathe::exporting
