#include "k8sdns/netfilter/icmp_names.h"

#include <span>

#include "absl/strings/match.h"

namespace k8sdns::netfilter {
namespace {

struct Name {
  absl::string_view name;
  uint16_t type_and_code;
};

// The first of a value is printed.
constexpr Name kNames[] = {
    {"echo-reply", 0},
    {"pong", 0},
    {"network-unreachable", 768},
    {"host-unreachable", 769},
    {"protocol-unreachable", 770},
    {"port-unreachable", 771},
    {"fragmentation-needed", 772},
    {"source-route-failed", 773},
    {"network-unknown", 774},
    {"host-unknown", 775},
    {"network-prohibited", 777},
    {"host-prohibited", 778},
    {"TOS-network-unreachable", 779},
    {"TOS-host-unreachable", 780},
    {"communication-prohibited", 781},
    {"host-precedence-violation", 782},
    {"precedence-cutoff", 783},
    {"source-quench", 1024},
    {"network-redirect", 1280},
    {"host-redirect", 1281},
    {"TOS-network-redirect", 1282},
    {"TOS-host-redirect", 1283},
    {"echo-request", 2048},
    {"ping", 2048},
    {"router-advertisement", 2304},
    {"router-solicitation", 2560},
    {"ttl-zero-during-transit", 2816},
    {"ttl-zero-during-reassembly", 2817},
    {"ip-header-bad", 3072},
    {"required-option-missing", 3073},
    {"timestamp-request", 3328},
    {"timestamp-reply", 3584},
    {"address-mask-request", 4352},
    {"address-mask-reply", 4608},
};
constexpr Name kNames6[] = {
    {"no-route", 256},
    {"communication-prohibited", 257},
    {"address-unreachable", 259},
    {"port-unreachable", 260},
    {"packet-too-big", 512},
    {"ttl-zero-during-transit", 768},
    {"ttl-zero-during-reassembly", 769},
    {"bad-header", 1024},
    {"unknown-header-type", 1025},
    {"unknown-option", 1026},
    {"echo-request", 32768},
    {"ping", 32768},
    {"echo-reply", 33024},
    {"pong", 33024},
    {"mld-listener-query", 33280},
    {"mld-listener-report", 33536},
    {"mld-listener-done", 33792},
    {"mld-listener-reduction", 33792},
    {"router-solicitation", 34048},
    {"router-advertisement", 34304},
    {"neighbour-solicitation", 34560},
    {"neighbor-solicitation", 34560},
    {"neighbour-advertisement", 34816},
    {"neighbor-advertisement", 34816},
    {"redirect", 35072},
};

std::span<const Name> Names(IpFamily family) {
  if (family == IpFamily::kIpv4) return kNames;
  return kNames6;
}

}  // namespace

std::optional<uint16_t> FindIcmpName(IpFamily family, absl::string_view name) {
  for (const Name& n : Names(family)) {
    if (absl::EqualsIgnoreCase(n.name, name)) return n.type_and_code;
  }
  return std::nullopt;
}

absl::string_view IcmpName(IpFamily family, uint16_t type_and_code) {
  for (const Name& n : Names(family)) {
    if (n.type_and_code == type_and_code) return n.name;
  }
  return "";
}

}  // namespace k8sdns::netfilter
