#include "cli/trace_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "cli/html_text.h"
#include "cli/trace_text.h"
#include "cli/trace_tree.h"

namespace lathe::cli {
namespace {

constexpr double kCharacter = 7.3;  // width, of 12 px text
constexpr double kNodeHeight = 26;
constexpr double kPadding = 14;
constexpr double kHeader = 24;
constexpr double kRowGap = 26;
constexpr double kColumnGap = 18;
constexpr double kMark = 7;
constexpr double kLane = 9;
constexpr size_t kMostNodes = 600;  // of one module's graph
constexpr size_t kMostColours = 24;

/// Between two boxes. One that passes rows by runs down a lane beside them: it turns off below its
/// source's row, at `leave`, and back above its target's, at `enter`.
struct Edge {
  size_t from, to;
  double lane = 0;  // x; 0 if it goes straight
  double leave = 0, enter = 0;
};

/// A box that is placed relative to the one around it.
struct Box {
  std::string label;
  std::string title;  // shown while the pointer is on it
  std::string style;  // CSS class
  std::vector<size_t> colours;
  double x = 0, y = 0, width = 0, height = 0;
  std::vector<Box> inner;
  std::vector<Edge> edges;  // between boxes of `inner`
};

/// Which groups of symbols a module has sizes of. The largest groups have colours.
class Colours {
 public:
  explicit Colours(const Trace& trace) {
    std::vector<SymbolGroup> groups = trace.symbols.groups();
    std::erase_if(groups, [](const SymbolGroup& group) { return group.links.empty(); });
    std::stable_sort(groups.begin(), groups.end(),
                     [](const auto& a, const auto& b) { return a.links.size() > b.links.size(); });
    for (const SymbolGroup& group : groups) {
      if (names_.size() == kMostColours) break;
      mark(group.name);
      for (const std::string& link : group.links) mark(link);
      names_.push_back(group.name);
    }
  }

  std::vector<size_t> of(const std::string& module) const {
    const auto found = by_module_.find(module);
    return found == by_module_.end() ? std::vector<size_t>() : found->second;
  }
  const std::vector<std::string>& names() const { return names_; }

  /// Neighbouring numbers are far apart on the colour wheel.
  static std::string css(size_t index) {
    return fmt::format("hsl({:.0f} 65% {}%)", std::fmod(static_cast<double>(index) * 137.5, 360.0),
                       index % 2 == 0 ? 45 : 60);
  }

 private:
  void mark(const std::string& symbol) {
    auto& colours = by_module_[symbol.substr(0, module_end(symbol))];
    if (colours.empty() || colours.back() != names_.size()) colours.push_back(names_.size());
  }
  /// "q_proj.out_features.heads" belongs to "q_proj": the size's own name has known beginnings.
  static size_t module_end(const std::string& symbol) {
    for (const char* size : {".in_features", ".out_features", ".in_channels", ".out_channels",
                             ".num_features", ".num_channels", ".embedding_dim"}) {
      if (const size_t at = symbol.rfind(size); at != symbol.npos) return at;
    }
    return symbol.rfind('.') == symbol.npos ? 0 : symbol.rfind('.');
  }

  std::vector<std::string> names_;
  std::unordered_map<std::string, std::vector<size_t>> by_module_;
};

class Drawer {
 public:
  Drawer(const Model& model, const Trace& trace)
      : model_(model), colours_(trace), tree_(make_trace_tree(trace)) {
    index(tree_);
  }

  const Colours& colours() const { return colours_; }

  Box draw() {
    return module_box(tree_, model_.architecture().empty() ? "model" : tree_.module->type);
  }

 private:
  /// Folded trees, by the paths of all modules that they stand for: the first is drawn.
  void index(const TraceTree& tree) {
    by_path_[tree.path] = &tree;
    for (const TraceTree& child : tree.children) index(child);
  }

  /// The drawn module that a path stands for, or null.
  const TraceTree* find(const std::string& path) const {
    const auto found = by_path_.find(path);
    return found == by_path_.end() ? nullptr : found->second;
  }

  /// "layers.7" is drawn as the first of the equal layers before it.
  const TraceTree* representative(const std::string& path, const TraceTree* last) const {
    const TraceTree* own = find(path);
    return own != nullptr ? own : last;
  }

  Box module_box(const TraceTree& tree, const std::string& label) {
    Box box{label, tree.path, "module", colours_.of(tree.path)};
    const std::vector<GraphNode> nodes = graph_nodes(model_, tree.path);
    if (nodes.empty()) {
      box.style = "leaf";
      box.width = text_width(box);
      box.height = kNodeHeight;
      return box;
    }
    add_nodes(tree, nodes, box);
    arrange(box);
    return box;
  }

