#include "k8sdns/netfilter/ipset_element_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/icmp_names.h"
#include "k8sdns/netfilter/ops.h"
#include "k8sdns/netfilter/option_value.h"

namespace k8sdns::netfilter {
namespace {

bool Because(std::string* why, std::string text) {
  *why = std::move(text);
  return false;
}

std::optional<IpAddress> ReadAddress(IpFamily family, absl::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  uint32_t words[4];
  if (!ReadHost(family, text, words)) return std::nullopt;
  return LoadAddress(family, words);
}

IpAddress Masked(const IpAddress& address, int length) {
  return IpPrefix(address, length).Masked().address();
}

struct Net {
  IpAddress address;
  uint8_t length = 0;
};

// The fewest prefixes that make up first..last.
void SplitRange(uint64_t first, uint64_t last, std::vector<Net>* out) {
  while (first <= last) {
    int length = 32;
    while (length > 0) {
      const uint64_t size = uint64_t{1} << (32 - (length - 1));
      if (first % size != 0 || first + size - 1 > last) break;
      --length;
    }
    out->push_back({IpAddress::V4(static_cast<uint32_t>(first)),
                    static_cast<uint8_t>(length)});
    first += uint64_t{1} << (32 - length);
  }
}

struct Ports {
  uint8_t protocol = 0;
  uint16_t first = 0;
  uint16_t last = 0;
};

bool ReadPlainPort(absl::string_view text, absl::string_view protocol,
                   uint16_t* port) {
  uint64_t v;
  if (ReadNumber(text, 0, 0, 65535, &v)) {
    *port = static_cast<uint16_t>(v);
    return true;
  }
  const auto named = FindService(text, protocol);
  if (named) *port = *named;
  return named.has_value();
}

bool ReadIcmp(IpFamily family, absl::string_view text, uint16_t* port) {
  if (const auto named = FindIcmpName(family, text)) {
    *port = *named;
    return true;
  }
  const size_t slash = text.find('/');
  uint64_t type;
  uint64_t code;
  if (slash == absl::string_view::npos ||
      !ReadNumber(text.substr(0, slash), 0, 0, 255, &type) ||
      !ReadNumber(text.substr(slash + 1), 0, 0, 255, &code)) {
    return false;
  }
  *port = static_cast<uint16_t>(type << 8 | code);
  return true;
}

// "[protocol:]port[-port]"
bool ReadPorts(IpFamily family, absl::string_view text, Ports* out,
               std::string* why) {
  out->protocol = 6;
  const size_t colon = text.find(':');
  std::string protocol = "tcp";
  if (colon != absl::string_view::npos) {
    protocol = absl::AsciiStrToLower(text.substr(0, colon));
    if (!ReadProtocol(protocol, &out->protocol) || out->protocol == 0) {
      return Because(why, absl::StrCat("unknown protocol `", protocol, "'"));
    }
    text.remove_prefix(colon + 1);
  }
  if (out->protocol == 1 || out->protocol == 58) {
    const IpFamily of = out->protocol == 1 ? IpFamily::kIpv4 : IpFamily::kIpv6;
    if (of != family || !ReadIcmp(of, text, &out->first)) {
      return Because(why, absl::StrCat("bad ICMP type `", text, "'"));
    }
    out->last = out->first;
    return true;
  }
  const bool has_ports = out->protocol == 6 || out->protocol == 17 ||
                         out->protocol == 132 || out->protocol == 136;
  if (!has_ports) {
    uint64_t zero;
    out->first = out->last = 0;
    return ReadNumber(text, 0, 0, 0, &zero) ||
           Because(why, "the protocol takes port 0 only");
  }
  const absl::string_view service = out->protocol == 17    ? "udp"
                                    : out->protocol == 132 ? "sctp"
                                                           : "tcp";
  // A service name may have a dash itself.
  if (ReadPlainPort(text, service, &out->first)) {
    out->last = out->first;
    return true;
  }
  const size_t dash = text.find('-');
  if (dash == absl::string_view::npos ||
      !ReadPlainPort(text.substr(0, dash), service, &out->first) ||
      !ReadPlainPort(text.substr(dash + 1), service, &out->last)) {
    return Because(why, absl::StrCat("bad port `", text, "'"));
  }
  if (out->first > out->last) std::swap(out->first, out->last);
  return true;
}

bool IsZero(const IpAddress& address) { return address.IsUnspecified(); }

class ElementReader {
 public:
  ElementReader(const IpSet& set, size_t room, std::string* why)
      : set_(set), room_(room), why_(why) {}

