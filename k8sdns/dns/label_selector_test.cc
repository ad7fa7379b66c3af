#include "k8sdns/dns/label_selector.h"

#include <string>

#include "gtest/gtest.h"

namespace k8sdns::dns {
namespace {

bool Matches(const std::string& selector, const StringMap& labels) {
  auto parsed = LabelSelector::Parse(selector);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() && parsed->Matches(labels);
}

TEST(LabelSelector, Operators) {
  const StringMap labels = {{"app", "web"}, {"tier", "front"}};
  for (const char* selector :
       {"", "app", "app=web", "app==web", "app!=db", "other!=x", "!old",
        "app in (db, web)", "app notin (db),tier=front", " app = web "}) {
    EXPECT_TRUE(Matches(selector, labels)) << selector;
  }
  for (const char* selector :
       {"app=db", "app!=web", "!app", "other", "app in (db)", "other in (x)",
        "app notin (web)", "app=web,tier=back"}) {
    EXPECT_FALSE(Matches(selector, labels)) << selector;
  }
}

TEST(LabelSelector, WhatCannotBeReadIsAnError) {
  for (const char* selector : {"=x", "a b", "a in x", "a in (x", ",", "a,,b"}) {
    EXPECT_FALSE(LabelSelector::Parse(selector).ok()) << selector;
  }
}

}  // namespace
}  // namespace k8sdns::dns