  void add_nodes(const TraceTree& tree, const std::vector<GraphNode>& nodes, Box& box) {
    std::unordered_map<std::string, size_t> drawn;  // boxes of nodes
    const TraceTree* last = nullptr;
    for (const GraphNode& node : nodes) {
      if (node.kind == "parameter" || box.inner.size() >= kMostNodes) continue;
      const TraceTree* callee = nullptr;
      if (node.kind == "module") {
        const std::string path = tree.path.empty() ? node.target : tree.path + "." + node.target;
        callee = representative(path, last);
        const bool repeats = callee != nullptr && callee == last && find(path) == nullptr;
        if (repeats) {  // drawn already, with its number
          drawn[node.name] = repeated_;
          connect(node, drawn, repeated_, box);
          continue;
        }
      }
      if (node.target == "builtin::getitem" && !node.inputs.empty() &&
          drawn.contains(node.inputs[0])) {
        drawn[node.name] = drawn[node.inputs[0]];
        continue;
      }
      const size_t index = box.inner.size();
      box.inner.push_back(callee != nullptr ? callee_box(*callee, node) : node_box(node));
      drawn[node.name] = index;
      if (callee != nullptr) {
        last = callee;
        repeated_ = index;
      }
      connect(node, drawn, index, box);
    }
  }

  static void connect(const GraphNode& node, const std::unordered_map<std::string, size_t>& drawn,
                      size_t index, Box& box) {
    for (const std::string& input : node.inputs) {
      const auto from = drawn.find(input);
      if (from == drawn.end() || from->second == index) continue;
      const bool is_known = std::ranges::any_of(box.edges, [&](const Edge& edge) {
        return edge.from == from->second && edge.to == index;
      });
      if (!is_known) box.edges.push_back({from->second, index});
    }
  }

  Box callee_box(const TraceTree& callee, const GraphNode& node) {
    std::string name = node.target;
    if (callee.count > 1) {
      const size_t dot = name.rfind('.');
      name = (dot == name.npos ? "" : name.substr(0, dot + 1)) + callee.name;
    }
    std::string label = fmt::format("{}: {}", name, callee.module->type);
    if (callee.count > 1) label += fmt::format(" \u00d7 {}", callee.count);
    const size_t own = repeated_;
    Box box = module_box(callee, label);
    repeated_ = own;
    if (!callee.module->tensors.empty()) box.title += "\n" + tensors_text(*callee.module);
    return box;
  }

  static Box node_box(const GraphNode& node) {
    Box box{node.kind == "operator" ? node.target : node.name, node.name, node.kind, {}};
    if (box.label.starts_with("aten::")) box.label = box.label.substr(6, box.label.find('.') - 6);
    box.width = text_width(box);
    box.height = kNodeHeight;
    return box;
  }

  static double text_width(const Box& box) {
    return 20 + kCharacter * static_cast<double>(box.label.size()) +
           (kMark + 3) * static_cast<double>(box.colours.size());
  }

  /// Rows by the longest way from an input; boxes of a row side by side.
  static void arrange(Box& box) {
    std::vector<size_t> row(box.inner.size(), 0);
    for (const Edge& edge : box.edges) {
      if (edge.from < edge.to) row[edge.to] = std::max(row[edge.to], row[edge.from] + 1);
    }
    const size_t rows = row.empty() ? 0 : *std::max_element(row.begin(), row.end()) + 1;
    std::vector<double> widths(rows, 0), heights(rows, 0);
    for (size_t i = 0; i < box.inner.size(); ++i) {
      widths[row[i]] += box.inner[i].width + (widths[row[i]] > 0 ? kColumnGap : 0);
      heights[row[i]] = std::max(heights[row[i]], box.inner[i].height);
    }
    box.width = text_width(box);
    for (const double width : widths) box.width = std::max(box.width, width);
    box.width += 2 * kPadding;
    std::vector<double> left(rows), top(rows);
    double y = kHeader + kPadding;
    for (size_t r = 0; r < rows; ++r) {
      left[r] = (box.width - widths[r]) / 2;
      top[r] = y;
      y += heights[r] + kRowGap;
    }
    box.height = y - (rows > 0 ? kRowGap : 0) + kPadding;
    place_lanes(box, row, top, heights);
    for (size_t i = 0; i < box.inner.size(); ++i) {
      box.inner[i].x = left[row[i]];
      box.inner[i].y = top[row[i]] + (heights[row[i]] - box.inner[i].height) / 2;
      left[row[i]] += box.inner[i].width + kColumnGap;
    }
  }

  /// Edges over rows get lanes at the right, each as far left as the edges beside it let it.
  static void place_lanes(Box& box, const std::vector<size_t>& row, const std::vector<double>& top,
                          const std::vector<double>& heights) {
    std::vector<std::vector<bool>> taken;  // by lane and row
    for (Edge& edge : box.edges) {
      const size_t first = row[edge.from] + 1, last = row[edge.to];
      if (first >= last) continue;
      const auto is_free = [&](const std::vector<bool>& lane) {
        return std::find(lane.begin() + first, lane.begin() + last, true) == lane.begin() + last;
      };
      size_t lane = static_cast<size_t>(std::ranges::find_if(taken, is_free) - taken.begin());
      if (lane == taken.size()) taken.emplace_back(top.size(), false);
      std::fill(taken[lane].begin() + first, taken[lane].begin() + last, true);
      edge.lane = box.width - kPadding + static_cast<double>(lane + 1) * kLane;
      edge.leave = top[first - 1] + heights[first - 1] + 8;
      edge.enter = top[last] - 12;
    }
    box.width += static_cast<double>(taken.size()) * kLane;
  }