  bool Read(absl::string_view text, const IpSetElement& prototype,
            std::vector<IpSetElement>* out);

 private:
  // Each makes all of `out` one longer for each of its values.
  bool Ip(absl::string_view text, int address);
  bool NetPart(absl::string_view text, int address);
  bool Port(absl::string_view text);
  bool Interface(absl::string_view text);
  bool Mac(absl::string_view text);
  bool Mark(absl::string_view text);

  template <typename T, typename Assign>
  bool Multiply(const std::vector<T>& values, Assign assign) {
    if (values.size() > room_ ||
        out_.size() * values.size() > std::max<size_t>(room_, 1)) {
      return Because(why_, "set is full");
    }
    std::vector<IpSetElement> all;
    all.reserve(out_.size() * values.size());
    for (const IpSetElement& e : out_) {
      for (const T& v : values) {
        all.push_back(e);
        assign(v, &all.back());
      }
    }
    out_ = std::move(all);
    return true;
  }

  const IpSet& set_;
  size_t room_;
  std::string* why_;
  std::vector<IpSetElement> out_;
};

bool ElementReader::Ip(absl::string_view text, int address) {
  std::vector<IpAddress> values;
  if (address > 0) {  // of hash:ip,port,ip: neither networks nor ranges
    const auto value = ReadAddress(set_.family, text);
    if (!value) {
      return Because(
          why_, absl::StrCat("a plain address is needed, not `", text, "'"));
    }
    values.push_back(*value);
  } else if (set_.family == IpFamily::kIpv4) {
    uint32_t first;
    uint32_t last;
    if (!ReadIpv4Range(text, &first, &last)) {
      return Because(why_, absl::StrCat("bad address `", text, "'"));
    }
    if (uint64_t{last} - first >= room_) return Because(why_, "set is full");
    for (uint64_t a = first; a <= last; ++a) {
      values.push_back(IpAddress::V4(static_cast<uint32_t>(a)));
    }
  } else {
    const size_t slash = text.find('/');
    uint64_t length;
    if (slash != absl::string_view::npos &&
        (!ReadNumber(text.substr(slash + 1), 0, 128, 128, &length))) {
      return Because(why_, "a single address is needed");
    }
    const auto value = ReadAddress(set_.family, text.substr(0, slash));
    if (!value) return Because(why_, absl::StrCat("bad address `", text, "'"));
    values.push_back(*value);
  }
  for (IpAddress& v : values) {
    if (set_.netmask != 0) v = Masked(v, set_.netmask);
    if (set_.bitmask) {
      std::array<uint8_t, 16> bytes = v.bytes();
      for (int i = 0; i < 16; ++i) bytes[i] &= set_.bitmask->bytes()[i];
      v = v.is_v4() ? IpAddress::V4(uint32_t{bytes[0]} << 24 |
                                    uint32_t{bytes[1]} << 16 |
                                    uint32_t{bytes[2]} << 8 | bytes[3])
                    : IpAddress::V6(bytes);
    }
    if (set_.type == "hash:ip" && IsZero(v)) {
      return Because(why_, "address 0 cannot be in the set");
    }
    if (set_.is_bitmap() &&
        (v.v4() < set_.range_first || v.v4() > set_.range_last)) {
      return Because(why_, "element is out of the set's range");
    }
  }
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return Multiply(values, [address](const IpAddress& v, IpSetElement* e) {
    e->addresses[address] = v;
    e->prefix_lengths[address] = static_cast<uint8_t>(v.bits());
  });
}

bool ElementReader::NetPart(absl::string_view text, int address) {
  std::vector<Net> nets;
  const size_t dash = text.find('-');
  if (dash != absl::string_view::npos) {
    uint32_t first;
    uint32_t last;
    if (set_.family != IpFamily::kIpv4 || !ReadIpv4Range(text, &first, &last)) {
      return Because(why_, absl::StrCat("bad network `", text, "'"));
    }
    SplitRange(first, last, &nets);
  } else {
    const size_t slash = text.find('/');
    const auto value = ReadAddress(set_.family, text.substr(0, slash));
    uint64_t length = set_.family == IpFamily::kIpv4 ? 32 : 128;
    if (!value ||
        (slash != absl::string_view::npos &&
         !ReadNumber(text.substr(slash + 1), 0, 0, length, &length))) {
      return Because(why_, absl::StrCat("bad network `", text, "'"));
    }
    nets.push_back({Masked(*value, static_cast<int>(length)),
                    static_cast<uint8_t>(length)});
  }
  for (const Net& n : nets) {
    if (n.length == 0 && set_.type != "hash:net,iface") {
      return Because(why_, "a network of length 0 cannot be in the set");
    }
  }
  return Multiply(nets, [address](const Net& n, IpSetElement* e) {
    e->addresses[address] = n.address;
    e->prefix_lengths[address] = n.length;
  });
}

bool ElementReader::Port(absl::string_view text) {
  Ports ports;
  if (set_.type == "bitmap:port") {
    if (!ReadSetPortRange(text, &ports.first, &ports.last, why_)) return false;
    if (ports.first > ports.last) std::swap(ports.first, ports.last);
    if (ports.first < set_.range_first || ports.last > set_.range_last) {
      return Because(why_, "element is out of the set's range");
    }
    ports.protocol = 0;
    room_ = std::max<size_t>(room_, 65536);
  } else if (!ReadPorts(set_.family, text, &ports, why_)) {
    return false;
  }
  std::vector<uint16_t> values;
  for (uint32_t p = ports.first; p <= ports.last; ++p) {
    values.push_back(static_cast<uint16_t>(p));
  }
  return Multiply(values, [&](uint16_t p, IpSetElement* e) {
    e->protocol = ports.protocol;
    e->port = p;
  });
}

bool ElementReader::Interface(absl::string_view text) {
  const bool physdev = absl::StartsWith(text, "physdev:");
  if (physdev) text.remove_prefix(8);
  if (text.empty() || text.size() > 15) {
    return Because(why_, "bad interface name");
  }
  for (IpSetElement& e : out_) {
    e.interface = std::string(text);
    e.physdev = physdev;
  }
  return true;
}

bool ElementReader::Mac(absl::string_view text) {
  uint8_t mac[6];
  if (!ReadMac(text, mac)) {
    return Because(why_, absl::StrCat("bad MAC address `", text, "'"));
  }
  for (IpSetElement& e : out_) {
    e.mac.emplace();
    std::copy(mac, mac + 6, e.mac->begin());
  }
  return true;
}

bool ElementReader::Mark(absl::string_view text) {
  uint64_t mark;
  if (!ReadNumber(text, 0, 0, 0xffffffff, &mark)) {
    return Because(why_, absl::StrCat("bad mark `", text, "'"));
  }
  for (IpSetElement& e : out_) {
    e.mark = static_cast<uint32_t>(mark) & set_.mark_mask;
  }
  return true;
}

bool ElementReader::Read(absl::string_view text, const IpSetElement& prototype,
                         std::vector<IpSetElement>* out) {
  out_ = {prototype};
  const std::vector<IpSetDimension> dimensions = IpSetDimensions(set_.type);
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ',');
  const bool optional_mac = set_.type == "bitmap:ip,mac";
  if (parts.size() != dimensions.size() &&
      !(optional_mac && parts.size() == 1)) {
    return Because(why_,
                   absl::StrCat("`", text, "' has ", parts.size(), " parts, ",
                                set_.type, " has ", dimensions.size()));
  }
  int address = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    bool ok = false;
    switch (dimensions[i]) {
      case IpSetDimension::kIp:
        ok = Ip(parts[i], address++);
        break;
      case IpSetDimension::kNet:
        ok = NetPart(parts[i], address++);
        break;
      case IpSetDimension::kPort:
      case IpSetDimension::kPlainPort:
        ok = Port(parts[i]);
        break;
      case IpSetDimension::kMark:
        ok = Mark(parts[i]);
        break;
      case IpSetDimension::kInterface:
        ok = Interface(parts[i]);
        break;
      case IpSetDimension::kMac:
        ok = Mac(parts[i]);
        break;
      case IpSetDimension::kSet:
        out_[0].set = std::string(parts[i]);
        ok = true;
        break;
    }
    if (!ok) return false;
  }
  *out = std::move(out_);
  return true;
}

}  // namespace

