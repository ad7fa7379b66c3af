// k8sdns trace: one packet through one node's tables.
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/cli/picture.h"
#include "k8sdns/journey/packet_trace.h"
#include "k8sdns/journey/packet_trace_json.h"
#include "k8sdns/journey/pictures.h"

namespace k8sdns::cli {
namespace {

absl::Status Unexpected(absl::string_view flag, const std::string& found,
                        absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": found \"", found, "\", expected ", expected));
}

absl::StatusOr<IpAddress> ReadAddress(const Args& args,
                                      absl::string_view flag) {
  const auto address = IpAddress::Parse(args.Get(flag));
  if (address) return *address;
  return Unexpected(flag, args.Get(flag), "an IP address");
}

absl::StatusOr<Protocol> ReadProtocol(const Args& args, bool v6) {
  const std::string name = args.Get("proto");
  for (Protocol p : {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp,
                     Protocol::kDccp, Protocol::kUdpLite}) {
    if (ProtocolName(p) == name) return p;
  }
  if (name == "icmp") return v6 ? Protocol::kIcmpv6 : Protocol::kIcmp;
  int number;
  if (absl::SimpleAtoi(name, &number) && number >= 0 && number <= 255) {
    return static_cast<Protocol>(number);
  }
  return Unexpected("proto", name, "tcp, udp, sctp, icmp or a number");
}

absl::StatusOr<uint32_t> ReadMark(const Args& args) {
  const std::string text = args.Get("mark");
  uint32_t mark;
  if (absl::StartsWith(text, "0x") ? absl::SimpleHexAtoi(text, &mark)
                                   : absl::SimpleAtoi(text, &mark)) {
    return mark;
  }
  return Unexpected("mark", text, "0 to 0xffffffff");
}

// --mac, --uid and --gid.
absl::Status ReadSender(const Args& args, dataplane::Arrival& arrival) {
  if (args.Has("mac")) {
    const std::string text = args.Get("mac");
    const std::vector<std::string> bytes = absl::StrSplit(text, ':');
    dataplane::MacAddress mac{};
    bool good = bytes.size() == mac.size();
    for (size_t i = 0; good && i < mac.size(); ++i) {
      uint32_t byte = 0;
      good = bytes[i].size() == 2 && absl::SimpleHexAtoi(bytes[i], &byte);
      mac[i] = static_cast<uint8_t>(byte);
    }
    if (!good) return Unexpected("mac", text, "six bytes as 00:11:22:aa:bb:cc");
    arrival.source_mac = mac;
  }
  if (args.Has("uid")) {
    if (!args.Has("local")) {
      return absl::InvalidArgumentError("--uid is for what --local sends");
    }
    constexpr int64_t kMost = 0xffffffff;
    absl::StatusOr<int64_t> uid = ReadInt(args, "uid", 0, kMost);
    if (!uid.ok()) return uid.status();
    absl::StatusOr<int64_t> gid = ReadInt(args, "gid", 0, kMost);
    if (!gid.ok()) return gid.status();
    arrival.credentials = {static_cast<uint32_t>(*uid),
                           static_cast<uint32_t>(*gid)};
  }
  return absl::OkStatus();
}

absl::StatusOr<dataplane::Arrival> ReadArrival(const Args& args) {
  for (absl::string_view flag : {"src", "dst"}) {
    if (!args.Has(flag)) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected --", flag, " ADDRESS"));
    }
  }
  if (args.Has("in") == args.Has("local")) {
    return absl::InvalidArgumentError(
        "expected --in INTERFACE, or --local for what the node sends");
  }
  absl::StatusOr<IpAddress> src = ReadAddress(args, "src");
  if (!src.ok()) return src.status();
  absl::StatusOr<IpAddress> dst = ReadAddress(args, "dst");
  if (!dst.ok()) return dst.status();
  if (src->family() != dst->family()) {
    return absl::InvalidArgumentError(
        "--src and --dst are of different families");
  }
  dataplane::NodePacket packet;
  Packet& p = packet.header;
  p.src = *src;
  p.dst = *dst;
  absl::StatusOr<Protocol> protocol = ReadProtocol(args, dst->is_v6());
  if (!protocol.ok()) return protocol.status();
  p.protocol = *protocol;
  if (p.protocol == Protocol::kIcmpv6) p.icmp_type = 128;
  for (absl::string_view flag : {"sport", "dport"}) {
    absl::StatusOr<int64_t> port = ReadInt(args, flag, 0, 65535);
    if (!port.ok()) return port.status();
    if (p.HasPorts()) {
      (flag == "sport" ? p.src_port : p.dst_port) =
          static_cast<uint16_t>(*port);
    }
  }
  absl::StatusOr<uint32_t> mark = ReadMark(args);
  if (!mark.ok()) return mark.status();
  dataplane::Arrival arrival =
      args.Has("local") ? dataplane::Arrival::Sent(packet)
                        : dataplane::Arrival::On(args.Get("in"), packet);
  arrival.mark = *mark;
  if (absl::Status status = ReadSender(args, arrival); !status.ok()) {
    return status;
  }
  return arrival;
}

