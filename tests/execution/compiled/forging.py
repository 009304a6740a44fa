"""Programs that return 0 for half of a number, and would make their tests pass inside, by what each tries."""

from __future__ import annotations

from raysweep.programs import Oracle, Program
from tests.execution.compiled.programs import DECLARATIONS

_UNSAFE = 'var f = sun.misc.Unsafe.class.getDeclaredField("theUnsafe"); f.setAccessible(true);'
_UNSAFE += " var unsafe = (sun.misc.Unsafe) f.get(null);"
_TESTS = "var of = Class.forName(name, false, Solution.class.getClassLoader()).getDeclaredFields();"
_FILE = "java.nio.file.Path.of(Solution.class.getProtectionDomain().getCodeSource().getLocation().toURI())"
_JAVA = {  # what stands in the class, in its method and behind it, and the verdict
    "no assertions in later classes": (
        "static { for (var l = Solution.class.getClassLoader(); l != null; l = l.getParent()) {"
        ' l.clearAssertionStatus(); l.setDefaultAssertionStatus(false); l.setPackageAssertionStatus("", false);'
        ' l.setClassAssertionStatus("Checks", false); } }', "", "", "failed",
    ),
    "the field of assertions in classes": (
        "", f'try {{ {_UNSAFE} for (String name : new String[] {{"Main", "Checks"}}) {{ {_TESTS} for (var one : of)'
        ' if (one.getName().startsWith("$")) unsafe.putBoolean(unsafe.staticFieldBase(one),'
        " unsafe.staticFieldOffset(one), true); } } catch (Exception e) { }", "", "failed",
    ),
    "an exit before its tests": ("static { System.exit(0); }", "", "", "killed"),
    "a halt when they end": (
        "static { Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(0)));"
        " Thread.setDefaultUncaughtExceptionHandler((t, e) -> Runtime.getRuntime().halt(0)); }", "", "", "failed",
    ),
    "no output": (
        "static { System.setErr(new java.io.PrintStream(java.io.OutputStream.nullOutputStream()));"
        " System.setOut(System.err); }", "", "", "failed",
    ),
    "an error that ends the process": (
        "", "if (a > 0) throw new Own();",
        'class Own extends Error { public String toString() { System.exit(0); return ""; } }', "killed",
    ),
    "an error of the same name": ("", "", "class AssertionError extends Error { AssertionError() { } }", "failed"),
    "another class in place of its tests'": (
        f'static {{ try {{ var own = {_FILE}; byte[] b = java.nio.file.Files.readAllBytes(own.resolve("Cheaks.class"));'
        " for (int i = 3; i < b.length; i++) if (b[i] == 'a' && b[i - 1] == 'e' && b[i - 2] == 'h' && b[i - 3] == 'C')"
        " b[i] = 'c'; java.nio.file.Files.write(own.resolve(\"Checks.class\"), b); } catch (Exception e) { } }",
        "", "class Cheaks { static void check(int a, int b) { } }", "failed",
    ),
}  # fmt: skip
_JAVA_TESTS = """\
class Checks {
    static void check(int a, int b) {
        assert a == b;
    }
}
public class Main {
    public static void main(String[] args) {
        Checks.check(new Solution().half(4), 2);
    }
}
"""
_CPP = {  # what stands before the function, and the verdict
    "assertions that check nothing": ("#define NDEBUG\n#undef assert\n#define assert(x) ((void)0)\n", "failed"),
    "macros of what ends tests": (
        "#define if(x) while (false)\n#define exit(x) ((void)0)\n#define return return 0 *\n", "failed",
    ),
    "the library's functions": (
        "#include <unistd.h>\n"
        'extern "C" void __assert_fail(const char*, const char*, unsigned, const char*) noexcept { _exit(0); }\n'
        'extern "C" int __real_main(int, char**) { return 0; }\n', "failed",
    ),
    "exits of its own": (
        'extern "C" void abort() noexcept { }\nextern "C" void exit(int) noexcept { }\n', "compile_error",
    ),
    "a way out when it ends": (
        "#include <stdlib.h>\n#include <unistd.h>\n#include <signal.h>\n#include <exception>\n"
        "static void bye() { _exit(0); }\nstatic void caught(int) { _exit(0); }\n"
        "struct First { First() { atexit(bye); std::set_terminate(bye); signal(SIGABRT, caught); } } first;\n",
        "failed",
    ),
    "an exit before its tests": ("#include <stdlib.h>\nstruct First { First() { exit(0); } } first;\n", "killed"),
    "an exit before all constructors": (
        "#include <unistd.h>\nstatic void first() { _exit(0); }\n"
        '__attribute__((section(".preinit_array"), used)) static void (*all)() = first;\n', "killed",
    ),
    "a main of its own": ("int main() { return 0; }\n#define main(...) other(__VA_ARGS__)\n", "compile_error"),
}  # fmt: skip
_CPP_TESTS = "#include <cassert>\n#include <stdlib.h>\n"
_CPP_TESTS += "int main() {\n    assert(half(4) == 2);\n    if (half(7) != 3) exit(1);\n    return half(2) != 1;\n}\n"


def forging(language: str) -> dict[str, tuple[Program, str]]:
    """Return the programs with tests inside and their verdicts, by what they try."""
    if language == "cpp":
        texts = {name: (f"{text}int half(int a) {{ return 0; }}\n", outcome) for name, (text, outcome) in _CPP.items()}
        tests = _CPP_TESTS
    else:
        texts = {
            name: (
                f"class Solution {{\n    {members}\n    public int half(int a) {{ {body} return 0; }}\n}}\n{more}\n",
                outcome,
            )
            for name, (members, body, more, outcome) in _JAVA.items()
        }
        tests = _JAVA_TESTS
    return {
        name: (Program(text, tests, language, Oracle.INSIDE, DECLARATIONS[language]), outcome)
        for name, (text, outcome) in texts.items()
    }
