package raysweep;

import java.nio.charset.StandardCharsets;

/** Writes verdicts: V and a JSON object of outcome and detail. */
final class Verdict {
    private Verdict() {}

    private static final String NO_THREAD = "java.lang.OutOfMemoryError: unable to create native thread";

    /** Whether an error says that the process could have no further thread. */
    static boolean isForAThread(Throwable thrown) {
        String message = thrown instanceof OutOfMemoryError ? thrown.getMessage() : null;
        return message != null && message.contains("native thread");
    }

    /** Return the verdict on a program whose heap is full. */
    static byte[] ofMemory() {
        return of("memory", "java.lang.OutOfMemoryError");
    }

    /** Return the verdict on a program that could have no further thread. */
    static byte[] ofThreads() {
        return of("memory", NO_THREAD);
    }

    static byte[] of(Throwable thrown) {
        if (isForAThread(thrown)) {
            return ofThreads();
        }
        if (thrown instanceof OutOfMemoryError) {
            return ofMemory();
        }
        String outcome = thrown instanceof AssertionError ? "failed" : "exception";
        if (thrown instanceof ExceptionInInitializerError && thrown.getCause() != null) {
            return of(thrown.getCause());
        }
        return of(outcome, String.valueOf(thrown));
    }

    static byte[] of(String outcome, String detail) {
        StringBuilder line = new StringBuilder("V{\"outcome\": \"").append(outcome).append("\", \"detail\": \"");
        for (int i = 0; i < detail.length() && i < 300; i++) {
            char c = detail.charAt(i);
            if (c < 32 || c > 126 || c == '"' || c == '\\') {
                String digits = Integer.toHexString(c);
                line.append("\\u").append("0000", 0, 4 - digits.length()).append(digits);
            } else {
                line.append(c);
            }
        }
        return line.append("\"}").toString().getBytes(StandardCharsets.US_ASCII);
    }
}