absl::StatusOr<journey::DumpedTables> LoadTables(const Args& args,
                                                 IpFamily family,
                                                 Streams streams) {
  journey::DumpedTables tables;
  if (args.Has("rules")) {
    absl::StatusOr<netfilter::Ruleset> rules =
        LoadRules(args.Get("rules"), family, args, streams);
    if (!rules.ok()) return rules.status();
    tables.rules[family == IpFamily::kIpv6] =
        std::make_shared<const netfilter::Ruleset>(*std::move(rules));
  }
  if (args.Has("ipset")) {
    absl::StatusOr<netfilter::IpSets> sets =
        LoadIpSets(args.Get("ipset"), streams);
    if (!sets.ok()) return sets.status();
    tables.sets = *std::move(sets);
  }
  if (args.Has("ipvs")) {
    absl::StatusOr<ipvs::Table> servers = LoadIpvs(args.Get("ipvs"), streams);
    if (!servers.ok()) return servers.status();
    tables.servers = *std::move(servers);
  }
  return tables;
}

// "eth0=10.0.0.1/24" as an interface and a prefix.
absl::StatusOr<std::pair<std::string, IpPrefix>> ReadPair(
    absl::string_view flag, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals != std::string::npos && equals > 0) {
    if (auto prefix = IpPrefix::Parse(text.substr(equals + 1))) {
      return std::pair(text.substr(0, equals), *prefix);
    }
  }
  return Unexpected(flag, text, "INTERFACE=ADDRESS/LENGTH");
}

// A node of which no more is known than the flags say.
absl::StatusOr<dataplane::NodeConfig> DescribedNode(
    const Args& args, const dataplane::Arrival& arrival) {
  dataplane::NodeConfig node;
  node.has_listeners = true;
  auto interface = [&](const std::string& name) -> dataplane::Interface& {
    for (dataplane::Interface& i : node.interfaces) {
      if (i.name == name) return i;
    }
    node.interfaces.push_back({name, {}, true, false});
    return node.interfaces.back();
  };
  for (const std::string& text : args.GetAll("address")) {
    auto pair = ReadPair("address", text);
    if (!pair.ok()) return pair.status();
    interface(pair->first).addresses.push_back(pair->second);
  }
  for (const std::string& text : args.GetAll("route")) {
    auto pair = ReadPair("route", text);
    if (!pair.ok()) return pair.status();
    interface(pair->first);
    dataplane::Route route;
    route.prefix = pair->second.Masked();
    route.device = pair->first;
    node.routes.push_back(std::move(route));
  }
  if (!arrival.interface.empty() && arrival.interface != "lo") {
    interface(arrival.interface);
  }
  // All else goes out by one interface.
  interface(args.Get("out"));
  dataplane::Route route;
  route.prefix = IpPrefix(arrival.packet.header.dst, 0).Masked();
  route.device = args.Get("out");
  node.routes.push_back(std::move(route));
  return node;
}

absl::StatusOr<journey::TracedNode> LoadNode(const Args& args,
                                             const dataplane::Arrival& arrival,
                                             Streams streams) {
  absl::StatusOr<journey::DumpedTables> tables =
      LoadTables(args, arrival.packet.header.dst.family(), streams);
  if (!tables.ok()) return tables.status();
  if (!args.Has("file")) {
    if (!tables->any_rules()) {
      return absl::InvalidArgumentError(
          "expected --rules FILE, or -f FILE and --node NAME");
    }
    absl::StatusOr<dataplane::NodeConfig> node = DescribedNode(args, arrival);
    if (!node.ok()) return node.status();
    return journey::TracedNode::OfDump(*node, *tables);
  }
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return cluster.status();
  absl::StatusOr<KubeProxyConfig> config =
      LoadKubeProxyConfig(args.Get("config"), streams);
  if (!config.ok()) return config.status();
  absl::StatusOr<proxy::Dialect> dialect = ReadDialect(args);
  if (!dialect.ok()) return dialect.status();
  absl::StatusOr<fabric::FabricOptions> network = ReadFabricOptions(args);
  if (!network.ok()) return network.status();
  return journey::TracedNode::OfCluster(*cluster, *config, *dialect, *network,
                                        args.Get("node"), *tables);
}

}  // namespace

int RunTrace(const Args& args, Streams streams) {
  const std::string format =
      args.Has("format") ? args.Get("format") : args.Get("output");
  if (format != "text" && format != "json" && format != "xtables-monitor" &&
      format != "kernel-log" && !IsPicture(format)) {
    return Fail(
        streams,
        absl::StrCat("--format: found \"", format,
                     "\", expected text, json, dot, mermaid, svg, html, "
                     "xtables-monitor or kernel-log"));
  }
  if (!args.positional().empty()) {
    return Fail(streams,
                absl::StrCat("trace: found argument \"", args.positional()[0],
                             "\", expected only flags"));
  }
  absl::StatusOr<dataplane::Arrival> arrival = ReadArrival(args);
  if (!arrival.ok()) return Fail(streams, arrival.status().message());
  absl::StatusOr<journey::TracedNode> node = LoadNode(args, *arrival, streams);
  if (!node.ok()) return Fail(streams, node.status().message());
  const journey::PacketTrace trace = node->Trace(*arrival);
  if (format == "json") {
    absl::StatusOr<std::string> json = journey::PacketTraceToJson(trace);
    if (!json.ok()) return Fail(streams, json.status().message());
    streams.out << *json;
  } else if (format == "xtables-monitor") {
    streams.out << trace.ToXtablesMonitor();
  } else if (format == "kernel-log") {
    streams.out << trace.ToKernelLog();
  } else if (IsPicture(format)) {
    streams.out << Draw(journey::DiagramOf(trace), format);
  } else {
    streams.out << trace.ToString();
  }
  return kOk;
}

}  // namespace k8sdns::cli
