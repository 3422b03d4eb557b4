#include "tokenizer/regex.h"

#include <algorithm>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "tokenizer/regex_translation.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackLimit = 4 * 1024 * 1024;
constexpr uint32_t kHeapLimitKib = 64 * 1024;
constexpr uint32_t kMinSteps = 10'000'000;
constexpr uint32_t kMaxSteps = 1'000'000'000;
constexpr size_t kStepsPerByte = 16;

/// What one thread needs to match: made once, used by all expressions.
struct MatchState {
  MatchState() {
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  }

  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data{
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free};
  std::unique_ptr<pcre2_jit_stack, decltype(&pcre2_jit_stack_free)> stack{
      pcre2_jit_stack_create(kJitStackStart, kJitStackLimit, nullptr), &pcre2_jit_stack_free};
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context{
      pcre2_match_context_create(nullptr), &pcre2_match_context_free};
};

MatchState& match_state() {
  static thread_local MatchState state;
  return state;
}

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

std::shared_ptr<const void> compile(const std::string& pattern, std::string_view source) {
  const uint32_t options =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   options, &error, &offset, context.get());
  if (code == nullptr) throw_data("regular expression \"{}\": {}", source, pcre2_message(error));
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without JIT it is slower, not wrong
  return {code,
          [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); }};
}

}  // namespace

Regex::Regex(std::string_view oniguruma_pattern)
    : pattern_(oniguruma_pattern), code_(compile(translate_oniguruma(pattern_), pattern_)) {}

bool Regex::find(std::string_view text, size_t from, size_t& begin, size_t& end) const {
  MatchState& state = match_state();
  const size_t steps = std::min<size_t>(text.size(), kMaxSteps / kStepsPerByte) * kStepsPerByte;
  pcre2_set_match_limit(state.context.get(), std::max(kMinSteps, static_cast<uint32_t>(steps)));
  const auto match = [&](uint32_t options) {
    return pcre2_match(static_cast<const pcre2_code*>(code_.get()),
                       reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, state.data.get(), state.context.get());
  };
  int result = match(0);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match(PCRE2_NO_JIT);
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result < 0)
    throw_data("regular expression \"{}\" on {} bytes: {}", pattern_, text.size(),
               pcre2_message(result));
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(state.data.get());
  begin = offsets[0];
  end = offsets[1];
  // \K inside a lookahead can put the start behind the end.
  if (begin > end || begin < from)
    throw_data("regular expression \"{}\": a match ends before it starts", pattern_);
  return true;
}

void Regex::find_segments(std::string_view text, std::vector<Segment>& segments) const {
  constexpr size_t kNone = ~size_t{0};
  size_t covered = 0, from = 0, last_match_end = kNone;
  size_t begin = 0, end = 0;
  while (from <= text.size() && find(text, from, begin, end)) {
    if (begin == end && end == last_match_end) {
      from += from < text.size() ? utf8_length(static_cast<unsigned char>(text[from])) : 1;
      continue;
    }
    if (covered != begin) segments.push_back({covered, begin, false});
    segments.push_back({begin, end, true});
    covered = from = last_match_end = end;
  }
  if (covered != text.size()) segments.push_back({covered, text.size(), false});
}

Pattern Pattern::literal(std::string text) {
  if (text.empty()) return regex("");  // matches between all characters
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

Pattern Pattern::regex(std::string_view oniguruma_pattern) {
  Pattern pattern;
  pattern.regex_ = std::make_shared<const Regex>(oniguruma_pattern);
  return pattern;
}

void Pattern::find_segments(std::string_view text, std::vector<Segment>& segments) const {
  if (regex_) return regex_->find_segments(text, segments);
  size_t covered = 0;
  for (size_t found = text.find(literal_); found != std::string_view::npos;
       found = text.find(literal_, covered)) {
    if (covered != found) segments.push_back({covered, found, false});
    covered = found + literal_.size();
    segments.push_back({found, covered, true});
  }
  if (covered != text.size()) segments.push_back({covered, text.size(), false});
}

}  // namespace lathe::tokenizer
