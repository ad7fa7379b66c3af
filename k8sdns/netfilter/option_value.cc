#include "k8sdns/netfilter/option_value.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::netfilter {
namespace {

int DigitOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

struct ProtocolEntry {
  absl::string_view name;
  uint8_t number;
};

// The names that libxtables knows itself, in its order.
constexpr ProtocolEntry kChainProtocols[] = {
    {"tcp", 6},       {"sctp", 132},
    {"udp", 17},      {"udplite", 136},
    {"icmp", 1},      {"ipv6-icmp", 58},
    {"icmpv6", 58},   {"esp", 50},
    {"ah", 51},       {"mobility-header", 135},
    {"ipv6-mh", 135}, {"mh", 135},
    {"all", 0},
};

// Debian 12, /etc/protocols: names and lower-case aliases.
constexpr ProtocolEntry kProtocols[] = {
    {"ip", 0},          {"hopopt", 0},       {"icmp", 1},
    {"igmp", 2},        {"ggp", 3},          {"ipencap", 4},
    {"st", 5},          {"tcp", 6},          {"egp", 8},
    {"igp", 9},         {"pup", 12},         {"udp", 17},
    {"hmp", 20},        {"xns-idp", 22},     {"rdp", 27},
    {"iso-tp4", 29},    {"dccp", 33},        {"xtp", 36},
    {"ddp", 37},        {"idpr-cmtp", 38},   {"ipv6", 41},
    {"ipv6-route", 43}, {"ipv6-frag", 44},   {"idrp", 45},
    {"rsvp", 46},       {"gre", 47},         {"esp", 50},
    {"ah", 51},         {"skip", 57},        {"ipv6-icmp", 58},
    {"ipv6-nonxt", 59}, {"ipv6-opts", 60},   {"rspf", 73},
    {"vmtp", 81},       {"eigrp", 88},       {"ospf", 89},
    {"ax.25", 93},      {"ipip", 94},        {"etherip", 97},
    {"encap", 98},      {"pim", 103},        {"ipcomp", 108},
    {"vrrp", 112},      {"l2tp", 115},       {"isis", 124},
    {"sctp", 132},      {"fc", 133},         {"mobility-header", 135},
    {"udplite", 136},   {"mpls-in-ip", 137}, {"manet", 138},
    {"hip", 139},       {"shim6", 140},      {"wesp", 141},
    {"rohc", 142},      {"ethernet", 143},
};

}  // namespace

bool ReadNumber(absl::string_view text, int base, uint64_t min, uint64_t max,
                uint64_t* value, size_t* used) {
  size_t i = 0;
  while (i < text.size() && absl::ascii_isspace(text[i])) ++i;
  if (i < text.size() && text[i] == '-') return false;
  if (i < text.size() && text[i] == '+') ++i;
  if ((base == 0 || base == 16) && i + 2 < text.size() && text[i] == '0' &&
      (text[i + 1] == 'x' || text[i + 1] == 'X') && DigitOf(text[i + 2]) < 16) {
    base = 16;
    i += 2;
  } else if (base == 0) {
    base = i < text.size() && text[i] == '0' ? 8 : 10;
  }
  const size_t first = i;
  uint64_t v = 0;
  bool overflow = false;
  for (; i < text.size(); ++i) {
    const int digit = DigitOf(text[i]);
    if (digit >= base) break;
    if (v > (std::numeric_limits<uint64_t>::max() - digit) / base) {
      overflow = true;
    }
    v = v * base + digit;
  }
  if (i == first || overflow) return false;
  if (used != nullptr) {
    *used = i;
  } else if (i != text.size()) {
    return false;
  }
  *value = v;
  return v >= min && v <= max;
}

bool ScanCounter(absl::string_view* text, uint64_t* value) {
  size_t i = 0;
  while (i < text->size() && absl::ascii_isspace((*text)[i])) ++i;
  const bool minus = i < text->size() && (*text)[i] == '-';
  if (i < text->size() && (minus || (*text)[i] == '+')) ++i;
  const size_t first = i;
  uint64_t v = 0;
  bool overflow = false;
  while (i < text->size() && absl::ascii_isdigit((*text)[i])) {
    const uint64_t digit = (*text)[i++] - '0';
    overflow = overflow || v > (UINT64_MAX - digit) / 10;
    v = v * 10 + digit;
  }
  if (i == first) return false;
  *value = overflow ? UINT64_MAX : minus ? 0 - v : v;
  text->remove_prefix(i);
  return true;
}