  const Model& model_;
  Colours colours_;
  TraceTree tree_;
  std::unordered_map<std::string, const TraceTree*> by_path_;
  size_t repeated_ = 0;  // the box of the last module that was drawn
};

/// `x`, `y`: of the box around both.
void append_edge(const Edge& edge, const Box& from, const Box& to, double x, double y,
                 std::string& svg) {
  const double x1 = x + from.x + from.width / 2, y1 = y + from.y + from.height;
  const double x2 = x + to.x + to.width / 2, y2 = y + to.y;
  const double bend = std::max(14.0, (y2 - y1) / 2);
  const std::string way = edge.lane > 0
                              ? fmt::format("V{:.0f}H{:.0f}V{:.0f}H{:.0f}V{:.0f}", y + edge.leave,
                                            x + edge.lane, y + edge.enter, x2, y2)
                              : fmt::format("C{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f}", x1,
                                            y1 + bend, x2, y2 - bend, x2, y2);
  svg += fmt::format("<path d=\"M{:.0f} {:.0f}{}\" marker-end=\"url(#arrow)\"/>\n", x1, y1, way);
}

void append_box(const Box& box, double x, double y, std::string& svg) {
  x += box.x;
  y += box.y;
  svg += fmt::format(
      "<g class=\"{}\"><title>{}</title><rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"{:.0f}\" "
      "height=\"{:.0f}\" rx=\"{}\"/>",
      box.style, html_escape(box.title), x, y, box.width, box.height,
      box.style == "input" || box.style == "output" ? 13 : 5);
  svg += fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\">{}</text>", x + 10, y + 17,
                     html_escape(box.label));
  double mark = x + box.width - 6;
  for (const size_t colour : box.colours) {
    mark -= kMark + 3;
    svg += fmt::format(
        "<rect class=\"mark\" x=\"{:.0f}\" y=\"{:.0f}\" width=\"{}\" height=\"13\" "
        "style=\"fill:{}\"/>",
        mark, y + 6, kMark, Colours::css(colour));
  }
  svg += "</g>\n";
  for (const Edge& edge : box.edges)
    append_edge(edge, box.inner[edge.from], box.inner[edge.to], x, y, svg);
  for (const Box& inner : box.inner) append_box(inner, x, y, svg);
}

constexpr std::string_view kStyle = R"css(
.trace rect { fill: #fff; stroke: #9aa6b5; } .trace .module > rect { fill: #f3f6fa; stroke: #b7c2cf; }
.trace .leaf > rect { fill: #fff; stroke: #2a78d6; } .trace .operator > rect { fill: #fff; stroke-dasharray: 3 2; }
.trace .input > rect, .trace .output > rect { fill: #e4e9ef; stroke: #5d6878; }
.trace rect.mark { stroke: none; } .trace path { fill: none; stroke: #7a8796; stroke-width: 1.2; stroke-linejoin: round; }
.trace text { font: 12px ui-monospace, "SF Mono", Menlo, Consolas, monospace; fill: #1c2430; }
)css";

std::string svg_of(const Box& box) {
  std::string svg = fmt::format(
      "<svg class=\"trace\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\">\n<style>{2}</style>\n"
      "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
      "markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" "
      "style=\"fill:#7a8796;stroke:none\"/>"
      "</marker></defs>\n",
      box.width + 20, box.height + 20, kStyle);
  append_box(box, 10, 10, svg);
  return svg + "</svg>\n";
}

}  // namespace

std::string trace_svg(const Model& model, const Trace& trace) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + svg_of(Drawer(model, trace).draw());
}

std::string trace_page(const Model& model, const Trace& trace) {
  Drawer drawer(model, trace);
  const std::string drawing = svg_of(drawer.draw());
  std::string body = fmt::format("<h1>{}</h1>\n<p class=\"muted\">{} modules, {} operations</p>\n",
                                 html_escape(model.path()), trace.modules.size(), trace.operations);
  body += "<h2>Graph</h2>\n<div class=\"legend\">";
  for (size_t i = 0; i < drawer.colours().names().size(); ++i) {
    body += fmt::format("<span><i style=\"background:{}\"></i>{}</span>", Colours::css(i),
                        html_escape(drawer.colours().names()[i]));
  }
  body += fmt::format("</div>\n<div class=\"panel\">{}</div>\n", drawing);
  body += fmt::format("<h2>Modules, symbols and opportunities</h2>\n<pre>{}</pre>\n",
                      html_escape(trace_text(trace, false)));
  return html_page(model.path(), body);
}

}  // namespace lathe::cli
