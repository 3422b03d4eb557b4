#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "frontends/open.h"
#include "ir/text.h"
#include "trace/analyze.h"

namespace lathe::trace {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kGolden = fs::path(LATHE_GOLDEN_DIR) / "trace";

/// One symbol a line, as the table of expected symbols has them.
std::string text_of(const Json& net) {
  std::string text;
  for (const auto& name : net.at("searchable")) {
    text += name.get<std::string>();
    for (const auto& unsortable : net.at("unsortable")) text += unsortable == name ? "!" : "";
    if (net.at("links").contains(name)) text += ": " + net["links"][name].dump();
    if (net.at("skippable").contains(name)) text += " " + net["skippable"][name].dump();
    text += "\n";
  }
  return text;
}

Json symbols_of(const fs::path& archive) {
  const auto opened = frontends::open_model(archive);
  const Analysis analysis = analyze_as_modelopt(*opened.model.root, SymRegistry::builtin(), true);
  Json net = {{"searchable", Json::array()},
              {"links", Json::object()},
              {"unsortable", Json::array()},
              {"skippable", Json::object()}};
  for (const SymbolGroup& group : analysis.symbols.groups()) {
    net["searchable"].push_back(group.name);
    if (!group.links.empty()) net["links"][group.name] = group.links;
    if (!group.symbol->is_sortable()) net["unsortable"].push_back(group.name);
    if (const auto* depth = dynamic_cast<const SymDepth*>(group.symbol))
      net["skippable"][group.name] = depth->skippable();
  }
  return net;
}

std::vector<fs::path> folders() {
  std::vector<fs::path> found = {kGolden, kGolden / "more"};
  if (const char* other = std::getenv("LATHE_TRACE_ARCHIVES")) found.emplace_back(other);
  return found;
}

/// Every net of the folder has the symbols that the peer gives it.
TEST(Archives, HaveThePeersSymbols) {
  for (const fs::path& folder : folders()) {
    std::ifstream file(folder / "expected.json");
    const Json expected = Json::parse(file);
    ASSERT_GT(expected.size(), 10u);
    for (const auto& [name, net] : expected.items()) {
      SCOPED_TRACE(name);
      EXPECT_EQ(text_of(symbols_of(folder / (name + ".pt2"))), text_of(net));
    }
  }
}

}  // namespace
}  // namespace lathe::trace
