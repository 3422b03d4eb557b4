#include "cli/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "cli/expert_table.h"
#include "cli/folded_name.h"
#include "cli/html_chart.h"
#include "cli/html_text.h"
#include "cli/plan_table.h"
#include "cli/value_text.h"
#include "lathe/session.h"

namespace lathe::cli {
namespace {

constexpr size_t kWorstLayers = 10;

std::string card(std::string_view name, std::string_view value, std::string_view note) {
  return fmt::format(
      "<div class=\"card\"><div class=\"name\">{}</div><div class=\"value\">{}</div><div "
      "class=\"note\">{}</div></div>\n",
      html_escape(name), html_escape(value), html_escape(note));
}

/// The command that makes the same again, without options that are as they are anyway.
std::string command_line(const QuantizeJob& job) {
  const QuantizeJob standard;
  std::string text =
      fmt::format("lathe quantize {} -o {}", job.model, job.output.empty() ? "OUT" : job.output);
  const auto add = [&](std::string_view option, std::string_view value) {
    if (!value.empty()) text += fmt::format(" {} {}", option, value);
  };
  add("--format", job.format);
  add("--recipe", job.recipe);
  add("--kv-cache", job.kv_cache);
  add("--calib", job.calibration);
  if (job.samples != standard.samples) add("--samples", fmt::format("{}", job.samples));
  if (job.seq_len != standard.seq_len) add("--seq-len", fmt::format("{}", job.seq_len));
  if (job.dialect != standard.dialect) add("--dialect", job.dialect);
  if (job.device != standard.device) add("--device", job.device);
  if (!job.fuse_scales) text += " --no-fuse-scales";
  add("--eval-text", job.eval_text);
  if (job.eval_samples > 0) add("--eval-samples", fmt::format("{}", job.eval_samples));
  return text;
}

std::string header(const QuantizeJob& job, const QuantizePlan& plan) {
  const std::string algo = plan.quant_algo.empty() ? plan.config : plan.quant_algo;
  const std::string kv = plan.kv_cache_algo.empty() ? "" : ", KV cache " + plan.kv_cache_algo;
  return fmt::format(
      "<h1>{}</h1>\n<p class=\"muted\">{}, {}{}</p>\n<pre>{}</pre>\n", html_escape(job.model),
      html_escape(plan.architecture.empty() ? "unknown architecture" : plan.architecture),
      html_escape(algo), html_escape(kv), html_escape(command_line(job)));
}

std::string size_cards(const QuantizePlan& plan, double bytes_after, double bits) {
  const auto before = static_cast<double>(plan.bytes_read);
  const double share = before > 0 ? 100 * bytes_after / before : 0;
  return card("size", bytes_text(bytes_after),
              fmt::format("{:.0f} % of {}", share, bytes_text(before))) +
         card("bits per weight", fmt::format("{:.2f}", bits), "scales counted");
}

/// A card whose note begins with the error of its value.
std::string measured_card(std::string_view name, double value, double error,
                          std::string_view note) {
  const std::string text = measured_text(value, error);
  const size_t sign = text.find(' ');
  return card(name, text.substr(0, sign), fmt::format("{}; {}", text.substr(sign + 1), note));
}

std::string evaluation_cards(const Evaluation& evaluation) {
  std::string text = measured_card("perplexity", evaluation.perplexity, evaluation.perplexity_error,
                                   fmt::format("{} tokens", evaluation.tokens));
  if (!evaluation.divergence) return text;
  const auto& divergence = *evaluation.divergence;
  text += measured_card("KL divergence", divergence.mean, divergence.error,
                        fmt::format("nats a token; median {:.2g}, 99 % {:.2g}", divergence.median,
                                    divergence.percentile_99));
  text += card("same next token", fmt::format("{:.1f} %", 100 * divergence.same_top),
               fmt::format("reference perplexity {:.4g}", divergence.reference_perplexity));
  return text;
}

std::string size_bars(double before, double after) {
  const double largest = std::max({before, after, 1.0});
  const auto bar = [&](std::string_view name, std::string_view style, double bytes) {
    return fmt::format(
        "<span class=\"muted\">{}</span><div class=\"bar {}\" "
        "style=\"width:{:.2f}%\"></div><span>{}</span>\n",
        name, style, 100 * bytes / largest, bytes_text(bytes));
  };
  return "<h2>Size</h2>\n<div class=\"panel size\">\n" + bar("before", "before", before) +
         bar("after", "after", after) + "</div>\n";
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

std::string error_chart(const std::vector<QuantizeReport::Layer>& layers) {
  if (layers.empty()) return {};
  std::vector<Bar> bars;
  for (const auto& layer : layers) {
    const auto name = take_numbers(layer.path);
    bars.push_back({.label = fmt::format("{} ({}): {:.2f} %", layer.path, layer.format,
                                         100 * layer.relative_error),
                    .tick = name.numbers.empty() ? "" : fmt::format("{}", name.numbers.front()),
                    .series = last_part(layer.path),
                    .value = layer.relative_error});
  }
  return "<h2>Relative error of the weights by layer</h2>\n<div class=\"panel\">\n"
         "<p class=\"muted\">&#8214;W &minus; Q(W)&#8214; / &#8214;W&#8214;, layers in the order "
         "of execution</p>\n" +
         percent_bar_chart(bars) + "</div>\n";
}

std::string worst_layers(std::vector<QuantizeReport::Layer> layers) {
  if (layers.size() <= kWorstLayers) return {};
  std::stable_sort(layers.begin(), layers.end(), [](const auto& a, const auto& b) {
    return a.relative_error > b.relative_error;
  });
  layers.resize(kWorstLayers);
  std::string text = fmt::format(
      "<h2>The {} layers with the largest error</h2>\n<div class=\"panel\"><table>\n"
      "<tr><th>layer</th><th>format</th><th class=\"n\">relative error</th></tr>\n",
      kWorstLayers);
  for (const auto& layer : layers) {
    text +=
        fmt::format("<tr><td><code>{}</code></td><td>{}</td><td class=\"n\">{:.2f} %</td></tr>\n",
                    html_escape(layer.path), html_escape(layer.format), 100 * layer.relative_error);
  }
  return text + "</table></div>\n";
}

std::string tensor_table(const QuantizePlan& plan) {
  std::string text =
      "<h2>Tensors</h2>\n<div class=\"panel\"><table>\n<tr><th></th><th>tensor</th><th "
      "class=\"n\">count</th>"
      "<th class=\"n\">shape</th><th>format</th><th class=\"n\">before</th><th "
      "class=\"n\">after</th></tr>\n";
  for (const auto& line : fold_tensors(plan)) {
    text += fmt::format(
        "<tr><td class=\"{0}\">{0}</td><td><code>{1}</code></td><td class=\"n\">{2}</td><td "
        "class=\"n\">{3}</td>"
        "<td>{4}</td><td class=\"n\">{5}</td><td class=\"n\">{6}</td></tr>\n",
        html_escape(line.action), html_escape(line.name), line.count, line.shape,
        html_escape(line.format), bytes_text(static_cast<double>(line.bytes_in)),
        bytes_text(static_cast<double>(line.bytes_out)));
  }
  return text + "</table></div>\n";
}

std::string group_list(const QuantizePlan& plan) {
  if (plan.groups.empty()) return {};
  std::string text = "<h2>Layers that share scales</h2>\n<div class=\"panel\"><table>\n";
  for (const auto& line : fold_groups(plan.groups)) {
    text += fmt::format("<tr><td class=\"n\">{} &times;</td><td><code>{}</code></td></tr>\n",
                        line.count, html_escape(line.text));
  }
  return text + "</table></div>\n";
}

std::string message_list(std::string_view title, std::string_view style,
                         const std::vector<std::string>& messages) {
  if (messages.empty()) return {};
  std::string text =
      fmt::format("<h2>{}</h2>\n<div class=\"panel\"><ul class=\"{}\">\n", title, style);
  for (const auto& message : messages) text += fmt::format("<li>{}</li>\n", html_escape(message));
  return text + "</ul></div>\n";
}

std::string plan_parts(const QuantizePlan& plan) {
  return message_list("Problems", "problem", plan.problems) +
         message_list("Warnings", "warning", plan.warnings) + tensor_table(plan) +
         group_list(plan) +
         fmt::format("<p class=\"muted\">Lathe {}</p>\n", html_escape(version()));
}

}  // namespace

std::string report_html(const QuantizeJob& job, const QuantizeReport& report) {
  const auto after = static_cast<double>(report.written.bytes);
  std::string body = header(job, report.plan) + "<div class=\"cards\">\n";
  body += size_cards(report.plan, after, report.written.bits_per_weight);
  if (report.evaluation) body += evaluation_cards(*report.evaluation);
  body += card(
      "time", duration_text(report.seconds),
      fmt::format("peak memory {}", bytes_text(static_cast<double>(report.peak_memory_bytes))));
  body += "</div>\n";
  body += size_bars(static_cast<double>(report.plan.bytes_read), after);
  body += error_chart(report.layers);
  body += worst_layers(report.layers);
  body += expert_html(report.experts);
  body += plan_parts(report.plan);
  return html_page(fmt::format("{}: {}", job.model, report.plan.quant_algo), body);
}

std::string plan_html(const QuantizeJob& job, const QuantizePlan& plan) {
  const auto after = static_cast<double>(plan.bytes_written);
  std::string body = header(job, plan) + "<div class=\"cards\">\n";
  body += size_cards(plan, after, plan.bits_per_weight);
  body += card("memory", bytes_text(static_cast<double>(plan.memory_bytes)), "estimated peak");
  body += "</div>\n";
  body += size_bars(static_cast<double>(plan.bytes_read), after);
  body += plan_parts(plan);
  return html_page(fmt::format("Plan of {}: {}", job.model, plan.quant_algo), body);
}

}  // namespace lathe::cli
