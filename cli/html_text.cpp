#include "cli/html_text.h"

#include <fmt/format.h>

namespace lathe::cli {
namespace {

constexpr std::string_view kStyle = R"css(
:root { --page: #f6f7f9; --card: #ffffff; --ink: #1c2430; --muted: #5d6878; --line: #dfe4ea; --accent: #2a78d6;
  --s0: #2a78d6; --s1: #eb6834; --s2: #1b9a6f; --s3: #b07a00; --s4: #6a52c4; --s5: #d64550; --s6: #c25590;
  --s7: #5b7083; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181e; --card: #1d232b; --ink: #e8ecf1; --muted: #9aa6b5; --line: #323b47; --accent: #5da0ee;
    --s0: #5da0ee; --s1: #f08a5d; --s2: #3fbf93; --s3: #d9a528; --s4: #9a86e8; --s5: #ec6f78; --s6: #dd82b2;
    --s7: #92a5b6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 68rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .8rem; }
p { margin: .3rem 0; } .muted { color: var(--muted); }
pre { margin: 1rem 0; padding: .7rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow-x: auto; font-size: .85rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.8rem, 1fr)); gap: .8rem; margin-top: 1.4rem; }
.card, .panel { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1.1rem; }
.card .name { color: var(--muted); font-size: .85rem; } .card .value { font-size: 1.5rem; font-weight: 600; }
.card .note { color: var(--muted); font-size: .85rem; } .panel { overflow-x: auto; }
.size { display: grid; grid-template-columns: 4rem 1fr 6rem; gap: .35rem .8rem; align-items: center; }
.size .bar { height: 1.1rem; border-radius: 4px; background: var(--s7); min-width: 2px; }
.size .after { background: var(--accent); }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th { text-align: left; color: var(--muted); font-weight: 500; } td.n, th.n { text-align: right; white-space: nowrap; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; } td { font-variant-numeric: tabular-nums; }
code { font: .95em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.quantize { color: var(--accent); font-weight: 600; } .drop { color: var(--s5); }
ul { margin: .3rem 0; padding-left: 1.2rem; } .problem { color: var(--s5); }
svg { display: block; width: 100%; height: auto; min-width: 36rem; } svg text { font: 11px system-ui, sans-serif; fill: var(--muted); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .85rem; color: var(--muted); }
.legend i { display: inline-block; width: .75rem; height: .75rem; border-radius: 3px; margin-right: .4rem; }
)css";

}  // namespace

std::string html_escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string html_page(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
      html_escape(title), kStyle, body);
}

}  // namespace lathe::cli
