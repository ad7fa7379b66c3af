#include "tests/conformance/kernel_sets.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace k8sdns::conformance {
namespace {

using dataplane::IpSet;
using dataplane::SetDimension;
using dataplane::SetElement;

bool ReadPort(absl::string_view text, SetElement& e, uint16_t& last) {
  e.protocol = 6;
  const size_t colon = text.find(':');
  if (colon != absl::string_view::npos) {
    const absl::string_view name = text.substr(0, colon);
    text = text.substr(colon + 1);
    if (name == "udp") e.protocol = 17;
    if (name == "sctp") e.protocol = 132;
    if (name == "udplite") e.protocol = 136;
    if (name == "icmp" || name == "icmpv6") {
      e.protocol = name == "icmp" ? 1 : 58;
      const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
      int type;
      int code = 0;
      if (absl::SimpleAtoi(parts[0], &type) && parts.size() == 2 &&
          absl::SimpleAtoi(parts[1], &code)) {
        e.port = last = static_cast<uint16_t>(type << 8 | code);
        return true;
      }
      if (parts[0] == "echo-request") {
        e.port = last = name == "icmp" ? 8 << 8 : 128 << 8;
        return true;
      }
      if (parts[0] == "echo-reply" || parts[0] == "pong") {
        e.port = last = name == "icmp" ? 0 : 129 << 8;
        return true;
      }
      return false;
    }
  }
  const std::vector<absl::string_view> range = absl::StrSplit(text, '-');
  int first;
  int end;
  if (!absl::SimpleAtoi(range[0], &first)) return false;
  if (!absl::SimpleAtoi(range.back(), &end)) return false;
  e.port = static_cast<uint16_t>(first);
  last = static_cast<uint16_t>(end);
  return true;
}

absl::Status AddElement(IpSet& set, absl::string_view text, bool nomatch) {
  const absl::Status bad =
      absl::InvalidArgumentError(absl::StrCat("set element ", text));
  SetElement e;
  uint16_t last_port = 0;
  bool has_port = false;
  int address = 0;
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ',');
  if (parts.size() != set.dimensions.size()) return bad;
  for (size_t i = 0; i < parts.size(); ++i) {
    switch (set.dimensions[i]) {
      case SetDimension::kIp:
      case SetDimension::kNet: {
        auto prefix = IpPrefix::Parse(parts[i]);
        if (!prefix) {
          auto ip = IpAddress::Parse(parts[i]);
          if (!ip) return bad;
          prefix = IpPrefix::Host(*ip);
        }
        e.addresses[address] = prefix->Masked().address();
        e.prefix_lengths[address] = static_cast<uint8_t>(prefix->length());
        ++address;
        break;
      }
      case SetDimension::kPort:
        if (!ReadPort(parts[i], e, last_port)) return bad;
        has_port = true;
        break;
      case SetDimension::kPlainPort:
        if (!ReadPort(parts[i], e, last_port)) return bad;
        e.protocol = 0;
        has_port = true;
        break;
      case SetDimension::kInterface:
        e.interface = std::string(parts[i]);
        break;
      default:
        return bad;
    }
  }
  dataplane::SetElementOptions options;
  options.nomatch = nomatch;
  if (!has_port) last_port = e.port;
  for (uint32_t port = e.port; port <= last_port; ++port) {
    e.port = static_cast<uint16_t>(port);
    set.Add(e, options);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadSets(absl::string_view text, dataplane::IpSets& sets) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() < 3) continue;
    IpSet& set = sets.Create(words[1]);
    if (words[0] == "create") {
      auto dimensions = dataplane::ParseSetType(words[2]);
      if (!dimensions) return absl::InvalidArgumentError(std::string(line));
      set.dimensions = *dimensions;
      set.is_list = set.dimensions.empty();
      for (size_t i = 3; i + 1 < words.size(); i += 2) {
        if (words[i] != "family") continue;
        set.family =
            words[i + 1] == "inet6" ? IpFamily::kIpv6 : IpFamily::kIpv4;
      }
    } else if (words[0] == "add") {
      if (set.is_list) {
        set.members.push_back(std::string(words[2]));
        continue;
      }
      const absl::Status added =
          AddElement(set, words[2], words.back() == "nomatch");
      if (!added.ok()) return added;
    }
  }
  return absl::OkStatus();
}

}  // namespace k8sdns::conformance
