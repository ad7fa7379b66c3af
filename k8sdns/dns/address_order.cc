#include "k8sdns/dns/address_order.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace k8sdns::dns {
namespace {

struct Policy {
  const char* prefix;
  int length;
  int precedence;
  int label;
};

// RFC 6724 2.1, as in Go 1.22 src/net/addrselect.go.
constexpr std::array<Policy, 9> kGoPolicy = {{
    {"::1", 128, 50, 0},
    {"::ffff:0:0", 96, 35, 4},
    {"::", 96, 1, 3},
    {"2001::", 32, 5, 5},
    {"2002::", 16, 30, 2},
    {"3ffe::", 16, 1, 12},
    {"fec0::", 10, 1, 11},
    {"fc00::", 7, 3, 13},
    {"::", 0, 40, 1},
}};
// musl src/network/lookup_name.c leaves the deprecated prefixes out.
constexpr std::array<Policy, 6> kMuslPolicy = {{
    {"::1", 128, 50, 0},
    {"::ffff:0:0", 96, 35, 4},
    {"2002::", 16, 30, 2},
    {"2001::", 32, 5, 5},
    {"fc00::", 7, 3, 13},
    {"::", 0, 40, 1},
}};
// glibc 2.36 without gai.conf: RFC 3484's precedences and its own labels.
constexpr std::array<Policy, 8> kGlibcLabels = {{
    {"::1", 128, 0, 0},
    {"2002::", 16, 0, 2},
    {"::ffff:0:0", 96, 0, 4},
    {"::", 96, 0, 3},
    {"fec0::", 10, 0, 5},
    {"fc00::", 7, 0, 6},
    {"2001::", 32, 0, 7},
    {"::", 0, 0, 1},
}};
constexpr std::array<Policy, 5> kGlibcPrecedences = {{
    {"::1", 128, 50, 0},
    {"2002::", 16, 30, 0},
    {"::ffff:0:0", 96, 10, 0},
    {"::", 96, 20, 0},
    {"::", 0, 40, 0},
}};

IpAddress ToV6(const IpAddress& a) {
  if (a.is_v6()) return a;
  std::array<uint8_t, 16> bytes = {};
  bytes[10] = bytes[11] = 0xff;
  std::copy_n(a.bytes().begin(), 4, bytes.begin() + 12);
  return IpAddress::V6(bytes);
}

template <size_t N>
const Policy& Match(const std::array<Policy, N>& table, const IpAddress& a) {
  const IpAddress v6 = ToV6(a);
  for (const Policy& p : table) {
    if (IpPrefix(*IpAddress::Parse(p.prefix), p.length).Contains(v6)) return p;
  }
  return table.back();
}

int Scope(const IpAddress& a, Library library) {
  if (a.is_v4()) {
    // musl asks about the IPv4-mapped address, which has global scope always.
    if (IsMusl(library)) return 14;
    return a.IsLoopback() || a.IsLinkLocal() ? 2 : 14;
  }
  const auto& b = a.bytes();
  if (a.IsMulticast()) return b[1] & 0x0f;
  if (a.IsLinkLocal() || a.IsLoopback()) return 2;
  // Go tests 0xc0 without masking what it must not have set; for addresses
  // that start with fe the result is the same.
  if (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0) return 5;
  return 14;
}

int CommonBits(const IpAddress& a, const IpAddress& b, int limit) {
  int n = 0;
  while (n < limit && a.bit(n) == b.bit(n)) ++n;
  return n;
}

struct Candidate {
  IpAddress address;
  std::optional<SourceAddress> source;
  int scope = 0;
  bool matching_scope = false;
  bool matching_label = false;
  int precedence = 0;
};

Candidate Describe(const ResolverHost& host, Library library,
                   const IpAddress& address) {
  Candidate c;
  c.address = address;
  c.source = ChooseSource(host, address);
  c.scope = Scope(address, library);
  const auto label = [&](const IpAddress& a) {
    if (library == Library::kGlibc2_36) return Match(kGlibcLabels, a).label;
    if (library == Library::kGo1_22) return Match(kGoPolicy, a).label;
    return Match(kMuslPolicy, a).label;
  };
  if (library == Library::kGlibc2_36) {
    c.precedence = Match(kGlibcPrecedences, address).precedence;
  } else if (library == Library::kGo1_22) {
    c.precedence = Match(kGoPolicy, address).precedence;
  } else {
    c.precedence = Match(kMuslPolicy, address).precedence;
  }
  if (c.source.has_value()) {
    c.matching_scope = Scope(c.source->address, library) == c.scope;
    c.matching_label = label(c.source->address) == label(address);
  }
  return c;
}

// Rule 9 of each library: how many leading bits source and destination share.
int SharedPrefix(const Candidate& c, Library library) {
  if (!c.source.has_value()) return 0;
  const IpAddress& source = c.source->address;
  if (IsMusl(library)) return CommonBits(ToV6(source), ToV6(c.address), 128);
  if (library == Library::kGo1_22) {
    return c.address.is_v4() ? 0 : CommonBits(source, c.address, 64);
  }
  if (c.address.is_v6()) return CommonBits(source, c.address, 128);
  const int common = CommonBits(source, c.address, 32);
  return common >= c.source->prefix_length ? common : 0;
}

// Whether `a` must come before `b`.
bool Before(const Candidate& a, const Candidate& b, Library library) {
  if (a.source.has_value() != b.source.has_value()) return a.source.has_value();
  if (!a.source.has_value() && library == Library::kGo1_22) return false;
  if (a.matching_scope != b.matching_scope) return a.matching_scope;
  if (a.matching_label != b.matching_label) return a.matching_label;
  if (a.precedence != b.precedence) return a.precedence > b.precedence;
  if (a.scope != b.scope) return a.scope < b.scope;
  if (!IsMusl(library) && a.address.family() != b.address.family()) {
    return false;
  }
  return SharedPrefix(a, library) > SharedPrefix(b, library);
}

}  // namespace

