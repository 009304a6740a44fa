package raysweep;

import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Array;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The tests' process: runs the tests of one program after another, each time in a new class loader.
 *
 * Frames from its standard input: P, 64 digits that name tests, their classes; T, and the name of the tests to run; A,
 * and the answer to a call; E: the candidate's process has ended. To its standard output: C and a call; V and the verdict
 * that ends a run. No code of a candidate's is in this process; what it reads from one is no more than data.
 */
public final class Tests {
    private static final int NAME = 64;
    private static final int OUT_OF_MEMORY = 103; // exit codes that the judge knows, and no tests end with
    private static final int STACK_OVERFLOW = 104;
    private static final SecureRandom RANDOM = new SecureRandom();
    private static DataInputStream in;
    private static OutputStream out;
    private static boolean isBetweenFrames = true; // false: an error has come while one was moved
    private static byte[] verdict; // of a run that has to end, whatever its tests make of that
    private static int objects;

    private Tests() {}

    public static void main(String[] given) throws IOException {
        in = new DataInputStream(new BufferedInputStream(new FileInputStream(FileDescriptor.in)));
        out = new FileOutputStream(FileDescriptor.out);
        System.setIn(new ByteArrayInputStream(new byte[0]));
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        Map<String, Map<String, byte[]>> prepared = new HashMap<>();
        try {
            while (true) {
                byte[] frame = frame();
                if (frame[0] == 'P') {
                    prepared.put(name(frame), classes(frame));
                } else if (frame[0] == 'T') {
                    byte[] found = run(prepared.get(name(frame)));
                    send(found, found.length);
                }
            }
        } catch (EOFException e) {
            Runtime.getRuntime().halt(0);
        } catch (OutOfMemoryError e) {
            Runtime.getRuntime().halt(OUT_OF_MEMORY);
        }
    }

    private static byte[] frame() throws IOException {
        beginToMove();
        try {
            byte[] bytes = new byte[in.readInt()]; // of the judge, which is trusted; it bounds those of candidates
            in.readFully(bytes);
            isBetweenFrames = true;
            return bytes;
        } catch (VirtualMachineError e) {
            throw end(e);
        }
    }

    private static void send(byte[] bytes, int size) throws IOException {
        beginToMove();
        try {
            Wire.send(out, bytes, size);
            isBetweenFrames = true;
        } catch (VirtualMachineError e) {
            throw end(e);
        }
    }

    /** Ends this process if a frame was left half moved: the rest of an answer must not be taken for a frame. */
    private static void beginToMove() {
        if (!isBetweenFrames) {
            throw end(null);
        }
        isBetweenFrames = false;
    }

    private static Error end(VirtualMachineError error) {
        Runtime.getRuntime().halt(error instanceof OutOfMemoryError ? OUT_OF_MEMORY : STACK_OVERFLOW);
        return error;
    }

    private static String name(byte[] frame) {
        return new String(frame, 1, NAME, StandardCharsets.US_ASCII);
    }

    private static Map<String, byte[]> classes(byte[] frame) {
        Map<String, byte[]> found = new HashMap<>();
        ByteBuffer rest = ByteBuffer.wrap(frame, 1 + NAME, frame.length - 1 - NAME);
        while (rest.hasRemaining()) {
            byte[] name = new byte[rest.getShort() & 0xffff];
            rest.get(name);
            byte[] data = new byte[rest.getInt()];
            rest.get(data);
            found.put(new String(name, StandardCharsets.UTF_8), data);
        }
        return found;
    }

    private static byte[] run(Map<String, byte[]> classes) {
        verdict = null;
        objects = 0;
        byte[] found;
        try {
            if (classes == null) {
                return Verdict.of("harness_error", "tests that weren't prepared");
            }
            Loader loader = new Loader(classes);
            loader.setDefaultAssertionStatus(true); // else tests that are written as `assert` check nothing
            Method main = loader.loadClass("Main").getMethod("main", String[].class);
            main.setAccessible(true); // the class need not be public
            main.invoke(null, (Object) new String[0]);
            found = Verdict.of("passed", "");
        } catch (InvocationTargetException e) {
            found = Verdict.of(e.getCause());
        } catch (Throwable e) {
            found = Verdict.of(e);
        }
        return verdict != null ? verdict : found;
    }

    private static final class Loader extends ClassLoader {
        private final Map<String, byte[]> classes;

        Loader(Map<String, byte[]> classes) {
            super(Tests.class.getClassLoader());
            this.classes = classes;
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            byte[] data = classes.get(name);
            if (data == null) {
                throw new ClassNotFoundException(name);
            }
            return defineClass(name, data, 0, data.length);
        }
    }

    /** Ends a run; tests that catch it end at their next call, and don't pass. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1;
    }

    /** An exception of the candidate's of a class that isn't rebuilt here. */
    private static final class Thrown extends RuntimeException {
        private static final long serialVersionUID = 1;

        Thrown(String text) {
            super(text, null, false, false);
        }

        @Override
        public String toString() {
            return getMessage();
        }
    }

    /** An AssertionError of the candidate's of a class of its own. */
    private static final class Failure extends AssertionError {
        private static final long serialVersionUID = 1;

        Failure(String text) {
            super(text);
        }

        @Override
        public String toString() {
            return getMessage();
        }
    }

    /** Return the number of a new stand-in. */
    public static int object() {
        return ++objects;
    }

    /** Calls a function of the candidate; generated stand-ins call this. */
    public static Object call(int function, int object, Object... arguments) {
        if (verdict != null) {
            throw new Ended();
        }
        try {
            return asked(function, object, arguments);
        } catch (Wire.Malformed e) {
            throw ended("killed", "an answer of its process can't be read");
        } catch (Wire.TooLarge e) {
            throw ended("memory", "a call is too large to be sent");
        } catch (Wire.Unsendable e) {
            throw ended(e.isAnswers ? "killed" : "harness_error", "an argument can't be sent: " + e.getMessage());
        } catch (IOException e) {
            throw ended("harness_error", "the judge is gone");
        }
    }

