#include "io/pickle.h"

#include <bit>
#include <unordered_map>

#include "base/error.h"

namespace lathe::io {
namespace {

using Kind = PickleValue::Kind;

/// Reads bytes in order; DataError at the end.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& source_name)
      : bytes_(bytes), source_name_(source_name) {}

  [[noreturn]] void fail(std::string_view what) const {
    throw_data("{}: pickle, offset {}: {}", source_name_, position_, what);
  }
  size_t remaining() const { return bytes_.size() - position_; }

  uint8_t byte() { return static_cast<uint8_t>(take(1)[0]); }
  uint64_t little(size_t count) {
    uint64_t value = 0;
    const auto bytes = take(count);
    for (size_t i = 0; i < count; ++i) value |= static_cast<uint64_t>(bytes[i]) << (8 * i);
    return value;
  }
  std::string text(uint64_t length) {
    const auto bytes = take(length);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string line() {
    std::string text;
    for (char c = static_cast<char>(byte()); c != '\n'; c = static_cast<char>(byte())) text += c;
    return text;
  }
  double big_endian_double() {
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
    return std::bit_cast<double>(bits);
  }

 private:
  std::span<const std::byte> take(uint64_t count) {
    if (count > remaining()) fail("the data end within a value");
    const auto taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

  std::span<const std::byte> bytes_;
  const std::string& source_name_;
  size_t position_ = 0;
};

}  // namespace

/// The stack machine of the pickle format.
class PickleMachine {
 public:
  PickleMachine(Cursor cursor, Pickle& pickle) : cursor_(cursor), pickle_(pickle) {}

  void run() {
    while (step(cursor_.byte())) {
    }
    if (stack_.size() != 1 || !marks_.empty()) cursor_.fail("it ends with other than one value");
    pickle_.root_ = stack_.back();
  }

 private:
  bool step(uint8_t opcode);
  bool step_number(uint8_t opcode);
  bool step_container(uint8_t opcode);
  bool step_memo(uint8_t opcode);

  PickleValue* make(PickleValue value) {
    pickle_.values_.push_back(std::move(value));
    return &pickle_.values_.back();
  }
  void push(PickleValue value) { stack_.push_back(make(std::move(value))); }
  PickleValue* pop() {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) cursor_.fail("a value is missing on the stack");
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue* top(Kind kind) {
    PickleValue* value = pop();
    stack_.push_back(value);
    if (value->kind != kind) cursor_.fail("an operation on a value of another kind");
    return value;
  }
  std::vector<const PickleValue*> pop_to_mark() {
    if (marks_.empty()) cursor_.fail("a mark is missing");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<const PickleValue*> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  void push_tuple(size_t count) {
    PickleValue tuple{.kind = Kind::kTuple};
    tuple.items.resize(count);
    for (size_t i = count; i > 0; --i) tuple.items[i - 1] = pop();
    push(std::move(tuple));
  }
  void push_int(int64_t value) { push({.kind = Kind::kInt, .integer = value}); }
  void push_long(uint64_t length) {
    if (length > 8) cursor_.fail("an integer of more than 64 bits");
    uint64_t bits = cursor_.little(length);
    const bool negative = length > 0 && length < 8 && (bits >> (8 * length - 1)) != 0;
    if (negative) bits |= ~uint64_t{0} << (8 * length);
    push_int(static_cast<int64_t>(bits));
  }
  void push_call() {
    const PickleValue* arguments = pop();
    const PickleValue* callable = pop();
    push({.kind = Kind::kCall, .items = {callable, arguments}});
  }
  /// Items of a dict, or of what a call gave (an OrderedDict).
  void set_items(std::vector<const PickleValue*> pairs) {
    PickleValue* owner = pop();
    if (pairs.size() % 2 != 0) cursor_.fail("a key without a value");
    if (owner->kind != Kind::kDict && owner->kind != Kind::kCall)
      cursor_.fail("items for a value that is no dict");
    owner->items.insert(owner->items.end(), pairs.begin(), pairs.end());
    stack_.push_back(owner);
  }
  void append(const std::vector<const PickleValue*>& items) {
    PickleValue* owner = top(Kind::kList);
    owner->items.insert(owner->items.end(), items.begin(), items.end());
  }
  void remember(uint64_t key) {
    PickleValue* value = pop();
    stack_.push_back(value);
    memo_[key] = value;
  }
  void recall(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) cursor_.fail("a memo that was never written");
    stack_.push_back(found->second);
  }