std::optional<SourceAddress> ChooseSource(const ResolverHost& host,
                                          const IpAddress& destination,
                                          bool scoped) {
  if (destination.IsLoopback()) {
    return SourceAddress{
        destination.is_v4() ? IpAddress::V4(0x7f000001) : destination,
        destination.is_v4() ? 8 : 128};
  }
  if (destination.is_v6() && destination.IsLinkLocal() && !scoped) {
    return std::nullopt;
  }
  const HostAddress* on_link = nullptr;
  const HostAddress* first = nullptr;
  for (const HostAddress& a : host.addresses) {
    if (a.address.family() != destination.family()) continue;
    if (a.address == destination) {
      return SourceAddress{a.address, a.prefix_length};
    }
    if (IpPrefix(a.address, a.prefix_length).Contains(destination) &&
        (on_link == nullptr || a.prefix_length > on_link->prefix_length)) {
      on_link = &a;
    }
    if (first == nullptr && !a.address.IsLinkLocal()) first = &a;
  }
  if (on_link != nullptr) {
    return SourceAddress{on_link->address, on_link->prefix_length};
  }
  const bool routed =
      destination.is_v4() ? host.default_route_v4 : host.default_route_v6;
  if (!routed) return std::nullopt;
  if (first != nullptr) {
    return SourceAddress{first->address, first->prefix_length};
  }
  // A route without a known source: any address of the family will do.
  return destination.is_v4() ? SourceAddress{IpAddress::V4(0x0a000001), 32}
                             : SourceAddress{*IpAddress::Parse("2000::1"), 128};
}

void SortAddresses(const ResolverHost& host, Library library,
                   std::vector<IpAddress>& addresses) {
  if (addresses.size() < 2) return;
  if (IsMusl(library) &&
      std::all_of(addresses.begin(), addresses.end(),
                  [](const IpAddress& a) { return a.is_v4(); })) {
    return;
  }
  std::vector<Candidate> candidates;
  candidates.reserve(addresses.size());
  for (const IpAddress& a : addresses) {
    candidates.push_back(Describe(host, library, a));
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const Candidate& a, const Candidate& b) {
                     return Before(a, b, library);
                   });
  for (size_t i = 0; i < addresses.size(); ++i) {
    addresses[i] = candidates[i].address;
  }
}

}  // namespace k8sdns::dns
