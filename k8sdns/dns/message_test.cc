#include "k8sdns/dns/message.h"

#include <string>

#include "gtest/gtest.h"
#include "k8sdns/dns/forward_table.h"
#include "k8sdns/dns/message_size.h"

namespace k8sdns::dns {
namespace {

DnsQuestion Ask(const std::string& name, RecordType type) {
  DnsQuestion question;
  question.name = name;
  question.type = type;
  return question;
}

ResourceRecord A(const std::string& owner, const std::string& ip) {
  return {owner, 30, RecordType::kA, *IpAddress::Parse(ip)};
}

TEST(RecordType, NamesAndNumbers) {
  EXPECT_EQ(RecordTypeName(RecordType::kAaaa), "AAAA");
  EXPECT_EQ(RecordTypeName(static_cast<RecordType>(65280)), "TYPE65280");
  EXPECT_EQ(ParseRecordType("srv"), RecordType::kSrv);
  EXPECT_EQ(ParseRecordType("TYPE33"), RecordType::kSrv);
  EXPECT_EQ(ParseRecordType("TYPE65536"), std::nullopt);
  EXPECT_EQ(ParseRecordType("X"), std::nullopt);
}

TEST(ResourceRecord, PrintsAsDigDoes) {
  const ResourceRecord srv = {"_http._tcp.web.", 5, RecordType::kSrv,
                              SrvData{0, 50, 80, "web."}};
  EXPECT_EQ(srv.ToString(), "_http._tcp.web. 5 SRV 0 50 80 web.");
  const ResourceRecord txt = {"a.", 0, RecordType::kTxt,
                              TxtData{{"1.1.0", "a\"b"}}};
  EXPECT_EQ(txt.ToString(), "a. 0 TXT \"1.1.0\" \"a\\\"b\"");
}

// By hand: 12 header, 17 + 4 question; then 17 or 2 for the owner, 10, 4.
TEST(MessageSize, CompressionPointsToTheQuestion) {
  const DnsQuestion question = Ask("web.prod.svc.up.", RecordType::kA);
  DnsResponse response;
  response.answer.push_back(A("web.prod.svc.up.", "10.0.0.1"));
  EXPECT_EQ(MessageSize(question, response, Compression::kOff), 33u + 31u);
  EXPECT_EQ(MessageSize(question, response, Compression::kOn), 33u + 16u);
  response.edns_udp_size = 4096;
  EXPECT_EQ(MessageSize(question, response, Compression::kOn), 33u + 16u + 11u);
}

TEST(MessageSize, SrvTargetsAreWrittenOutButCanBePointedTo) {
  const DnsQuestion question = Ask("s.up.", RecordType::kSrv);
  DnsResponse response;
  response.answer.push_back(
      {"s.up.", 30, RecordType::kSrv, SrvData{0, 1, 80, "x.s.up."}});
  const size_t base = 12 + 6 + 4;
  EXPECT_EQ(MessageSize(question, response, Compression::kOn),
            base + 2 + 10 + 6 + 8);
  response.additional.push_back(A("x.s.up.", "10.0.0.1"));
  EXPECT_EQ(MessageSize(question, response, Compression::kOn),
            base + 2 + 10 + 6 + 8 + 2 + 10 + 4);
}

DnsResponse Big(int answers) {
  DnsResponse response;
  for (int i = 0; i < answers; ++i) {
    response.answer.push_back(
        A("web.prod.svc.up.", "10.0.0." + std::to_string(i)));
  }
  return response;
}

TEST(FitAsCoreDns, CutsToTheSizeOfTheClient) {
  DnsQuestion question = Ask("web.prod.svc.up.", RecordType::kA);
  DnsResponse response = Big(100);
  FitAsCoreDns(question, response);
  EXPECT_TRUE(response.truncated);
  EXPECT_EQ(response.answer.size(), (512u - 33u) / 16u);

  // A size below 512 counts as 512, and the OPT record takes its room.
  question.edns_udp_size = 100;
  response = Big(100);
  FitAsCoreDns(question, response);
  EXPECT_EQ(response.edns_udp_size, 100);
  EXPECT_EQ(response.answer.size(), (512u - 33u - 11u) / 16u);

  question.edns_udp_size = 4096;
  response = Big(100);
  FitAsCoreDns(question, response);
  EXPECT_FALSE(response.truncated);
}

TEST(FitAsCoreDns, DropsTheAdditionalSectionFirst) {
  const DnsQuestion question = Ask("web.prod.svc.up.", RecordType::kA);
  DnsResponse response = Big(29);
  response.additional.push_back(A("other.name.", "10.0.0.1"));
  FitAsCoreDns(question, response);
  EXPECT_TRUE(response.truncated);
  EXPECT_EQ(response.answer.size(), 29u);
  EXPECT_TRUE(response.additional.empty());
}

TEST(FitAsSkyDns, NoTruncationIfOnlyTheAdditionalSectionIsTooMuch) {
  DnsQuestion question = Ask("web.prod.svc.up.", RecordType::kA);
  DnsResponse response = Big(28);
  for (int i = 0; i < 9; ++i) {
    response.additional.push_back(A("other.name.", "10.0.0.1"));
  }
  FitAsSkyDns(question, Compression::kOn, response);
  EXPECT_FALSE(response.truncated);
  EXPECT_EQ(response.answer.size(), 28u);
  EXPECT_TRUE(response.additional.empty());
}

TEST(FitAsSkyDns, WhatDoesNotFitTcpIsAServerFailure) {
  DnsQuestion question = Ask("web.prod.svc.up.", RecordType::kA);
  question.transport = DnsTransport::kTcp;
  DnsResponse response = Big(100);
  response.answer.resize(5000, response.answer[0]);
  FitAsSkyDns(question, Compression::kOn, response);
  EXPECT_EQ(response.rcode, Rcode::kServFail);
  EXPECT_TRUE(response.answer.empty());
}

TEST(ForwardTable, FollowsAliasesAndEndsLoops) {
  ForwardTable table;
  table.Add(A("www.test.", "10.0.0.1"));
  table.Add({"alias.test.", 60, RecordType::kCname, NameData{"WWW.test."}});
  table.Add({"loop.test.", 60, RecordType::kCname, NameData{"loop.test."}});
  table.SetSoa({".", 60, RecordType::kSoa, SoaData{}});
  EXPECT_EQ(table.Answer(Ask("Alias.Test.", RecordType::kA)).ToString(),
            "NOERROR ra; alias.test. 60 CNAME WWW.test.; "
            "www.test. 30 A 10.0.0.1");
  EXPECT_EQ(table.Answer(Ask("alias.test.", RecordType::kCname)).answer.size(),
            1u);
  EXPECT_EQ(table.Answer(Ask("www.test.", RecordType::kAaaa)).authority.size(),
            1u);
  EXPECT_EQ(table.Answer(Ask("test.", RecordType::kA)).rcode, Rcode::kNxDomain);
  EXPECT_FALSE(table.Answer(Ask("loop.test.", RecordType::kA)).answer.empty());
}

}  // namespace
}  // namespace k8sdns::dns
