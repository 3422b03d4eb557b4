#include <array>
#include <span>
#include <string_view>

#include "frontends/open.h"

namespace lathe::frontends {
namespace {

constexpr std::array<std::string_view, 3> kAttention = {"q_proj", "k_proj", "v_proj"};
constexpr std::array<std::string_view, 3> kMetaAttention = {"wq", "wk", "wv"};
constexpr std::array<std::string_view, 2> kMlp = {"gate_proj", "up_proj"};
constexpr std::array<std::string_view, 2> kMetaMlp = {"w1", "w3"};
constexpr std::array<std::span<const std::string_view>, 4> kGroups = {kAttention, kMetaAttention,
                                                                      kMlp, kMetaMlp};

std::vector<std::string> members(const std::string& path, const ir::Module& parent,
                                 std::span<const std::string_view> names) {
  std::vector<std::string> found;
  for (std::string_view name : names) {
    const ir::ModulePtr* child = parent.children.find(name);
    if (child && (*child)->type == "Linear") found.push_back(ir::join_path(path, name));
  }
  return found;
}

}  // namespace

std::vector<std::vector<std::string>> name_groups(const ir::Model& model) {
  std::vector<std::vector<std::string>> groups;
  for (const auto& [path, module] : ir::named_modules(*model.root)) {
    for (std::span<const std::string_view> names : kGroups) {
      std::vector<std::string> group = members(path, *module, names);
      if (group.size() > 1) groups.push_back(std::move(group));
    }
  }
  return groups;
}

}  // namespace lathe::frontends