bool ReadDouble(absl::string_view text, double* value) {
  const std::string copy(text);
  char* end;
  *value = std::strtod(copy.c_str(), &end);
  return end != copy.c_str() && *end == '\0';
}

bool ReadPort(absl::string_view text, absl::string_view protocol,
              uint16_t* port) {
  uint64_t v;
  if (ReadNumber(text, 0, 0, 65535, &v)) {
    *port = static_cast<uint16_t>(v);
    return true;
  }
  const auto found = FindService(text, protocol);
  if (found) *port = *found;
  return found.has_value();
}

bool ReadServicePort(absl::string_view text, uint16_t* port) {
  uint64_t v;
  // getaddrinfo() puts the number into an int, and its lower half into the
  // port.
  if (ReadNumber(text, 10, 0, UINT64_MAX, &v) && static_cast<int32_t>(v) >= 0) {
    *port = static_cast<uint16_t>(v);
    return true;
  }
  const auto found = FindService(text, "");
  if (found) *port = *found;
  return found.has_value();
}

bool ReadServicePortRange(absl::string_view text, PortRange* range) {
  range->first = 0;
  range->last = 65535;
  const size_t colon = text.find(':');
  const absl::string_view first = text.substr(0, colon);
  uint16_t port;
  if (!first.empty()) {
    if (!ReadServicePort(first, &port)) return false;
    range->first = port;
  }
  if (colon == absl::string_view::npos) {
    range->last = range->first;
    return true;
  }
  const absl::string_view last = text.substr(colon + 1);
  if (last.find(':') != absl::string_view::npos) return false;
  if (!last.empty()) {
    if (!ReadServicePort(last, &port)) return false;
    range->last = port;
  }
  return true;
}

bool ReadProtocol(absl::string_view name, uint8_t* protocol) {
  uint64_t v;
  if (ReadNumber(name, 0, 0, 255, &v)) {
    *protocol = static_cast<uint8_t>(v);
    return true;
  }
  for (const ProtocolEntry& p : kChainProtocols) {
    if (p.name == name) {
      *protocol = p.number;
      return true;
    }
  }
  for (const ProtocolEntry& p : kProtocols) {
    if (p.name == name) {
      *protocol = p.number;
      return true;
    }
  }
  return false;
}

absl::string_view SavedProtocolName(uint8_t protocol) {
  if (protocol == 0) return "";
  for (const ProtocolEntry& p : kProtocols) {
    if (p.number == protocol) return p.name;
  }
  return "";
}

bool ReadMarkMask(absl::string_view text, uint32_t* value, uint32_t* mask) {
  uint64_t v;
  uint64_t m = 0xffffffff;
  size_t used;
  if (!ReadNumber(text, 0, 0, 0xffffffff, &v, &used)) return false;
  if (used < text.size()) {
    if (text[used] != '/') return false;
    if (!ReadNumber(text.substr(used + 1), 0, 0, 0xffffffff, &m)) return false;
  }
  *value = static_cast<uint32_t>(v);
  *mask = static_cast<uint32_t>(m);
  return true;
}

void AppendMarkMask(uint32_t value, uint32_t mask, std::string* out) {
  out->append("0x");
  AppendHex(value, out);
  if (mask != 0xffffffff) {
    out->append("/0x");
    AppendHex(mask, out);
  }
}

bool ReadIpv4Sloppy(absl::string_view text, uint32_t* address) {
  if (text.size() > 19) text = text.substr(0, 19);  // libxtables' buffer
  uint32_t words = 0;
  for (int i = 0; i < 4; ++i) {
    const size_t dot = i < 3 ? text.find('.') : absl::string_view::npos;
    uint64_t v;
    if (!ReadNumber(text.substr(0, dot), 0, 0, 255, &v)) return false;
    words |= static_cast<uint32_t>(v) << (24 - 8 * i);
    if (dot == absl::string_view::npos) break;
    text.remove_prefix(dot + 1);
  }
  *address = words;
  return true;
}