    private static Ended ended(String outcome, String detail) {
        verdict = Verdict.of(outcome, detail);
        return new Ended();
    }

    private static Object asked(int function, int object, Object[] arguments)
            throws Wire.Malformed, Wire.TooLarge, Wire.Unsendable, IOException {
        byte[] nonce = new byte[Wire.NONCE];
        RANDOM.nextBytes(nonce);
        Wire.Writer call = new Wire.Writer(null);
        call.one('C');
        call.raw(nonce, 0, nonce.length);
        call.number(function, 2);
        call.number(object, 4);
        call.number(arguments.length, 2);
        for (Object argument : arguments) {
            call.value(argument, 0);
        }
        send(call.bytes, call.size);
        byte[] answer = frame();
        if (answer[0] == 'E') {
            throw ended("killed", "its process ended");
        }
        if (answer[0] != 'A' || answer.length < 1 + Wire.NONCE
                || !Arrays.equals(answer, 1, 1 + Wire.NONCE, nonce, 0, Wire.NONCE)) {
            throw new Wire.Malformed();
        }
        Wire.Reader reader = new Wire.Reader(answer, 1 + Wire.NONCE, Arrays.asList(call.objects()), false);
        int kind = reader.one();
        if (kind == 'M') {
            throw ended("memory", "a call ran out of memory, or its answer is too large to be sent");
        }
        if (kind == 'H') {
            verdict = Verdict.ofThreads();
            throw new Ended();
        }
        for (long left = reader.number(2); left > 0; left--) {
            change(reader.object(), reader.value(0));
        }
        if (kind == 'R') {
            Object result = reader.value(0);
            reader.end();
            return result;
        }
        if (kind != 'T') {
            throw new Wire.Malformed();
        }
        int isFailure = reader.one();
        String type = reader.name();
        String message = reader.name();
        reader.end();
        Throwable thrown = thrown(type, message, isFailure == 1);
        if (isFailure != (thrown instanceof AssertionError ? 1 : 0)) {
            throw new Wire.Malformed();
        }
        Tests.<RuntimeException>raise(thrown);
        throw new AssertionError(); // not reached
    }

    /** Puts into a container or array of the tests' what the candidate's has now. */
    @SuppressWarnings("unchecked")
    private static void change(Object container, Object value) throws Wire.Malformed {
        try {
            if (container instanceof Map && value instanceof Map) {
                ((Map<Object, Object>) container).clear();
                ((Map<Object, Object>) container).putAll((Map<Object, Object>) value);
            } else if (container instanceof List && value instanceof List) {
                List<Object> list = (List<Object>) container;
                List<Object> items = (List<Object>) value;
                if (list.size() == items.size()) {
                    for (int i = 0; i < items.size(); i++) {
                        list.set(i, items.get(i));
                    }
                } else {
                    list.clear();
                    list.addAll(items);
                }
            } else if (container instanceof Collection && value instanceof Collection) {
                ((Collection<Object>) container).clear();
                ((Collection<Object>) container).addAll((Collection<Object>) value);
            } else if (container.getClass().isArray() && container.getClass() == value.getClass()
                    && Array.getLength(container) == Array.getLength(value)) {
                System.arraycopy(value, 0, container, 0, Array.getLength(value));
            } else {
                throw new Wire.Malformed();
            }
        } catch (UnsupportedOperationException | ClassCastException | NullPointerException e) {
            throw new Wire.Malformed();
        }
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void raise(Throwable thrown) throws T {
        throw (T) thrown;
    }

    /** Rebuilds an exception of the candidate's by its name, of those that tests may expect; loads no class for it. */
    private static Throwable thrown(String type, String message, boolean isFailure) {
        switch (type) {
            case "java.lang.AssertionError":
                return message.isEmpty() ? new AssertionError() : new AssertionError(message);
            case "java.lang.StackOverflowError":
                return new StackOverflowError();
            case "java.lang.ArithmeticException":
                return new ArithmeticException(message);
            case "java.lang.ArrayIndexOutOfBoundsException":
                return new ArrayIndexOutOfBoundsException(message);
            case "java.lang.StringIndexOutOfBoundsException":
                return new StringIndexOutOfBoundsException(message);
            case "java.lang.IndexOutOfBoundsException":
                return new IndexOutOfBoundsException(message);
            case "java.lang.NegativeArraySizeException":
                return new NegativeArraySizeException(message);
            case "java.lang.ClassCastException":
                return new ClassCastException(message);
            case "java.lang.NullPointerException":
                return new NullPointerException(message);
            case "java.lang.NumberFormatException":
                return new NumberFormatException(message);
            case "java.lang.IllegalArgumentException":
                return new IllegalArgumentException(message);
            case "java.lang.IllegalStateException":
                return new IllegalStateException(message);
            case "java.lang.UnsupportedOperationException":
                return new UnsupportedOperationException(message);
            case "java.util.NoSuchElementException":
                return new java.util.NoSuchElementException(message);
            case "java.util.InputMismatchException":
                return new java.util.InputMismatchException(message);
            case "java.util.ConcurrentModificationException":
                return new java.util.ConcurrentModificationException(message);
            case "java.lang.RuntimeException":
                return new RuntimeException(message);
            case "java.lang.Exception":
                return new Exception(message);
            default:
                String text = message.isEmpty() ? type : type + ": " + message;
                return isFailure ? new Failure(text) : new Thrown(text);
        }
    }
}
