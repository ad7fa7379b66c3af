#include "k8sdns/cluster/schema.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::schema {
namespace {

bool IsIp(absl::string_view text) {
  return IpAddress::ParseSloppy(text).has_value();
}

bool IsCidr(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return false;
  const std::optional<IpAddress> ip =
      IpAddress::ParseSloppy(text.substr(0, slash));
  if (!ip.has_value()) return false;
  const absl::string_view digits = text.substr(slash + 1);
  if (digits.empty() || digits.size() > 3) return false;
  int length = 0;
  for (char c : digits) {
    if (!absl::ascii_isdigit(c)) return false;
    length = length * 10 + (c - '0');
  }
  return length <= ip->bits();
}

// Go's time.ParseDuration: an optional sign, then numbers with units; "0" needs
// none.
bool IsDuration(absl::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    text.remove_prefix(1);
  }
  if (text == "0") return true;
  if (text.empty()) return false;
  while (!text.empty()) {
    size_t digits = 0;
    size_t i = 0;
    bool point = false;
    for (; i < text.size(); ++i) {
      if (text[i] == '.' && !point) {
        point = true;
      } else if (absl::ascii_isdigit(text[i])) {
        ++digits;
      } else {
        break;
      }
    }
    if (digits == 0) return false;
    text.remove_prefix(i);
    size_t unit = 0;
    for (absl::string_view name :
         {"ns", "us", "\u00b5s", "\u03bcs", "ms", "s", "m", "h"}) {
      if (absl::StartsWith(text, name)) {
        unit = name.size();
        break;
      }
    }
    if (unit == 0) return false;
    text.remove_prefix(unit);
  }
  return true;
}

bool IsCidrPair(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ',');
  if (parts.size() > 2) return false;
  for (absl::string_view part : parts) {
    if (!IsCidr(part)) return false;
  }
  return true;
}

}  // namespace

const EnumName* FindName(const EnumType& type, absl::string_view name) {
  for (const EnumName& n : type.names) {
    if (n.name == name) return &n;
  }
  return nullptr;
}

const EnumName* FindValue(const EnumType& type, int value) {
  for (const EnumName& n : type.names) {
    if (n.value == value) return &n;
  }
  return nullptr;
}

std::string NamesOf(const EnumType& type) {
  std::string out;
  for (size_t i = 0; i < type.names.size(); ++i) {
    absl::StrAppend(&out,
                    i == 0                       ? ""
                    : i + 1 == type.names.size() ? " or "
                                                 : ", ",
                    type.names[i].name);
  }
  return out;
}

bool Passes(Check check, absl::string_view text) {
  switch (check) {
    case Check::kIp:
    case Check::kEndpointAddress:
      return IsIp(text);
    case Check::kClusterIp:
      return text == "None" || IsIp(text);
    case Check::kCidr:
      return IsCidr(text);
    case Check::kCidrs:
      return IsCidrPair(text);
    case Check::kNodePortAddress:
      return text == "primary" || IsCidr(text);
    case Check::kDuration:
      return IsDuration(text);
    default:
      return true;
  }
}

bool Passes(Check check, int64_t number) {
  switch (check) {
    case Check::kPort:
      return number >= 1 && number <= 65535;
    case Check::kPortOrZero:
      return number >= 0 && number <= 65535;
    case Check::kNotNegative:
      return number >= 0 && number <= INT32_MAX;
    case Check::kMasqueradeBit:
      return number >= 0 && number <= 31;
    default:
      return number >= INT32_MIN && number <= INT32_MAX;
  }
}

std::string ExpectedText(Check check) {
  switch (check) {
    case Check::kIp:
    case Check::kEndpointAddress:
      return "an IP address";
    case Check::kClusterIp:
      return "an IP address or None";
    case Check::kCidr:
      return "a CIDR such as 10.0.0.0/8";
    case Check::kCidrs:
      return "a CIDR such as 10.0.0.0/8, or two joined by a comma";
    case Check::kNodePortAddress:
      return "a CIDR such as 10.0.0.0/8, or primary";
    case Check::kDuration:
      return "a duration such as 15m0s";
    default:
      return "a text";
  }
}

std::string ExpectedNumber(Check check) {
  switch (check) {
    case Check::kPort:
      return "an integer from 1 to 65535";
    case Check::kPortOrZero:
      return "an integer from 0 to 65535";
    case Check::kNotNegative:
      return "an integer from 0 to 2147483647";
    case Check::kMasqueradeBit:
      return "an integer from 0 to 31";
    default:
      return "an integer of 32 bits";
  }
}

}  // namespace k8sdns::schema
