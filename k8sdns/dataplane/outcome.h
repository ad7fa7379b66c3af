// What became of a packet.
//
//   if (outcome.verdict.kind == Verdict::kAccept && outcome.local) {
//     std::cout << "to the node: " << outcome.packet.header.ToString();
//   }
#ifndef K8SDNS_DATAPLANE_OUTCOME_H_
#define K8SDNS_DATAPLANE_OUTCOME_H_

#include <cstdint>
#include <optional>
#include <string>

#include "k8sdns/dataplane/node_packet.h"
#include "k8sdns/dataplane/trace.h"

namespace k8sdns::dataplane {

struct Verdict {
  enum Kind : uint8_t {
    kAccept,   // it reached somebody: see Outcome
    kDrop,     // nothing came of it
    kReject,   // it was answered by an ICMP error or a RST
    kUnknown,  // it met a rule that is not modelled
  };
  Kind kind = kDrop;
  // kReject: "icmp-port-unreachable", "tcp-reset", "icmp-type-11-code-0".
  // kUnknown: why.
  std::string reason;
  // kUnknown: "filter:FORWARD:rule:3".
  std::string rule;

  friend bool operator==(const Verdict&, const Verdict&) = default;
};

struct Outcome {
  Verdict verdict;
  // kAccept: whether the node itself got it; else it left by `out`.
  bool local = false;
  std::string out;
  // kAccept: the packet as its receiver sees it.
  NodePacket packet;
  uint32_t mark = 0;  // at the end
  // kAccept: if the source port was drawn at random, the range that it may be
  // in; `packet` then holds one port of it that stands for all.
  uint16_t drawn_first_port = 0;
  uint16_t drawn_last_port = 0;
  // kReject: where the answer came from.
  std::optional<IpAddress> answer_source;
  // Of a packet that the node sent: the error that the sender got ("EPERM",
  // "EINVAL", ...; "" for none) and the source that routing chose.
  std::string send_error;
  std::optional<IpAddress> sent_source;
  Trace trace;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_OUTCOME_H_
