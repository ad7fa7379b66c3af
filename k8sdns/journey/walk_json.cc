#include "k8sdns/journey/walk_json.h"

#include "absl/time/time.h"
#include "k8sdns/journey/render_json.h"
#include "proto/k8sdns/v1/walk.pb.h"

namespace k8sdns::journey {
namespace {

void Fill(const NodeVisit& from, v1::NodeVisit& to) {
  to.set_node(from.node);
  to.set_in(from.in);
  to.set_entered(from.entered.ToString());
  for (const RuleLine& line : from.rules) {
    auto& l = *to.add_rules();
    l.set_table(line.table);
    l.set_chain(line.chain);
    l.set_rule(line.number);
    l.set_text(line.text);
    l.set_mark(line.mark);
  }
  for (const std::string& t : from.translations) to.add_translations(t);
  to.set_route(from.route);
  to.set_out(from.out);
  to.set_left(from.left.ToString());
  to.set_verdict(from.verdict);
}

void Fill(const Leg& from, v1::Leg& to) {
  if (const auto* visit = std::get_if<NodeVisit>(&from)) {
    Fill(*visit, *to.mutable_node());
    return;
  }
  const auto& hop = std::get<fabric::Hop>(from);
  auto& link = *to.mutable_link();
  link.set_description(hop.description);
  link.set_node(hop.node);
  link.set_interface(hop.interface);
  link.set_mtu(hop.mtu);
  link.set_overhead(hop.overhead);
}

void Fill(const Trip& from, v1::Trip& to) {
  to.set_probability(from.probability);
  to.set_fate(std::string(FateName(from.fate)));
  to.set_reason(from.reason);
  to.set_sent(from.sent.ToString());
  to.set_received(from.received.ToString());
  to.set_receiver(from.receiver);
  for (const Leg& leg : from.there) Fill(leg, *to.add_there());
  for (const Leg& leg : from.back) Fill(leg, *to.add_back());
  if (!from.back.empty()) to.set_reply_received(from.reply_received.ToString());
  to.set_reply_arrives(from.reply_arrives);
  if (from.policy) {
    to.add_network_policy(from.policy->egress.ToString());
    to.add_network_policy(from.policy->ingress.ToString());
  }
  to.set_mtu(from.mtu);
}

void Fill(const NameLookup& from, v1::Lookup& to) {
  for (const NameLookup::Origin& o : from.origins) {
    auto& line = *to.add_resolv_conf();
    line.set_line(o.line);
    line.set_from(o.from);
  }
  for (const dns::KubeletEvent& e : from.settings.events) {
    to.add_events(e.ToString());
  }
  to.set_library(std::string(dns::LibraryName(from.library)));
  to.set_server(from.server == DnsServerKind::kKubeDns ? "kube-dns"
                                                       : "CoreDNS");
  for (const LookupStep& step : from.steps) {
    auto& q = *to.add_queries();
    q.set_time_s(absl::ToDoubleSeconds(step.query.time));
    q.set_server(step.query.server.ToString());
    q.set_transport(step.query.transport == dns::Transport::kUdp ? "udp"
                                                                 : "tcp");
    q.set_socket(step.query.socket);
    q.set_type(dns::QueryTypeName(step.query.type));
    q.set_name(step.query.name);
    q.set_answer(step.answer);
    q.set_delivery(step.delivery.where);
  }
  to.set_rc(from.result.rc);
  for (const IpAddress& a : from.result.addresses) {
    to.add_addresses(a.ToString());
  }
  to.set_elapsed_s(from.elapsed_seconds);
  to.set_packets(from.packets);
}

}  // namespace

absl::StatusOr<std::string> WalkToJson(const Walk& walk) {
  v1::Walk message;
  message.set_pod(walk.pod);
  message.set_sender(walk.sender);
  message.set_pod_address(walk.pod_address);
  message.set_node(walk.node);
  message.set_name(walk.name);
  if (!walk.pod.empty()) Fill(walk.lookup, *message.mutable_lookup());
  if (!walk.query_trips.empty()) message.set_query(walk.query.ToString());
  for (const Trip& t : walk.query_trips) Fill(t, *message.add_query_trips());
  if (!walk.connection_trips.empty()) {
    message.set_connection(walk.connection.ToString());
  }
  for (const Trip& t : walk.connection_trips) {
    Fill(t, *message.add_connection_trips());
  }
  return RenderJson(message);
}

}  // namespace k8sdns::journey