// inet_aton(3): one to four parts, the last fills what is left.
static bool ReadInetAton(absl::string_view text, uint32_t* address) {
  uint64_t parts[4];
  int n = 0;
  while (true) {
    if (n == 4) return false;
    const size_t dot = text.find('.');
    const absl::string_view part = text.substr(0, dot);
    if (part.empty() || !absl::ascii_isdigit(part[0])) return false;
    if (!ReadNumber(part, 0, 0, 0xffffffff, &parts[n])) return false;
    ++n;
    if (dot == absl::string_view::npos) break;
    text.remove_prefix(dot + 1);
  }
  uint64_t v = 0;
  for (int i = 0; i < n - 1; ++i) {
    if (parts[i] > 255) return false;
    v |= parts[i] << (24 - 8 * i);
  }
  if (parts[n - 1] > uint64_t{0xffffffff} >> (8 * (n - 1))) return false;
  *address = static_cast<uint32_t>(v | parts[n - 1]);
  return true;
}

bool ReadHost(IpFamily family, absl::string_view text, uint32_t (&words)[4]) {
  if (family == IpFamily::kIpv4) {
    words[1] = words[2] = words[3] = 0;
    return ReadInetAton(text, &words[0]);
  }
  const auto address = IpAddress::Parse(text);
  if (!address || address->family() != family) return false;
  StoreAddress(*address, words);
  return true;
}

uint8_t PrefixLength(IpFamily family, const uint32_t (&mask)[4]) {
  const int used = family == IpFamily::kIpv4 ? 1 : 4;
  int length = 0;
  bool ended = false;
  for (int i = 0; i < used; ++i) {
    const uint32_t m = mask[i];
    const int ones =
        __builtin_clz(~m | 0) * (m != 0xffffffff) + 32 * (m == 0xffffffff);
    if (ended && m != 0) return AddressMask::kExplicitMask;
    if (ones < 32) {
      if (m << ones != 0) return AddressMask::kExplicitMask;
      ended = true;
    }
    length += ones;
  }
  return static_cast<uint8_t>(length);
}

void ApplyMask(IpFamily family, AddressMask* match) {
  uint32_t mask[4];
  LoadMask(family, *match, mask);
  for (int i = 0; i < 4; ++i) match->address[i] &= mask[i];
}

static void SetMask(IpFamily family, const uint32_t (&words)[4],
                    AddressMask* out) {
  out->prefix_length = PrefixLength(family, words);
  const bool is_explicit = out->prefix_length == AddressMask::kExplicitMask;
  for (int i = 0; i < 4; ++i) out->mask[i] = is_explicit ? words[i] : 0;
}

bool ReadMask(IpFamily family, absl::string_view text, AddressMask* out) {
  uint64_t length;
  const uint64_t bits = family == IpFamily::kIpv4 ? 32 : 128;
  uint32_t words[4] = {};
  if (family == IpFamily::kIpv4) {
    if (std::count(text.begin(), text.end(), '.') >= 3 &&
        ReadIpv4Sloppy(text, &words[0])) {
      SetMask(family, words, out);
      return true;
    }
  } else if (ReadHost(family, text, words)) {
    SetMask(family, words, out);
    return true;
  }
  if (!ReadNumber(text, 0, 0, bits, &length)) return false;
  out->prefix_length = static_cast<uint8_t>(length);
  for (int i = 0; i < 4; ++i) out->mask[i] = 0;
  return true;
}

bool ReadAddressMask(IpFamily family, absl::string_view text,
                     AddressMask* out) {
  if (text.size() > 255) return false;
  const size_t slash = text.rfind('/');
  absl::string_view address = text.substr(0, slash);
  if (slash == absl::string_view::npos) {
    out->prefix_length = family == IpFamily::kIpv4 ? 32 : 128;
  } else if (!ReadMask(family, text.substr(slash + 1), out)) {
    return false;
  }
  uint32_t mask[4];
  LoadMask(family, *out, mask);
  const bool any = (mask[0] | mask[1] | mask[2] | mask[3]) == 0;
  uint32_t words[4] = {};
  if (!any) {
    // A dotted text that libxtables does not take may still be an address to
    // the resolver ("10.1.2.256" is not, "167772161" is).
    if (family == IpFamily::kIpv4 && !ReadIpv4Sloppy(address, &words[0]) &&
        !ReadHost(family, address, words)) {
      return false;
    }
    if (family == IpFamily::kIpv6 && !ReadHost(family, address, words)) {
      return false;
    }
  }
  for (int i = 0; i < 4; ++i) out->address[i] = words[i] & mask[i];
  return true;
}

