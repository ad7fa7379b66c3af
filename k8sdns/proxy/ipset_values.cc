#include "k8sdns/proxy/ipset_values.h"

#include <utility>

namespace k8sdns::proxy {
namespace {

using netfilter::IpSet;
using netfilter::IpSetElement;

const char* TypeName(KubeSetType type) {
  switch (type) {
    case KubeSetType::kHashIp:
      return "hash:ip";
    case KubeSetType::kHashIpPort:
      return "hash:ip,port";
    case KubeSetType::kHashIpPortIp:
      return "hash:ip,port,ip";
    case KubeSetType::kHashIpPortNet:
      return "hash:ip,port,net";
    case KubeSetType::kBitmapPort:
      return "bitmap:port";
  }
  return "";
}

IpSetElement ToElement(KubeSetType type, const KubeSetMember& member) {
  IpSetElement e;
  e.port = member.port;
  if (type == KubeSetType::kBitmapPort) return e;
  e.addresses[0] = member.ip;
  e.prefix_lengths[0] = static_cast<uint8_t>(member.ip.bits());
  if (type == KubeSetType::kHashIp) return e;
  e.protocol = static_cast<uint8_t>(member.protocol);
  if (type == KubeSetType::kHashIpPort) return e;
  e.addresses[1] = member.net.address();
  e.prefix_lengths[1] = static_cast<uint8_t>(member.net.length());
  return e;
}

}  // namespace

netfilter::IpSets ToIpSets(const std::vector<KubeSetContents>& sets) {
  netfilter::IpSets out;
  for (const KubeSetContents& from : sets) {
    IpSet to;
    to.name = from.name;
    to.type = TypeName(from.type);
    to.family = from.family;
    to.max_elements = kMaxSetMembers;
    if (from.type == KubeSetType::kBitmapPort) to.range_last = 65535;
    to.elements.reserve(from.members.size());
    for (const KubeSetMember& member : from.members) {
      to.elements.push_back(ToElement(from.type, member));
    }
    out.sets.push_back(std::move(to));
  }
  return out;
}

}  // namespace k8sdns::proxy
