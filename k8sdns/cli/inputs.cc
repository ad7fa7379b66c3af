#include "k8sdns/cli/inputs.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <istream>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "k8sdns/cluster/endpoints_controller.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/cluster/snapshot.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace k8sdns::cli {
namespace {

namespace fs = std::filesystem;

bool IsManifest(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

absl::StatusOr<std::vector<std::string>> Expand(const std::string& file) {
  std::error_code error;
  if (file == "-" || !fs::is_directory(file, error)) {
    return std::vector<std::string>{file};
  }
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(file, error)) {
    if (entry.is_regular_file() && IsManifest(entry.path())) {
      out.push_back(entry.path().string());
    }
  }
  if (out.empty()) {
    return absl::NotFoundError(
        absl::StrCat(file, ": no *.yaml, *.yml or *.json in this folder"));
  }
  std::sort(out.begin(), out.end());
  return out;
}

// A dump without Namespaces: those that its objects live in exist.
void AddImpliedNamespaces(Cluster& cluster) {
  if (!cluster.namespaces().empty()) return;
  std::set<std::string> names;
  for (const Service& s : cluster.services()) {
    names.insert(s.metadata.namespace_);
  }
  for (const Pod& p : cluster.pods()) names.insert(p.metadata.namespace_);
  for (const std::string& name : names) {
    Namespace ns;
    ns.metadata.name = name;
    cluster.Put(std::move(ns));
  }
}

// Neither YAML nor JSON may hold control characters other than these three; a
// snapshot begins with tags and lengths, which are such characters.
bool IsSnapshot(absl::string_view bytes) {
  const absl::string_view begin = bytes.substr(0, 4096);
  return std::any_of(begin.begin(), begin.end(), [](unsigned char c) {
    return c < ' ' && c != '\t' && c != '\n' && c != '\r';
  });
}

template <typename T>
void PutAll(const ObjectSet<T>& objects, Cluster& cluster) {
  for (const T& object : objects) cluster.Put(object);
}

absl::Status ReadSnapshotInto(absl::string_view bytes, const std::string& file,
                              Cluster& cluster) {
  absl::StatusOr<Cluster> read = ReadSnapshot(bytes);
  if (!read.ok()) {
    return absl::Status(
        read.status().code(),
        absl::StrCat(file, ": has control characters, so read as protobuf: ",
                     read.status().message()));
  }
  PutAll(read->services(), cluster);
  PutAll(read->endpoint_slices(), cluster);
  PutAll(read->endpoints(), cluster);
  PutAll(read->pods(), cluster);
  PutAll(read->nodes(), cluster);
  PutAll(read->namespaces(), cluster);
  PutAll(read->network_policies(), cluster);
  return absl::OkStatus();
}

// All that is left of a stream. `expected`: how many bytes that may be; more
// are read as well.
std::string ReadAll(std::istream& in, size_t expected) {
  std::string text;
  size_t used = 0;
  for (size_t room = std::max<size_t>(expected + 1, size_t{64} << 10); in;) {
    text.resize(room);
    in.read(text.data() + used, static_cast<std::streamsize>(room - used));
    used += static_cast<size_t>(in.gcount());
    if (used == room) room *= 2;
  }
  text.resize(used);
  return text;
}

}  // namespace

absl::StatusOr<std::string> ReadInput(const std::string& file,
                                      Streams streams) {
  if (file == "-") {
    return ReadAll(streams.in, 0);
  }
  std::error_code error;
  if (fs::is_directory(file, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": found a folder, expected a file"));
  }
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    return absl::NotFoundError(absl::StrCat(
        file, ": ", errno == 0 ? "cannot be opened" : std::strerror(errno)));
  }
  const uintmax_t size = fs::file_size(file, error);
  return ReadAll(in, error ? 0 : static_cast<size_t>(size));
}

