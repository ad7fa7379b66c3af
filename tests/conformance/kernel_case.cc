#include "tests/conformance/kernel_case.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::conformance {
namespace {

using dataplane::Arrival;
using dataplane::NodePacket;

constexpr int kDefaultPayload = 13;
constexpr uint32_t kFirstSequence = 1000;
constexpr uint32_t kSequenceStep = 16;
// Far from the sender's: an acknowledgement of 0 does not fit.
constexpr uint32_t kReceiverSequence = 3'000'000'000;

struct FlagName {
  absl::string_view name;
  uint8_t flag;
};
constexpr FlagName kFlags[] = {
    {"fin", kTcpFin}, {"syn", kTcpSyn}, {"rst", kTcpRst}, {"psh", kTcpPsh},
    {"ack", kTcpAck}, {"urg", kTcpUrg}, {"ece", kTcpEce}, {"cwr", kTcpCwr}};

uint8_t ParseFlags(absl::string_view text) {
  uint8_t flags = 0;
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    for (const FlagName& f : kFlags) {
      if (f.name == word) flags |= f.flag;
    }
  }
  return flags;
}

Protocol ParseProtocol(absl::string_view text) {
  for (Protocol p : {Protocol::kIcmp, Protocol::kTcp, Protocol::kUdp,
                     Protocol::kDccp, Protocol::kGre, Protocol::kEsp,
                     Protocol::kAh, Protocol::kSctp, Protocol::kUdpLite}) {
    if (ProtocolName(p) == text) return p;
  }
  if (text == "icmpv6") return Protocol::kIcmpv6;
  int number = 0;
  if (absl::SimpleAtoi(text, &number)) return static_cast<Protocol>(number);
  return Protocol::kAny;
}

IpAddress ReadAddress(const YamlValue& value) {
  return IpAddress::Parse(value.str()).value_or(IpAddress());
}

dataplane::Route ReadRoute(const YamlValue& value, IpFamily family) {
  dataplane::Route route;
  const std::string& dst = value["dst"].str();
  if (dst == "default") {
    route.prefix =
        *IpPrefix::Parse(family == IpFamily::kIpv4 ? "0.0.0.0/0" : "::/0");
  } else if (auto prefix = IpPrefix::Parse(dst)) {
    route.prefix = *prefix;
  } else if (auto address = IpAddress::Parse(dst)) {
    route.prefix = IpPrefix::Host(*address);
  }
  if (value.Has("via")) route.gateway = ReadAddress(value["via"]);
  if (value.Has("src")) route.preferred_source = ReadAddress(value["src"]);
  route.device = value["dev"].str();
  route.table =
      static_cast<uint32_t>(value["table"].AsInt(dataplane::kTableMain));
  route.metric = static_cast<uint32_t>(value["metric"].AsInt(0));
  if (auto type = dataplane::ParseRouteType(value["type"].str())) {
    route.type = *type;
  }
  return route;
}

absl::StatusOr<dataplane::NodeConfig> ReadTopology(const YamlValue& topology,
                                                   IpFamily family) {
  dataplane::NodeConfig node;
  for (const YamlValue& item : topology["interfaces"].items()) {
    dataplane::Interface interface;
    interface.name = item["name"].str();
    interface.up = item["up"].AsBool(true);
    for (const YamlValue& address : item["addresses"].items()) {
      if (auto prefix = IpPrefix::Parse(address.str())) {
        interface.addresses.push_back(*prefix);
      }
    }
    node.interfaces.push_back(std::move(interface));
  }
  for (const YamlValue& item : topology["routes"].items()) {
    node.routes.push_back(ReadRoute(item, family));
  }
  for (const YamlValue& item : topology["ip_rules"].items()) {
    auto rule = dataplane::ParsePolicyRule(item.str(), family);
    if (!rule) {
      return absl::InvalidArgumentError(absl::StrCat("ip rule ", item.str()));
    }
    node.policy_rules.push_back(*rule);
  }
  for (const auto& [name, value] : topology["sysctls"].entries()) {
    node.sysctls[name] = value.AsInt(0);
  }
  return node;
}

absl::StatusOr<YamlValue> ReadYaml(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  return ParseYaml(*text);
}

// The answer to an ICMP request.
uint8_t IcmpAnswerType(const Packet& packet) {
  if (packet.protocol == Protocol::kIcmpv6) return 129;
  return packet.icmp_type == 13 ? 14 : 0;
}

}  // namespace

absl::StatusOr<KernelCase> ReadKernelCase(const std::string& folder) {
  KernelCase out;
  const auto probes = ReadYaml(folder + "/probes.yaml");
  if (!probes.ok()) return probes.status();
  out.probes = (*probes)["probes"];
  for (const YamlValue& probe : out.probes.items()) {
    if (ReadAddress(probe["dst"]).is_v6()) out.family = IpFamily::kIpv6;
  }
  const auto topology = ReadYaml(folder + "/topology.yaml");
  if (!topology.ok()) return topology.status();
  auto node = ReadTopology(*topology, out.family);
  if (!node.ok()) return node.status();
  out.node = *std::move(node);
  const absl::StatusOr<std::string> sets = ReadFile(folder + "/ipsets.txt");
  if (sets.ok()) {
    const auto parsed = netfilter::ParseIpsetSave(*sets);
    if (!parsed.ok()) return parsed.status();
    auto loaded = dataplane::LoadSets(*parsed);
    if (!loaded.ok()) return loaded.status();
    out.sets = *std::move(loaded);
  }
  const absl::StatusOr<std::string> servers = ReadFile(folder + "/ipvs.txt");
  if (servers.ok()) {
    auto table = ipvs::ReadIpvsadm(*servers, folder + "/ipvs.txt");
    if (!table.ok()) return table.status();
    out.ipvs = *std::move(table);
  }
  const absl::StatusOr<std::string> rules = ReadFile(folder + "/rules.txt");
  if (!rules.ok()) return rules.status();
  netfilter::ParseOptions options;
  options.keep_unknown_extensions = true;
  auto parsed = netfilter::ParseIptablesSave(*rules, out.family, options);
  if (!parsed.ok()) return parsed.status();
  out.rules = std::make_shared<netfilter::Ruleset>(*std::move(parsed));
  return out;
}