bool ReadHostMask(IpFamily family, absl::string_view text, AddressMask* out) {
  const size_t slash = text.find('/');
  uint32_t words[4];
  if (!ReadHost(family, text.substr(0, slash), words)) return false;
  std::copy(words, words + 4, out->address);
  if (slash == absl::string_view::npos) {
    out->prefix_length = family == IpFamily::kIpv4 ? 32 : 128;
    return true;
  }
  const absl::string_view mask = text.substr(slash + 1);
  uint64_t length;
  if (ReadNumber(mask, 0, 0, family == IpFamily::kIpv4 ? 32 : 128, &length)) {
    out->prefix_length = static_cast<uint8_t>(length);
    return true;
  }
  if (!ReadHost(family, mask, words)) return false;
  SetMask(family, words, out);
  return true;
}

bool ReadMac(absl::string_view text, uint8_t (&mac)[6]) {
  for (int i = 0; i < 6; ++i) {
    const size_t colon = i < 5 ? text.find(':') : text.size();
    if (colon == absl::string_view::npos || colon > 2) return false;
    uint64_t v = 0;
    if (colon > 0 && !ReadNumber(text.substr(0, colon), 16, 0, 255, &v)) {
      return false;
    }
    mac[i] = static_cast<uint8_t>(v);
    if (i < 5) text.remove_prefix(colon + 1);
  }
  return true;
}

void AppendAddress(IpFamily family, const uint32_t (&words)[4],
                   std::string* out) {
  char buffer[IpAddress::kMaxTextSize];
  char* end = LoadAddress(family, words).WriteTo(buffer);
  out->append(buffer, end - buffer);
}

void AppendAddress(IpFamily family, const Packed<uint32_t> (&words)[4],
                   std::string* out) {
  const uint32_t plain[4] = {words[0], words[1], words[2], words[3]};
  AppendAddress(family, plain, out);
}

void AppendMask(IpFamily family, const AddressMask& match, std::string* out) {
  out->push_back('/');
  if (match.prefix_length == AddressMask::kExplicitMask) {
    uint32_t mask[4];
    std::copy(match.mask, match.mask + 4, mask);
    AppendAddress(family, mask, out);
  } else {
    AppendNumber(match.prefix_length, out);
  }
}

void AppendNumber(uint64_t value, std::string* out) {
  char buffer[20];
  char* p = buffer + sizeof(buffer);
  do {
    *--p = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  out->append(p, buffer + sizeof(buffer) - p);
}

void AppendHex(uint64_t value, std::string* out) {
  char buffer[16];
  char* p = buffer + sizeof(buffer);
  do {
    *--p = "0123456789abcdef"[value & 15];
    value >>= 4;
  } while (value != 0);
  out->append(p, buffer + sizeof(buffer) - p);
}

namespace {

bool IsPlainWord(absl::string_view value) {
  for (char c : value) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '-') return false;
  }
  return !value.empty();
}

bool IsEscaped(char c) { return c == '"' || c == '\\' || c == '\''; }

// Eight bytes at a time: nearly all comments of a dump have none.
bool HasEscaped(absl::string_view value) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  const char* p = value.data();
  size_t left = value.size();
  uint64_t found = 0;
  for (; left >= 8; p += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, p, sizeof(word));
    for (uint64_t c : {uint64_t{'"'}, uint64_t{'\\'}, uint64_t{'\''}}) {
      const uint64_t differs = word ^ (kOnes * c);
      found |= (differs - kOnes) & ~differs;
    }
  }
  for (; left > 0; ++p, --left) {
    if (IsEscaped(*p)) return true;
  }
  return (found & kHigh) != 0;
}

}  // namespace

void AppendQuoted(absl::string_view value, std::string* out) {
  out->push_back(' ');
  if (IsPlainWord(value)) {
    out->append(value.data(), value.size());
    return;
  }
  out->push_back('"');
  if (!HasEscaped(value)) {
    out->append(value.data(), value.size());
  } else {
    for (char c : value) {
      if (IsEscaped(c)) out->push_back('\\');
      out->push_back(c);
    }
  }
  out->push_back('"');
}

}  // namespace k8sdns::netfilter