absl::StatusOr<Cluster> LoadCluster(const std::vector<std::string>& files,
                                    Streams streams) {
  if (files.empty()) {
    return absl::InvalidArgumentError(
        "no cluster: expected -f FILE with what kubectl get "
        "svc,endpointslices,endpoints,pods,nodes -A -o yaml prints");
  }
  Cluster cluster;
  for (const std::string& name : files) {
    absl::StatusOr<std::vector<std::string>> expanded = Expand(name);
    if (!expanded.ok()) return expanded.status();
    for (const std::string& file : *expanded) {
      absl::StatusOr<std::string> text = ReadInput(file, streams);
      if (!text.ok()) return text.status();
      const absl::Status status = IsSnapshot(*text)
                                      ? ReadSnapshotInto(*text, file, cluster)
                                      : ReadClusterInto(*text, file, cluster);
      if (!status.ok()) return status;
    }
  }
  AddImpliedNamespaces(cluster);
  return DeriveMissingEndpoints(cluster);
}

absl::StatusOr<KubeProxyConfig> LoadKubeProxyConfig(const std::string& file,
                                                    Streams streams) {
  if (file.empty()) return KubeProxyConfig();
  absl::StatusOr<std::string> text = ReadInput(file, streams);
  if (!text.ok()) return text.status();
  return ReadKubeProxyConfig(*text, file);
}

absl::StatusOr<KubeletConfig> LoadKubeletConfig(const std::string& file,
                                                Streams streams) {
  if (file.empty()) return KubeletConfig();
  absl::StatusOr<std::string> text = ReadInput(file, streams);
  if (!text.ok()) return text.status();
  return ReadKubeletConfig(*text, file);
}

const Pod* FindPod(const Cluster& cluster, absl::string_view name) {
  const size_t slash = name.find('/');
  if (slash == absl::string_view::npos) {
    return cluster.pods().Find("default", name);
  }
  return cluster.pods().Find(name.substr(0, slash), name.substr(slash + 1));
}

absl::StatusOr<dns::NodeDns> LoadNodeDns(const Args& args,
                                         const Cluster& cluster, const Pod& pod,
                                         Streams streams) {
  dns::NodeDns out;
  absl::StatusOr<KubeletConfig> kubelet =
      LoadKubeletConfig(args.Get("kubelet"), streams);
  if (!kubelet.ok()) return kubelet.status();
  out.kubelet = *std::move(kubelet);
  const Node* node = cluster.nodes().Find(pod.spec.node_name);
  if (node != nullptr) {
    for (const NodeAddress& a : node->addresses) {
      if (a.type != NodeAddressType::kInternalIp) continue;
      if (auto ip = IpAddress::ParseSloppy(a.address)) {
        out.addresses.push_back(*ip);
      }
    }
  }
  out.resolv_conf_text = "";
  if (args.Has("resolv-conf")) {
    absl::StatusOr<std::string> text =
        ReadInput(args.Get("resolv-conf"), streams);
    if (!text.ok()) return text.status();
    out.resolv_conf_text = *std::move(text);
  }
  return out;
}

absl::StatusOr<fabric::FabricOptions> ReadFabricOptions(const Args& args) {
  fabric::FabricOptions options;
  if (!args.Has("network")) return options;
  options.network = fabric::ParseNetworkKind(args.Get("network"));
  if (options.network) return options;
  std::string known;
  for (fabric::NetworkKind kind : fabric::AllNetworkKinds()) {
    absl::StrAppend(&known, known.empty() ? "" : ", ",
                    fabric::NetworkKindName(kind));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--network: found \"", args.Get("network"), "\", expected ", known));
}

absl::StatusOr<netfilter::Ruleset> LoadRules(const std::string& file,
                                             IpFamily family, const Args& args,
                                             Streams streams) {
  const std::string variant = args.Get("variant");
  if (variant != "legacy" && variant != "nft") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--variant: found \"", variant, "\", expected legacy or nft"));
  }
  absl::StatusOr<std::string> text = ReadInput(file, streams);
  if (!text.ok()) return text.status();
  netfilter::ParseOptions options;
  options.variant =
      variant == "nft" ? netfilter::Variant::kNft : netfilter::Variant::kLegacy;
  options.keep_unknown_extensions = true;
  std::vector<netfilter::ParseError> errors;
  absl::StatusOr<netfilter::Ruleset> rules =
      netfilter::ParseIptablesSave(*text, family, options, &errors);
  if (rules.ok() || errors.empty()) return rules;
  std::string message;
  for (const netfilter::ParseError& e : errors) {
    absl::StrAppend(&message, message.empty() ? "" : "\n", file, ": ",
                    e.ToString());
  }
  return absl::InvalidArgumentError(message);
}

