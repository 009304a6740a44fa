"""JUnit's tests as texts: limits of wall time are taken out, and nothing else."""

import pytest

from raysweep.execution.compiled.java.junit import without_wall_time


@pytest.mark.parametrize(
    "written, kept",
    [
        ("@Test(timeout = 3000)\n", "@Test\n"),
        ("@org.junit.Test(timeout=3000)\n", "@org.junit.Test\n"),
        ("@Test (\n    timeout = 3_000L\n)\n", "@Test\n"),
        ("@Test(timeout = 3000, expected = X.class)", "@Test(expected = X.class)"),
        ("@Test(expected = X.class, timeout = 3000)", "@Test(expected = X.class)"),
        ("@Test(expected = X.class, timeout = SECONDS.toMillis(3))", "@Test(expected = X.class)"),
        ("@Test(timeout = 3 * (MINUTE + 1))", "@Test"),
    ],
)
def test_a_tests_own_limit_is_taken_out(written: str, kept: str) -> None:
    method = "    public void adds() throws Exception { f(1, 2); }\n"
    assert without_wall_time(f"    {written}{method}") == f"    {kept}{method}"


@pytest.mark.parametrize(
    "rule",
    [
        "@Rule\n    public Timeout limit = Timeout.seconds(10); // each",
        "@Rule public final Timeout limit = new Timeout(1000);",
        "@org.junit.Rule public org.junit.rules.Timeout limit = org.junit.rules.Timeout.millis(5);",
        "@ClassRule public static Timeout limit = Timeout.builder().withTimeout(1, TimeUnit.SECONDS).build();",
        "@Rule public TestRule limit = new DisableOnDebug(new Timeout(20, TimeUnit.SECONDS));",
        "@Rule public TestRule limit = Timeout.seconds(10);",
    ],
)
def test_a_rule_for_all_tests_is_taken_out(rule: str) -> None:
    kept = "    @Rule public ExpectedException thrown = ExpectedException.none();\n    @Test public void adds() {}\n"
    found = without_wall_time(f"    {rule}\n{kept}")
    assert "Timeout" not in found and found.endswith(kept)


@pytest.mark.parametrize(
    "text",
    [
        "@Test\npublic void a() { wait(timeout = 3000); }\n",
        "@Test(expected = Timeout.class)\npublic void a() {}\n",
        "@Rule\npublic ExpectedException thrown = ExpectedException.none();\nprivate Timeout other = new Timeout();\n",
        "@TestFactory(timeout = 1)\n",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert without_wall_time(text) == text
