#include "k8sdns/dataplane/ip_sets.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/ops.h"

namespace k8sdns::dataplane {
namespace {

constexpr int64_t kSecond = 1'000'000;

IpAddress Mask(const IpAddress& address, int length) {
  return IpPrefix(address, length).Masked().address();
}

IpAddress MaskBits(const IpAddress& address, const IpAddress& mask) {
  uint32_t words[4];
  uint32_t bits[4];
  netfilter::StoreAddress(address, words);
  netfilter::StoreAddress(mask, bits);
  for (int i = 0; i < 4; ++i) words[i] &= bits[i];
  return netfilter::LoadAddress(address.family(), words);
}

bool SourceAt(const SetQuery& query, int dimension) {
  return query.sources >> dimension & 1;
}

// The port of a packet as hash types see it; ICMP has type and code. nullopt
// for what a type does not take.
std::optional<uint16_t> PortOf(const Packet& p, bool source, bool plain) {
  if (plain) {
    if (p.protocol != Protocol::kTcp && p.protocol != Protocol::kUdp) {
      return std::nullopt;
    }
    return source ? p.src_port : p.dst_port;
  }
  switch (p.protocol) {
    case Protocol::kTcp:
    case Protocol::kUdp:
    case Protocol::kUdpLite:
    case Protocol::kSctp:
      return source ? p.src_port : p.dst_port;
    case Protocol::kIcmp:
    case Protocol::kIcmpv6:
      return static_cast<uint16_t>(p.icmp_type << 8 | p.icmp_code);
    default:
      return 0;
  }
}

// What the set compares; nullopt if the packet has no such thing.
std::optional<SetElement> ElementOf(const IpSet& set, const SetQuery& query) {
  SetElement e;
  int address = 0;
  for (size_t i = 0; i < set.dimensions.size(); ++i) {
    const Packet& p = query.packet->header;
    const bool source = SourceAt(query, static_cast<int>(i));
    switch (set.dimensions[i]) {
      case SetDimension::kIp:
      case SetDimension::kNet: {
        IpAddress ip = source ? p.src : p.dst;
        if (set.dimensions[i] == SetDimension::kIp && set.netmask != 0) {
          ip = Mask(ip, set.netmask);
        }
        if (set.bitmask) ip = MaskBits(ip, *set.bitmask);
        if (ip.IsUnspecified() && set.dimensions[i] == SetDimension::kIp &&
            set.dimensions.size() == 1) {
          return std::nullopt;
        }
        e.addresses[address] = ip;
        e.prefix_lengths[address] = static_cast<uint8_t>(ip.bits());
        ++address;
        break;
      }
      case SetDimension::kPort:
      case SetDimension::kPlainPort: {
        const bool plain = set.dimensions[i] == SetDimension::kPlainPort;
        const std::optional<uint16_t> port = PortOf(p, source, plain);
        if (!port) return std::nullopt;
        e.port = *port;
        if (!plain) e.protocol = static_cast<uint8_t>(p.protocol);
        break;
      }
      case SetDimension::kMark:
        e.mark = query.mark & set.mark_mask;
        break;
      case SetDimension::kInterface: {
        const absl::string_view name =
            source ? query.in_interface : query.out_interface;
        if (name.empty()) return std::nullopt;
        e.interface = std::string(name);
        break;
      }
      case SetDimension::kMac:
        return std::nullopt;  // packets here have no link layer header
    }
  }
  return e;
}

// The same for most sets: of IPv4 addresses and ports, all of which are
// compared as they are. False: ask ElementOf().
bool PlainKeyOf(const IpSet& set, const SetQuery& query,
                SetElements::PlainKey& key) {
  if (set.netmask != 0 || set.bitmask) return false;
  const Packet& p = query.packet->header;
  for (size_t i = 0; i < set.dimensions.size(); ++i) {
    const bool source = SourceAt(query, static_cast<int>(i));
    if (set.dimensions[i] == SetDimension::kIp) {
      const IpAddress& ip = source ? p.src : p.dst;
      if (ip.is_v6() || ip.IsUnspecified()) return false;
      key.AddAddress(ip);
    } else if (set.dimensions[i] == SetDimension::kPort) {
      const std::optional<uint16_t> port = PortOf(p, source, /*plain=*/false);
      if (!port) return false;
      key.SetPort(*port);
      key.SetProtocol(static_cast<uint8_t>(p.protocol));
    } else {
      return false;
    }
  }
  return true;
}

// Whether such a set has what the packet says. nullopt: not such a set.
std::optional<bool> IsPlainlyIn(const IpSet& set, const SetQuery& query) {
  SetElements::PlainKey key;
  if (!PlainKeyOf(set, query, key)) return std::nullopt;
  const std::optional<SetElementOptions> found = set.elements.Find(key);
  return found && !found->nomatch &&
         (found->expires_us == 0 || found->expires_us > query.now_us);
}

bool HasNets(const IpSet& set) {
  return std::find(set.dimensions.begin(), set.dimensions.end(),
                   SetDimension::kNet) != set.dimensions.end();
}

// Which of the (up to two) addresses are networks.
std::array<bool, 2> NetPositions(const IpSet& set) {
  std::array<bool, 2> nets = {false, false};
  int address = 0;
  for (SetDimension d : set.dimensions) {
    if (d == SetDimension::kNet) nets[address] = true;
    if (d == SetDimension::kNet || d == SetDimension::kIp) ++address;
  }
  return nets;
}

}  // namespace

void IpSet::Add(const SetElement& element, const SetElementOptions& options) {
  if (!elements.Put(element, options)) return;
  const std::array<bool, 2> nets = NetPositions(*this);
  for (int i = 0; i < 2; ++i) {
    if (nets[i]) ++prefix_counts[i][element.prefix_lengths[i]];
  }
}

bool IpSet::Remove(const SetElement& element) {
  if (!elements.Erase(element)) return false;
  const std::array<bool, 2> nets = NetPositions(*this);
  for (int i = 0; i < 2; ++i) {
    if (!nets[i]) continue;
    auto it = prefix_counts[i].find(element.prefix_lengths[i]);
    if (--it->second == 0) prefix_counts[i].erase(it);
  }
  return true;
}

std::optional<std::vector<SetDimension>> ParseSetType(absl::string_view type) {
  if (type == "list:set") return std::vector<SetDimension>();
  if (type == "bitmap:port") {
    return std::vector<SetDimension>{SetDimension::kPlainPort};
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(type, ':');
  if (parts.size() != 2 || (parts[0] != "hash" && parts[0] != "bitmap")) {
    return std::nullopt;
  }
  std::vector<SetDimension> dimensions;
  for (absl::string_view name : absl::StrSplit(parts[1], ',')) {
    if (name == "ip") {
      dimensions.push_back(SetDimension::kIp);
    } else if (name == "net") {
      dimensions.push_back(SetDimension::kNet);
    } else if (name == "port") {
      dimensions.push_back(SetDimension::kPort);
    } else if (name == "mark") {
      dimensions.push_back(SetDimension::kMark);
    } else if (name == "iface") {
      dimensions.push_back(SetDimension::kInterface);
    } else if (name == "mac") {
      dimensions.push_back(SetDimension::kMac);
    } else {
      return std::nullopt;
    }
  }
  return dimensions;
}

IpSet& IpSets::Create(absl::string_view name) {
  return sets_[std::string(name)];
}
const IpSet* IpSets::Find(absl::string_view name) const {
  auto it = sets_.find(name);
  return it == sets_.end() ? nullptr : &it->second;
}
IpSet* IpSets::Find(absl::string_view name) {
  auto it = sets_.find(name);
  return it == sets_.end() ? nullptr : &it->second;
}

std::optional<bool> IpSets::MatchesPlainly(absl::string_view name, size_t hash,
                                           const SetQuery& query) const {
  const auto it = sets_.find(name, hash);
  if (it == sets_.end()) return false;
  const IpSet& set = it->second;
  if (set.family && *set.family != query.family) return false;
  if (set.is_list) return std::nullopt;
  if (query.dimensions < set.dimensions.size()) return false;
  if (set.elements.empty()) return false;
  return IsPlainlyIn(set, query);
}

bool IpSets::Matches(absl::string_view name, const SetQuery& query) const {
  const IpSet* set = Find(name);
  if (set == nullptr) return false;
  if (set->family && *set->family != query.family) return false;
  if (set->is_list) {
    if (query.dimensions < 1) return false;
    for (const std::string& member : set->members) {
      if (Matches(member, query)) return true;
    }
    return false;
  }
  if (query.dimensions < set->dimensions.size()) return false;
  if (set->elements.empty()) return false;
  if (const auto plain = IsPlainlyIn(*set, query)) return *plain;
  // 1: there; -1: there, with nomatch.
  const auto result = [&](const std::optional<SetElementOptions>& found) {
    if (!found) return 0;
    if (found->expires_us != 0 && found->expires_us <= query.now_us) return 0;
    return found->nomatch ? -1 : 1;
  };
  std::optional<SetElement> element = ElementOf(*set, query);
  if (!element) return false;
  const auto test_exactly = [&](const SetElement& e) {
    return result(set->elements.Find(e));
  };
  auto test = [&](const SetElement& e) {
    int result = test_exactly(e);
    if (!set->has_wildcards) return result;
    SetElement prefix = e;
    for (size_t n = e.interface.size(); result == 0 && n > 0; --n) {
      prefix.interface = e.interface.substr(0, n) + "*";
      result = test_exactly(prefix);
    }
    return result;
  };
  int found = 0;
  if (!HasNets(*set)) {
    found = test(*element);
  } else {
    // The most specific networks decide, the first dimension's first.
    static const std::map<int, int, std::greater<>> kNone = {{-1, 1}};
    const std::array<bool, 2> nets = NetPositions(*set);
    const SetElement whole = *element;
    const auto& outer = nets[0] ? set->prefix_counts[0] : kNone;
    const auto& inner = nets[1] ? set->prefix_counts[1] : kNone;
    for (auto o = outer.begin(); o != outer.end() && found == 0; ++o) {
      for (auto i = inner.begin(); i != inner.end() && found == 0; ++i) {
        *element = whole;
        for (auto [position, length] :
             {std::pair<int, int>{0, o->first}, {1, i->first}}) {
          if (length < 0) continue;
          element->addresses[position] =
              Mask(whole.addresses[position], length);
          element->prefix_lengths[position] = static_cast<uint8_t>(length);
        }
        found = test(*element);
      }
    }
    if (query.return_nomatch) found = -found;
  }
  return found > 0;
}

bool IpSets::Add(absl::string_view name, const SetQuery& query,
                 std::optional<uint32_t> timeout_s, bool exist) {
  IpSet* set = Find(name);
  if (set == nullptr) return false;
  if (set->family && *set->family != query.family) return false;
  if (set->is_list) {
    // Into the first member that takes it.
    for (const std::string& member : set->members) {
      if (Add(member, query, timeout_s, exist)) return true;
    }
    return false;
  }
  if (query.dimensions < set->dimensions.size()) return false;
  std::optional<SetElement> element = ElementOf(*set, query);
  if (!element) return false;
  // Networks get the longest prefix length that the set has.
  const std::array<bool, 2> nets = NetPositions(*set);
  for (int i = 0; i < 2; ++i) {
    if (!nets[i] || set->prefix_counts[i].empty()) continue;
    const int length = set->prefix_counts[i].begin()->first;
    element->addresses[i] = Mask(element->addresses[i], length);
    element->prefix_lengths[i] = static_cast<uint8_t>(length);
  }
  const auto found = set->elements.Find(*element);
  const bool there =
      found && (found->expires_us == 0 || found->expires_us > query.now_us);
  if (there && !exist) return false;
  if (!there && set->elements.size() >= set->max_elements) return false;
  SetElementOptions options;
  const uint32_t seconds = timeout_s.value_or(set->timeout_s);
  if (seconds != 0) options.expires_us = query.now_us + seconds * kSecond;
  set->Add(*element, options);
  return true;
}

bool IpSets::Remove(absl::string_view name, const SetQuery& query) {
  IpSet* set = Find(name);
  if (set == nullptr) return false;
  if (set->family && *set->family != query.family) return false;
  if (set->is_list) {
    for (const std::string& member : set->members) {
      if (Remove(member, query)) return true;
    }
    return false;
  }
  if (query.dimensions < set->dimensions.size()) return false;
  std::optional<SetElement> element = ElementOf(*set, query);
  if (!element) return false;
  const std::array<bool, 2> nets = NetPositions(*set);
  for (int i = 0; i < 2; ++i) {
    if (!nets[i] || set->prefix_counts[i].empty()) continue;
    const int length = set->prefix_counts[i].begin()->first;
    element->addresses[i] = Mask(element->addresses[i], length);
    element->prefix_lengths[i] = static_cast<uint8_t>(length);
  }
  return set->Remove(*element);
}

absl::StatusOr<IpSets> LoadSets(const netfilter::IpSets& sets, int64_t now_us) {
  IpSets out;
  for (const netfilter::IpSet& from : sets.sets) {
    auto dimensions = ParseSetType(from.type);
    if (!dimensions) {
      return absl::UnimplementedError(absl::StrCat("set type ", from.type));
    }
    IpSet& to = out.Create(from.name);
    to.dimensions = *std::move(dimensions);
    to.is_list = from.is_list();
    if (!from.is_list() && from.type != "bitmap:port") to.family = from.family;
    to.netmask = from.netmask;
    to.bitmask = from.bitmask;
    to.mark_mask = from.mark_mask;
    to.timeout_s = from.timeout_s.value_or(0);
    if (from.is_hash()) to.max_elements = from.max_elements;
    if (from.family == IpFamily::kIpv4)
      to.elements.Reserve(from.elements.size());
    for (const netfilter::IpSetElement& element : from.elements) {
      if (from.is_list()) {
        to.members.push_back(element.set);
        continue;
      }
      if (element.physdev) continue;
      SetElement e;
      e.addresses = element.addresses;
      e.prefix_lengths = element.prefix_lengths;
      if (from.type != "bitmap:port") e.protocol = element.protocol;
      e.port = element.port;
      e.mark = element.mark;
      e.interface = element.interface;
      if (element.wildcard) {
        e.interface += "*";
        to.has_wildcards = true;
      }
      if (element.mac) e.mac = *element.mac;
      SetElementOptions options;
      options.nomatch = element.nomatch;
      const uint32_t seconds = element.timeout_s.value_or(to.timeout_s);
      if (seconds != 0) options.expires_us = now_us + seconds * kSecond;
      to.Add(e, options);
    }
  }
  return out;
}

}  // namespace k8sdns::dataplane