absl::StatusOr<netfilter::IpSets> LoadIpSets(const std::string& file,
                                             Streams streams) {
  absl::StatusOr<std::string> text = ReadInput(file, streams);
  if (!text.ok()) return text.status();
  absl::StatusOr<netfilter::IpSets> sets = netfilter::ParseIpsetSave(*text);
  if (sets.ok()) return sets;
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": ", sets.status().message()));
}

absl::StatusOr<ipvs::Table> LoadIpvs(const std::string& file, Streams streams) {
  absl::StatusOr<std::string> text = ReadInput(file, streams);
  if (!text.ok()) return text.status();
  return ipvs::ReadIpvsadm(*text, file);
}

absl::StatusOr<fabric::Place> ReadPlace(absl::string_view flag,
                                        absl::string_view text,
                                        const Cluster& cluster) {
  using fabric::Place;
  if (text == "outside") return Place::Outside();
  const bool outside = absl::ConsumePrefix(&text, "outside:");
  if (outside || absl::ConsumePrefix(&text, "node:")) {
    if (cluster.nodes().Find(text) == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("--", flag, ": no node ", text, " in the cluster"));
    }
    return outside ? Place::Outside(text) : Place::OfNode(text);
  }
  const Pod* pod = FindPod(cluster, text);
  if (pod == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("--", flag, ": no Pod ", text, " in the cluster"));
  }
  return Place::OfPod(pod->metadata.namespace_, pod->metadata.name);
}

std::optional<Packet> ReadTarget(absl::string_view text) {
  Packet packet;
  const size_t slash = text.find('/');
  if (slash != absl::string_view::npos) {
    const auto protocol = ParseKubernetesProtocol(text.substr(slash + 1));
    if (!protocol) return std::nullopt;
    packet.protocol = *protocol;
    text = text.substr(0, slash);
  }
  if (const auto socket = SocketAddress::Parse(text)) {
    packet.dst = socket->address;
    packet.dst_port = socket->port;
    return packet;
  }
  const auto address = IpAddress::Parse(text);
  if (!address || slash != absl::string_view::npos) return std::nullopt;
  return Packet::IcmpEcho(*address, *address, 1);
}

absl::StatusOr<Packet> PacketFrom(const fabric::Place& place,
                                  const Cluster& cluster, Packet target,
                                  absl::string_view source) {
  constexpr uint16_t kClientPort = 50000;
  if (target.HasPorts()) target.src_port = kClientPort;
  if (!source.empty()) {
    const auto address = IpAddress::Parse(source);
    if (!address || address->family() != target.family()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--source: found \"", source,
                       "\", expected an address of the target's family"));
    }
    target.src = *address;
    return target;
  }
  std::vector<std::string> own;
  if (place.kind == fabric::Place::Kind::kOutside) {
    own = {"203.0.113.7", "2001:db8::7"};
  } else if (place.kind == fabric::Place::Kind::kPod) {
    own = cluster.pods().Find(place.namespace_, place.name)->Addresses();
  } else {
    for (const NodeAddress& a : cluster.nodes().Find(place.name)->addresses) {
      if (a.type == NodeAddressType::kInternalIp) own.push_back(a.address);
    }
  }
  for (const std::string& text : own) {
    const auto address = IpAddress::ParseSloppy(text);
    if (!address || address->family() != target.family()) continue;
    target.src = *address;
    return target;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      place.ToString(), " has no ", IpFamilyName(target.family()), " address"));
}

absl::StatusOr<int64_t> ReadInt(const Args& args, absl::string_view flag,
                                int64_t least, int64_t most) {
  int64_t value;
  if (absl::SimpleAtoi(args.Get(flag), &value) && value >= least &&
      value <= most) {
    return value;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": found \"", args.Get(flag),
                   "\", expected a whole number from ", least, " to ", most));
}

absl::StatusOr<double> ReadNumber(const Args& args, absl::string_view flag,
                                  double least, double most) {
  double value;
  if (absl::SimpleAtod(args.Get(flag), &value) && value >= least &&
      value <= most) {
    return value;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": found \"", args.Get(flag),
                   "\", expected a number from ", least, " to ", most));
}

}  // namespace k8sdns::cli
