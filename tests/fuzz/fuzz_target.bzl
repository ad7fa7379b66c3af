"""fuzz_target: a libFuzzer target that is also an ordinary test."""

load("@rules_cc//cc:defs.bzl", "cc_test")

def fuzz_target(name, srcs, deps, corpus, mutations = 2000):
    """A file with LLVMFuzzerTestOneInput and its seed corpus.

    By default it is a test that runs the corpus and seeded mutations of it,
    with whatever sanitizer the build uses. With --config=fuzz (clang) it is a
    libFuzzer program: bazel run --config=fuzz //tests/fuzz:NAME -- DIR.

    Args:
      name: of the test
      srcs: the target's source
      deps: what it calls
      corpus: labels or globbed files: the seeds
      mutations: how many mutated inputs the test runs
    """
    cc_test(
        name = name,
        size = "small",
        srcs = srcs + select({
            "//tests/fuzz:libfuzzer": [],
            "//conditions:default": ["//tests/fuzz:standalone_driver.cc"],
        }),
        args = select({
            "//tests/fuzz:libfuzzer": [],
            "//conditions:default": ["--mutations=%d" % mutations] +
                                    ["$(locations %s)" % c for c in corpus],
        }),
        data = corpus,
        linkopts = select({
            "//tests/fuzz:libfuzzer": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = deps,
    )