Arrival ProbeArrival(const YamlValue& probe, IpFamily family, int n) {
  NodePacket packet;
  Packet& header = packet.header;
  header.protocol = ParseProtocol(probe["proto"].str());
  header.dst = ReadAddress(probe["dst"]);
  header.src = probe.Has("src")            ? ReadAddress(probe["src"])
               : family == IpFamily::kIpv4 ? IpAddress()
                                           : *IpAddress::Parse("::");
  // The identifier of an echo stays.
  const int64_t step = header.IsIcmp() ? 0 : probe["sport_step"].AsInt(1);
  header.src_port = static_cast<uint16_t>(probe["sport"].AsInt(0) + n * step);
  header.dst_port = static_cast<uint16_t>(probe["dport"].AsInt(0));
  header.ttl = static_cast<uint8_t>(probe["ttl"].AsInt(64));
  header.tos = static_cast<uint8_t>(probe["tos"].AsInt(0));
  header.tcp_flags =
      probe.Has("flags") ? ParseFlags(probe["flags"].str()) : uint8_t{kTcpSyn};
  if (header.protocol == Protocol::kIcmpv6) header.icmp_type = 128;
  if (probe.Has("icmp")) {
    header.icmp_type = static_cast<uint8_t>(probe["icmp"].items()[0].AsInt(0));
    header.icmp_code = static_cast<uint8_t>(probe["icmp"].items()[1].AsInt(0));
  }
  const bool syn =
      header.protocol == Protocol::kTcp && (header.tcp_flags & kTcpSyn);
  header.payload_size =
      static_cast<uint16_t>(syn ? 0 : probe["payload"].AsInt(kDefaultPayload));
  packet.tcp_seq = kFirstSequence + static_cast<uint32_t>(n) * kSequenceStep;
  const std::string& in = probe["in"].str();
  if (in == "local") return Arrival::Sent(packet, probe.Has("src"));
  return Arrival::On(in, packet);
}

Arrival SecondArrival(const Arrival& first, const dataplane::Outcome& outcome,
                      bool answered) {
  Arrival second = first;
  if (outcome.sent_source) {
    second.packet.header.src = *outcome.sent_source;
    second.has_source = true;
  }
  Packet& header = second.packet.header;
  header.tos = 0;
  header.ttl = 64;
  if (header.protocol == Protocol::kTcp) {
    second.packet.tcp_seq += header.payload_size +
                             (header.tcp_flags & kTcpSyn ? 1 : 0) +
                             (header.tcp_flags & kTcpFin ? 1 : 0);
    second.packet.tcp_ack = answered ? kReceiverSequence + 1 : 0;
    if (header.tcp_flags & kTcpSyn) header.payload_size = kDefaultPayload;
    header.tcp_flags = kTcpAck;
  }
  return second;
}

Arrival ReplyArrival(const dataplane::Outcome& outcome) {
  const NodePacket& received = outcome.packet;
  NodePacket packet;
  Packet& header = packet.header;
  header = received.header;
  std::swap(header.src, header.dst);
  header.ttl = 64;
  header.tos = 0;
  header.payload_size = kDefaultPayload;
  if (header.IsIcmp()) {
    header.icmp_type = IcmpAnswerType(received.header);
    header.icmp_code = 0;
  } else {
    // The recorder answers from the sender's port if it was asked on port 0.
    header.src_port = received.header.dst_port != 0 ? received.header.dst_port
                                                    : received.header.src_port;
    header.dst_port = received.header.src_port;
  }
  if (header.protocol == Protocol::kTcp) {
    packet.tcp_seq = kReceiverSequence;
    packet.tcp_ack = received.tcp_seq + received.header.payload_size +
                     (received.header.tcp_flags & kTcpSyn ? 1 : 0) +
                     (received.header.tcp_flags & kTcpFin ? 1 : 0);
    header.tcp_flags = kTcpSyn | kTcpAck;
    header.payload_size = 0;
  }
  return Arrival::On(outcome.out, packet);
}

Arrival ErrorArrival(const dataplane::Outcome& outcome) {
  NodePacket packet;
  Packet& header = packet.header;
  const Packet& about = outcome.packet.header;
  const bool v6 = about.dst.is_v6();
  header.src = about.dst;
  header.dst = about.src;
  header.protocol = v6 ? Protocol::kIcmpv6 : Protocol::kIcmp;
  header.icmp_type = v6 ? 2 : 3;
  header.icmp_code = v6 ? 0 : 4;
  header.payload_size = static_cast<uint16_t>(outcome.packet.Length());
  packet.quoted = about;
  return Arrival::On(outcome.out, packet);
}

}  // namespace k8sdns::conformance