bool ReadIpv4Range(absl::string_view text, uint32_t* first, uint32_t* last) {
  const size_t dash = text.find('-');
  if (dash != absl::string_view::npos) {
    const auto a = ReadAddress(IpFamily::kIpv4, text.substr(0, dash));
    const auto b = ReadAddress(IpFamily::kIpv4, text.substr(dash + 1));
    if (!a || !b) return false;
    *first = std::min(a->v4(), b->v4());
    *last = std::max(a->v4(), b->v4());
    return true;
  }
  const size_t slash = text.find('/');
  const auto a = ReadAddress(IpFamily::kIpv4, text.substr(0, slash));
  uint64_t length = 32;
  if (!a || (slash != absl::string_view::npos &&
             !ReadNumber(text.substr(slash + 1), 0, 1, 32, &length))) {
    return false;
  }
  *first = Masked(*a, static_cast<int>(length)).v4();
  *last = *first | static_cast<uint32_t>((uint64_t{1} << (32 - length)) - 1);
  return true;
}

bool ReadSetPortRange(absl::string_view text, uint16_t* first, uint16_t* last,
                      std::string* why) {
  Ports ports;
  if (!ReadPorts(IpFamily::kIpv4, text, &ports, why)) return false;
  if (ports.protocol != 6 && ports.protocol != 17) {
    return Because(why, "tcp or udp is needed");
  }
  *first = ports.first;
  *last = ports.last;
  return true;
}

