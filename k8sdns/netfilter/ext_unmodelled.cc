// The matches and targets of iptables 1.8.9 that are not modelled: they are
// kept as written, print back, and evaluate to Unknown.
#include <algorithm>
#include <iterator>

#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

constexpr UnmodelledName kMatches[] = {
    {"ah", kBoth},        {"bpf", kBoth},       {"cgroup", kBoth},
    {"cluster", kBoth},   {"connbytes", kBoth}, {"connlabel", kBoth},
    {"connlimit", kBoth}, {"cpu", kBoth},       {"devgroup", kBoth},
    {"dst", kV6},         {"ecn", kBoth},       {"esp", kBoth},
    {"eui64", kV6},       {"frag", kV6},        {"hbh", kV6},
    {"helper", kBoth},    {"ipcomp", kBoth},    {"ipv6header", kV6},
    {"mh", kV6},          {"osf", kBoth},       {"policy", kBoth},
    {"quota", kBoth},     {"rateest", kBoth},   {"realm", kV4},
    {"rt", kV6},          {"socket", kBoth},    {"srh", kV6},
    {"string", kBoth},    {"tcpmss", kBoth},    {"time", kBoth},
};
constexpr UnmodelledName kTargets[] = {
    {"AUDIT", kBoth},       {"CHECKSUM", kBoth},    {"CLUSTERIP", kV4},
    {"CONNSECMARK", kBoth}, {"DNPT", kV6},          {"ECN", kV4},
    {"HMARK", kBoth},       {"IDLETIMER", kBoth},   {"LED", kBoth},
    {"RATEEST", kBoth},     {"SECMARK", kBoth},     {"SNPT", kV6},
    {"SYNPROXY", kBoth},    {"TCPOPTSTRIP", kBoth}, {"TEE", kBoth},
    {"TPROXY", kBoth},      {"ULOG", kV4},
};

bool Has(std::span<const UnmodelledName> names, absl::string_view name,
         IpFamily family) {
  const uint8_t bit = family == IpFamily::kIpv4 ? kV4 : kV6;
  return std::any_of(names.begin(), names.end(), [&](const UnmodelledName& n) {
    return n.name == name && (n.families & bit) != 0;
  });
}

}  // namespace

std::span<const UnmodelledName> UnmodelledMatches() { return kMatches; }
std::span<const UnmodelledName> UnmodelledTargets() { return kTargets; }

bool IsUnmodelledMatch(absl::string_view name, IpFamily family) {
  return Has(kMatches, name, family);
}
bool IsUnmodelledTarget(absl::string_view name, IpFamily family) {
  return Has(kTargets, name, family);
}

}  // namespace k8sdns::netfilter
