"""Every external repository that k8sdns uses, from Debian's packages (listed in tools/debian-packages.txt).

Nothing is downloaded. The repositories and their targets have the names that the upstream projects use. A workspace that embeds
k8sdns calls k8sdns_dependencies(): repositories that it has defined before (Abseil from source, say) stay as they are.
"""

load("//third_party:abseil.bzl", "ABSEIL_TARGETS")
load("//third_party:pkg_config.bzl", "pkg_config_repository")
load("//third_party:protobuf.bzl", "system_protobuf_repository")
load("//third_party:stub.bzl", "stub_repository")

# Debian's bazel-rules-cc is newer than Debian's Bazel 4.2.3 can load (it wants use_cpp_toolchain), so @rules_cc gives the
# rules that are built into Bazel, which is what the real one does at this version as well.
_RULES_CC_DEFS = "\n".join([
    "%s = native.%s" % (rule, rule)
    for rule in [
        "cc_binary",
        "cc_import",
        "cc_library",
        "cc_proto_library",
        "cc_test",
        "cc_toolchain",
        "cc_toolchain_suite",
    ]
]) + "\n"

def _unless_defined(rule, name, **attributes):
    if not native.existing_rule(name):
        rule(name = name, **attributes)

def _bazel_repositories():
    """The repositories that Bazel's own rules ask for."""
    _unless_defined(
        stub_repository,
        name = "rules_cc",
        files = {"BUILD.bazel": "", "cc/BUILD.bazel": "", "cc/defs.bzl": _RULES_CC_DEFS},
    )
    for name, path in {
        "bazel_skylib": "/usr/share/bazel/tools/skylib",
        "platforms": "/usr/share/bazel/tools/platforms",
        "rules_java": "/usr/share/bazel/rules/java",
        "rules_proto": "/usr/share/bazel/rules/proto",
    }.items():
        _unless_defined(native.local_repository, name = name, path = path)

    # cc_test names it, though only `bazel coverage` runs it.
    _unless_defined(
        stub_repository,
        name = "remote_coverage_tools",
        files = {"BUILD.bazel": """filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])\n"""},
    )

def k8sdns_dependencies():
    _bazel_repositories()

    _unless_defined(pkg_config_repository, name = "com_google_absl", targets = ABSEIL_TARGETS)
    _unless_defined(system_protobuf_repository, name = "com_google_protobuf")

    # Upstream's :gtest holds GoogleMock too, and :gtest_main initialises both.
    _unless_defined(
        pkg_config_repository,
        name = "com_google_googletest",
        targets = {
            ":gtest": ["gmock", "gtest"],
            ":gtest_main": ["gmock_main", "gmock", "gtest"],
        },
    )
    _unless_defined(
        pkg_config_repository,
        name = "com_github_google_benchmark",
        targets = {
            ":benchmark": ["benchmark"],
            ":benchmark_main": ["-lbenchmark_main", "benchmark"],
        },
    )

    # The label is BoringSSL's, as it is in most Bazel projects; the library is OpenSSL's libcrypto, whose interface is the same
    # for the digests that are used.
    _unless_defined(pkg_config_repository, name = "boringssl", targets = {":crypto": ["libcrypto"]})

    # Header-only, and without a pkg-config file.
    _unless_defined(pkg_config_repository, name = "boost", targets = {":graph": []})
    _unless_defined(pkg_config_repository, name = "libyaml", targets = {":yaml": ["yaml-0.1"]})
    _unless_defined(pkg_config_repository, name = "simdjson", targets = {":simdjson": ["simdjson"]})