bool ReadSkbOption(absl::string_view name, absl::string_view value,
                   std::string* skb) {
  std::string text;
  if (name == "skbmark") {
    uint32_t mark;
    uint32_t mask;
    // ipset 7.17 refuses a mark without mask, but prints one.
    if (value.find('/') == absl::string_view::npos &&
        !absl::StartsWith(value, "0x")) {
      return false;
    }
    if (!ReadMarkMask(value, &mark, &mask)) return false;
    text = "skbmark ";
    AppendMarkMask(mark, mask, &text);
    if (mark == 0 && mask == 0) return true;
  } else if (name == "skbprio") {
    const size_t colon = value.find(':');
    uint64_t major;
    uint64_t minor;
    if (colon == absl::string_view::npos ||
        !ReadNumber(value.substr(0, colon), 16, 0, 0xffff, &major) ||
        !ReadNumber(value.substr(colon + 1), 16, 0, 0xffff, &minor)) {
      return false;
    }
    if (major == 0 && minor == 0) return true;
    text = absl::StrFormat("skbprio %x:%x", major, minor);
  } else {
    uint64_t queue;
    if (!ReadNumber(value, 0, 0, 0xffff, &queue)) return false;
    if (queue == 0) return true;
    text = absl::StrCat("skbqueue ", queue);
  }
  if (name == "skbmark") {
    *skb = skb->empty() ? text : absl::StrCat(text, " ", *skb);
  } else {
    absl::StrAppend(skb, skb->empty() ? "" : " ", text);
  }
  return true;
}

bool ReadSetElements(const IpSet& set, absl::string_view text,
                     const IpSetElement& prototype, size_t room,
                     std::vector<IpSetElement>* out, std::string* why) {
  return ElementReader(set, room, why).Read(text, prototype, out);
}

}  // namespace k8sdns::netfilter