  Cursor cursor_;
  Pickle& pickle_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

bool PickleMachine::step_number(uint8_t opcode) {
  switch (opcode) {
    case 'N':
      push({});
      return true;
    case 0x88:
    case 0x89:
      push({.kind = Kind::kBool, .integer = opcode == 0x88});
      return true;
    case 'K':
      push_int(cursor_.byte());
      return true;
    case 'M':
      push_int(static_cast<int64_t>(cursor_.little(2)));
      return true;
    case 'J':
      push_int(static_cast<int32_t>(cursor_.little(4)));
      return true;
    case 0x8a:
      push_long(cursor_.byte());
      return true;
    case 'G':
      push({.kind = Kind::kFloat, .real = cursor_.big_endian_double()});
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step_container(uint8_t opcode) {
  switch (opcode) {
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case ')':
      push_tuple(0);
      return true;
    case 0x85:
    case 0x86:
    case 0x87:
      push_tuple(opcode - 0x84u);
      return true;
    case 't':
      push({.kind = Kind::kTuple, .items = pop_to_mark()});
      return true;
    case ']':
      push({.kind = Kind::kList});
      return true;
    case '}':
      push({.kind = Kind::kDict});
      return true;
    case 'a':
      append({pop()});
      return true;
    case 'e':
      append(pop_to_mark());
      return true;
    case 's': {
      const PickleValue* value = pop();
      const PickleValue* key = pop();
      set_items({key, value});
      return true;
    }
    case 'u':
      set_items(pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step_memo(uint8_t opcode) {
  switch (opcode) {
    case 'q':
      remember(cursor_.byte());
      return true;
    case 'r':
      remember(cursor_.little(4));
      return true;
    case 0x94:
      remember(memo_.size());
      return true;
    case 'h':
      recall(cursor_.byte());
      return true;
    case 'j':
      recall(cursor_.little(4));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step(uint8_t opcode) {
  if (step_number(opcode) || step_container(opcode) || step_memo(opcode)) return true;
  switch (opcode) {
    case 0x80:  // protocol
      if (const uint8_t version = cursor_.byte(); version < 2 || version > 5)
        cursor_.fail(fmt::format("protocol {}, expected 2 to 5", version));
      return true;
    case 0x95:  // frame: its length says nothing that the data do not
      cursor_.little(8);
      return true;
    case 'X':
      push({.kind = Kind::kString, .text = cursor_.text(cursor_.little(4))});
      return true;
    case 0x8c:
      push({.kind = Kind::kString, .text = cursor_.text(cursor_.byte())});
      return true;
    case 'c': {
      const std::string module = cursor_.line();
      push({.kind = Kind::kGlobal, .text = module + "." + cursor_.line()});
      return true;
    }
    case 0x93: {
      const PickleValue* name = pop();
      const PickleValue* module = pop();
      if (name->kind != Kind::kString || module->kind != Kind::kString)
        cursor_.fail("a global whose name is no string");
      push({.kind = Kind::kGlobal, .text = module->text + "." + name->text});
      return true;
    }
    case 'R':
      push_call();
      return true;
    case 'b': {  // attributes of an object: not needed here
      pop();
      stack_.push_back(pop());
      return true;
    }
    case 'Q':
      push({.kind = Kind::kPersistent, .items = {pop()}});
      return true;
    case '.':
      return false;
    default:
      cursor_.fail(fmt::format("opcode 0x{:02x} is not one that torch.save writes", opcode));
  }
}

Pickle Pickle::parse(std::span<const std::byte> bytes, const std::string& source_name) {
  Pickle pickle;
  PickleMachine(Cursor(bytes, source_name), pickle).run();
  return pickle;
}

}  // namespace lathe::io
