#include "k8sdns/dataplane/node_config.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace k8sdns::dataplane {
namespace {

constexpr std::pair<absl::string_view, RouteType> kTypes[] = {
    {"unicast", RouteType::kUnicast},
    {"local", RouteType::kLocal},
    {"broadcast", RouteType::kBroadcast},
    {"anycast", RouteType::kAnycast},
    {"multicast", RouteType::kMulticast},
    {"blackhole", RouteType::kBlackhole},
    {"unreachable", RouteType::kUnreachable},
    {"prohibit", RouteType::kProhibit},
    {"throw", RouteType::kThrow},
};

std::optional<uint32_t> ParseNumber(absl::string_view text) {
  uint32_t value;
  if (absl::StartsWith(text, "0x")) {
    if (!absl::SimpleHexAtoi(text, &value)) return std::nullopt;
    return value;
  }
  if (!absl::SimpleAtoi(text, &value)) return std::nullopt;
  return value;
}

std::optional<uint32_t> ParseTable(absl::string_view text) {
  if (text == "local") return kTableLocal;
  if (text == "main") return kTableMain;
  if (text == "default") return kTableDefault;
  return ParseNumber(text);
}

std::optional<IpPrefix> ParsePrefix(absl::string_view text, IpFamily family) {
  if (text == "all" || text == "default") {
    return family == IpFamily::kIpv4 ? IpPrefix::Parse("0.0.0.0/0")
                                     : IpPrefix::Parse("::/0");
  }
  if (std::optional<IpPrefix> prefix = IpPrefix::Parse(text)) return prefix;
  if (std::optional<IpAddress> address = IpAddress::Parse(text)) {
    return IpPrefix::Host(*address);
  }
  return std::nullopt;
}

// Takes the argument of one keyword; false if it is not understood.
bool SetOption(absl::string_view key, absl::string_view value,
               PolicyRule& rule) {
  if (key == "pref" || key == "priority" || key == "preference" ||
      key == "order") {
    std::optional<uint32_t> n = ParseNumber(value);
    if (n) rule.priority = *n;
    return n.has_value();
  }
  if (key == "from" || key == "to") {
    std::optional<IpPrefix> prefix = ParsePrefix(value, rule.family);
    (key == "from" ? rule.from : rule.to) = prefix;
    return prefix.has_value();
  }
  if (key == "fwmark") {
    const std::vector<absl::string_view> parts = absl::StrSplit(value, '/');
    if (parts.size() > 2) return false;
    rule.mark = ParseNumber(parts[0]);
    if (parts.size() == 2) {
      std::optional<uint32_t> mask = ParseNumber(parts[1]);
      if (!mask) return false;
      rule.mark_mask = *mask;
    }
    return rule.mark.has_value();
  }
  if (key == "iif" || key == "dev") {
    rule.in_interface = std::string(value);
    return true;
  }
  if (key == "oif") {
    rule.out_interface = std::string(value);
    return true;
  }
  if (key == "lookup" || key == "table") {
    std::optional<uint32_t> table = ParseTable(value);
    if (table) rule.table = *table;
    return table.has_value();
  }
  return false;
}

}  // namespace

std::optional<RouteType> ParseRouteType(absl::string_view text) {
  for (const auto& [name, type] : kTypes) {
    if (name == text) return type;
  }
  return std::nullopt;
}

std::optional<PolicyRule> ParsePolicyRule(absl::string_view text,
                                          IpFamily family) {
  PolicyRule rule;
  rule.family = family;
  const std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "not") {
      rule.invert = true;
      continue;
    }
    if (std::optional<RouteType> type = ParseRouteType(words[i])) {
      rule.action = *type;
      continue;
    }
    if (i + 1 == words.size()) return std::nullopt;
    if (!SetOption(words[i], words[i + 1], rule)) return std::nullopt;
    ++i;
  }
  return rule;
}

int64_t NodeConfig::Sysctl(const std::string& name, int64_t otherwise) const {
  auto it = sysctls.find(name);
  return it == sysctls.end() ? otherwise : it->second;
}

}  // namespace k8sdns::dataplane
