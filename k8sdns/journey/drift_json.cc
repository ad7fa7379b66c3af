#include "k8sdns/journey/drift_json.h"

#include "k8sdns/journey/render_json.h"
#include "proto/k8sdns/v1/drift.pb.h"

namespace k8sdns::journey {
namespace {

using Kind = DriftItem::Kind;

const char* WhatOf(const DriftItem& item) {
  const bool whole =
      item.kind == Kind::kMissingChain || item.kind == Kind::kStaleChain;
  if (item.where == "ipset") {
    return whole || item.kind == Kind::kChanged ? "set" : "member";
  }
  if (item.where == "ipvs") {
    // Lines of ipvsadm: -A is of a virtual server, -a of a real one.
    return item.text.rfind("-A", 0) == 0 ? "virtual server" : "real server";
  }
  if (item.kind == Kind::kMissingTable) return "table";
  return whole ? "chain" : "rule";
}

void Fill(const DriftItem& from, v1::DriftItem& to) {
  to.set_kind(std::string(DriftKindName(from.kind)));
  to.set_what(WhatOf(from));
  to.set_where(from.where);
  to.set_table(from.table);
  to.set_chain(from.chain);
  to.set_text(from.text);
  to.set_actual(from.actual);
  to.set_object(from.object);
  to.set_field(from.field);
}

}  // namespace

absl::StatusOr<std::string> DriftToJson(const Drift& drift) {
  v1::Drift message;
  message.set_found(drift.found());
  for (const DriftGroup& from : drift.groups) {
    v1::DriftGroup& to = *message.add_groups();
    to.set_service(from.service);
    for (const std::string& text : from.explanations) {
      to.add_explanations(text);
    }
    for (const DriftItem& item : from.items) Fill(item, *to.add_items());
  }
  for (const ForeignChain& from : drift.foreign) {
    v1::ForeignChain& to = *message.add_foreign();
    to.set_owner(from.owner);
    to.set_where(from.where);
    to.set_table(from.table);
    to.set_chain(from.chain);
    to.set_rules(from.rules);
    to.set_ahead(from.ahead);
  }
  for (const std::string& note : drift.notes) message.add_notes(note);
  message.set_rules_compared(drift.rules_compared);
  message.set_comments_differ(drift.comments_differ);
  return RenderJson(message);
}

}  // namespace k8sdns::journey
